"""What is built, from which pins, and the digest that names one set of binaries.

Everything that can change a binary's content goes into the digest: `go.mod`, `go.sum`, the
linker flags, the list of targets and the platform. The Go toolchain does not: a machine's Go may
be any that `go.mod` accepts, and an upgrade of it must not cost everybody a rebuild.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

KUBERNETES_VERSION = "v1.36.3"
GO_MODULE = Path(__file__).parent / "gomodule"
GO_TOOLCHAIN_LOCK = Path(__file__).parent / "go-toolchain.lock"


@dataclass(frozen=True)
class Target:
    """One program: the file name it gets and the Go package it is built from."""

    name: str
    package: str


TARGETS: tuple[Target, ...] = (
    Target("etcd", "go.etcd.io/etcd/server/v3"),
    Target("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
    Target("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"),
    Target("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"),
    Target("kwok", "sigs.k8s.io/kwok/cmd/kwok"),
    Target("helm", "helm.sh/helm/v4/cmd/helm"),
    Target("kustomize", "sigs.k8s.io/kustomize/kustomize/v5"),
)


def linker_flags(version: str = KUBERNETES_VERSION) -> str:
    """The `-ldflags` value: stripped, and stamped, because an unstamped server reports a version
    that kubectl cannot parse and against which a chart's `kubeVersion` is judged wrongly.
    """
    major, minor, _ = version.removeprefix("v").split(".")
    package = "k8s.io/component-base/version"
    stamp = {
        "gitVersion": version,
        "gitMajor": major,
        "gitMinor": minor,
        "gitTreeState": "clean",
    }
    return " ".join(["-s", "-w", *(f"-X {package}.{key}={text}" for key, text in stamp.items())])


def build_command(go: Path, target: Target, output: Path) -> list[str]:
    """The argv that builds `target` into the file `output`; run it in `GO_MODULE`."""
    return [
        str(go),
        "build",
        "-trimpath",
        "-ldflags",
        linker_flags(),
        "-o",
        str(output),
        target.package,
    ]


def build_environment(
    machine: dict[str, str], *, go: Path, module_cache: Path, build_cache: Path
) -> dict[str, str]:
    """The environment of a build: the machine's own (its module proxy and proxies are its own
    affair) with everything fixed that would change the result.
    """
    return {
        **machine,
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-mod=readonly -modcacherw",
        "GOWORK": "off",
        "GOROOT": str(go.parent.parent),
        "CGO_ENABLED": "0",
        "GOMODCACHE": str(module_cache),
        "GOCACHE": str(build_cache),
    }


def digest(module: Path = GO_MODULE, targets: Sequence[Target] = TARGETS) -> str:
    """Twelve hex digits that change whenever any of the pins does."""
    parts = [
        (module / "go.mod").read_bytes(),
        (module / "go.sum").read_bytes(),
        linker_flags().encode(),
        repr(tuple(targets)).encode(),
        f"{platform.system()}/{platform.machine()}".encode(),
    ]
    joined = hashlib.sha256()
    for part in parts:
        joined.update(hashlib.sha256(part).digest())
    return joined.hexdigest()[:12]


def required_go(module: Path = GO_MODULE) -> tuple[int, ...]:
    """The oldest Go that the module's `go` line accepts, for example `(1, 26, 0)`.

    Raises ValueError when there is no such line.
    """
    for line in (module / "go.mod").read_text(encoding="utf-8").splitlines():
        if line.startswith("go "):
            return parse_go_version(line.removeprefix("go ").strip())
    raise ValueError(f"no go line in {module / 'go.mod'}")


def parse_go_version(text: str) -> tuple[int, ...]:
    """`1.26.8` as `(1, 26, 8)`; what is not a number (`1.27rc1`) counts as older than its release.

    Raises ValueError for a text that does not begin like a version.
    """
    numbers: list[int] = []
    for part in text.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        numbers.append(int(digits))
        if digits != part:
            numbers.append(-1)
            break
    if not numbers:
        raise ValueError(f"not a Go version: {text!r}")
    return tuple(numbers)
