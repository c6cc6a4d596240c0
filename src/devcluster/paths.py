"""Where things lie on disk: what can be made again under the cache, what is live under the state.

Each of the two roots can be moved with an environment variable, for tests and for CI caches.
"""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

CACHE_VARIABLE = "DEVCLUSTER_CACHE"
STATE_VARIABLE = "DEVCLUSTER_STATE"


def cache_root() -> Path:
    """The per-user folder of built binaries; `DEVCLUSTER_CACHE` moves it."""
    moved = os.environ.get(CACHE_VARIABLE)
    return Path(moved).absolute() if moved else Path(platformdirs.user_cache_dir("devcluster"))


def state_root() -> Path:
    """The per-user folder with one subfolder for each cluster; `DEVCLUSTER_STATE` moves it."""
    moved = os.environ.get(STATE_VARIABLE)
    base = Path(moved).absolute() if moved else Path(platformdirs.user_state_dir("devcluster"))
    return base / "clusters"


def size_of(folder: Path) -> int:
    """The bytes that the files under `folder` take on disk; files that vanish meanwhile count 0."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(parent) / name).lstat().st_blocks * 512
            except OSError:
                continue
    return total


def human_size(size: int) -> str:
    """`size` in bytes as a short text, for example `412 MB`."""
    if size < 1_000_000:
        return f"{size / 1_000:.0f} kB"
    if size < 1_000_000_000:
        return f"{size / 1_000_000:.0f} MB"
    return f"{size / 1_000_000_000:.1f} GB"
