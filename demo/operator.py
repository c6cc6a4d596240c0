"""The operator as a process of its own: the installed command, the shipped account, a log file.

The operator never outlives the demo: the demo sends SIGTERM and, after a timeout, SIGKILL. Where
the system can do so, the operator also gets SIGTERM when the demo itself is killed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from devcluster import leash

KILL_SECONDS = 5.0
_NOT_INHERITED = ("KUBECONFIG", "DEMO_OPERATOR")


def shipped_command() -> tuple[str, ...]:
    """The installed ``gati-operator``, beside the running Python."""
    return (str(Path(sys.executable).parent / "gati-operator"),)


@dataclass
class Operator:
    """One run of the operator. ``stop`` and ``end`` do nothing where it does not run."""

    command: tuple[str, ...]
    log: Path
    kubeconfig: Path | None = field(default=None, init=False)
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _stop_requested: bool = field(default=False, init=False)

    def start(self, kubeconfig: Path, arguments: tuple[str, ...]) -> None:
        """Start the process, in a session of its own: a Ctrl-C does not reach the operator."""
        self.kubeconfig = kubeconfig
        flags = ("run", f"--kubeconfig={kubeconfig}", *arguments, "--log-format=console")
        kept = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, leash.__file__, *self.command, *flags],
                env=kept,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def exit_code(self) -> int | None:
        """The exit code; None while the process runs, and before it is started."""
        return self._process.poll() if self._process else None

    def unexpected_exit(self) -> str:
        """An error message where the operator ended without ``stop``; else empty."""
        code = self.exit_code()
        if code is None or self._stop_requested:
            return ""
        return f"the operator ended with exit code {code}"

    def stop(self) -> None:
        """Send SIGTERM; does not wait."""
        self._stop_requested = True
        if self._process and self._process.poll() is None:
            self._process.terminate()

    def end(self) -> None:
        """Send SIGTERM, and SIGKILL after ``KILL_SECONDS``; waits for the end."""
        self.stop()
        if self._process is None:
            return
        try:
            self._process.wait(KILL_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def last_lines(self, count: int = 15) -> list[str]:
        """The last lines of the log."""
        if not self.log.exists():
            return []
        return self.log.read_text("utf-8", "replace").splitlines()[-count:]
