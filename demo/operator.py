"""The operator as a process of its own: the installed command, the shipped account, a log file.

It never outlives the demo: it is told to stop by SIGTERM and killed where it does not listen, and
where the system can do so it is told as well when the demo itself is killed.
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
    """One run of the operator. ``stop`` and ``kill`` do no harm when it does not run."""

    command: tuple[str, ...]
    log: Path
    kubeconfig: Path | None = field(default=None, init=False)
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _told: bool = field(default=False, init=False)

    def start(self, kubeconfig: Path, arguments: tuple[str, ...]) -> None:
        """Start it, in a session of its own: a Ctrl-C at the terminal is not for it."""
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
        """How it ended; None while it runs, and before it was started."""
        return self._process.poll() if self._process else None

    def trouble(self) -> str:
        """Why it does not run though nobody told it to stop; empty when all is well."""
        code = self.exit_code()
        return "" if code is None or self._told else f"the operator ended with exit code {code}"

    def stop(self) -> None:
        """Tell it to stop, and do not wait."""
        self._told = True
        if self._process and self._process.poll() is None:
            self._process.terminate()

    def end(self) -> None:
        """Tell it to stop, give it a moment, kill it."""
        self.stop()
        if self._process is None:
            return
        try:
            self._process.wait(KILL_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def last_lines(self, count: int = 15) -> list[str]:
        """The end of its log."""
        if not self.log.exists():
            return []
        return self.log.read_text("utf-8", "replace").splitlines()[-count:]
