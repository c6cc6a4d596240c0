"""Create ./.venv from requirements.lock, with only a Python interpreter.

uv is installed once into the per-user cache, with the version and hash of the lock, and then
installs everything else. Parallel runs wait for one another; cached packages are not downloaded
again. This script uses only the standard library.
"""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
VENV = ROOT / ".venv"


def main() -> int:
    """Install, or print the error; the exit code."""
    with (ROOT / ".setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            install()
        except subprocess.CalledProcessError as error:
            output = (error.stderr or error.stdout or "").strip()
            print(output, file=sys.stderr)
            print(f"setup: {' '.join(map(str, error.cmd[:4]))} ... failed", file=sys.stderr)
            return 1
        except RuntimeError as error:
            print(f"setup: {error}", file=sys.stderr)
            return 1
    return 0


def install() -> None:
    """Create the environment where it is missing, and install the locked packages."""
    uv = bootstrap_uv()
    if not (VENV / "bin" / "python").exists():
        print(f"setup: creating .venv with Python {sys.version.split()[0]}", flush=True)
        run([uv, "venv", "--quiet", "--python", sys.executable, VENV])
    print("setup: installing the locked dependencies", flush=True)
    python = VENV / "bin" / "python"
    sync = ["pip", "sync", "--quiet", "--python", python, "--require-hashes", LOCK]
    try:
        run([uv, *sync, "--offline"])
    except subprocess.CalledProcessError:
        run([uv, *sync])
    editable = ["--offline", "--no-deps", "--no-build-isolation", "--editable", ROOT]
    run([uv, "pip", "install", "--quiet", "--python", python, *editable])
    print("setup: done; every command of the project is in .venv/bin", flush=True)


def bootstrap_uv() -> Path:
    """The path of the locked uv; installs it into the per-user cache where it is missing."""
    pin = re.search(r"^uv==(\S+)( \\\n    --hash=\S+)+", LOCK.read_text(), re.MULTILINE)
    if pin is None:
        raise RuntimeError("requirements.lock does not name uv; run make lock")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    home = cache / "gati-catalyst" / f"uv-{pin[1]}-py{sys.version_info[0]}{sys.version_info[1]}"
    uv = home / "bin" / "uv"
    if uv.exists():
        return uv
    print(f"setup: installing uv {pin[1]} into {home}", flush=True)
    home.parent.mkdir(parents=True, exist_ok=True)
    with (home.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if uv.exists():
            return uv
        made = subprocess.run(
            [sys.executable, "-m", "venv", home], capture_output=True, text=True, check=False
        )
        if made.returncode:
            version = f"{sys.version_info[0]}.{sys.version_info[1]}"
            raise RuntimeError(
                "Python's venv module does not work here; on Debian and Ubuntu: "
                f"apt install python{version}-venv"
            )
        pinned = home / "uv.lock.txt"
        pinned.write_text(pin[0] + "\n")
        pip = [home / "bin" / "python", "-m", "pip", "install", "--quiet"]
        run([*pip, "--disable-pip-version-check", "--require-hashes", "-r", pinned])
    return uv


def run(command: list[str | Path]) -> None:
    """Run one command; raises CalledProcessError with its output where it fails."""
    environment = {k: v for k, v in os.environ.items() if k != "VIRTUAL_ENV"}
    subprocess.run(command, check=True, capture_output=True, text=True, env=environment)


if __name__ == "__main__":
    sys.exit(main())
