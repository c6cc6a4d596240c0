"""What can be removed: what belongs to no running cluster and to no build that is going on.

Programs that a running cluster was started from are kept, because it may start one again.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from filelock import FileLock, Timeout

from .binaries import binaries_folder, binaries_root
from .cluster import remove
from .errors import DevclusterError
from .layout import Layout, layouts, read_record
from .paths import cache_root, state_root
from .processes import living


def candidates(*, everything: bool) -> list[Path]:
    """The folders and lock files to remove; with `everything` also what this version uses."""
    running = [layout for layout in layouts() if is_running(layout)]
    kept = {folder for layout in running for folder in program_folders(layout)}
    if not everything:
        kept.add(binaries_folder())
    stopped = [layout.folder for layout in layouts() if layout not in running]
    sets = [path for path in entries(binaries_root()) if path.with_suffix("") not in kept]
    toolchain = [cache_root() / "toolchain"] if everything else []
    idle = [path for path in sets if path.suffix != ".lock" and not is_locked(path)]
    return [*stopped, *idle, *(path for path in toolchain if path.exists())]


def entries(folder: Path) -> list[Path]:
    """What lies directly in `folder`, in order; nothing when there is no such folder."""
    return sorted(folder.iterdir()) if folder.is_dir() else []


def is_running(layout: Layout) -> bool:
    """Whether a process of the cluster lives, or it is just being started."""
    return bool(living(layout.folder))


def program_folders(layout: Layout) -> set[Path]:
    """The folders of the programs that a cluster was started from."""
    try:
        record = read_record(layout)
    except DevclusterError:
        return set()
    return {Path(program).parent for program in record.programs.values()} if record else set()


def is_locked(path: Path) -> bool:
    """Whether a build of the set of binaries at `path` (or of its work folder) is going on."""
    lock = FileLock(path.with_suffix(".lock"))
    try:
        with lock.acquire(timeout=0):
            return False
    except Timeout:
        return True


def remove_path(path: Path) -> None:
    """Removes one of the `candidates`, unless it has come into use meanwhile."""
    if path.parent == state_root():
        with FileLock(state_root().with_suffix(".lock")):
            if not is_running(Layout(path)):
                remove(Layout(path))
    else:
        shutil.rmtree(path, ignore_errors=True)
