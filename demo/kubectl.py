"""Every request of the demo goes through kubectl, as a user runs it, with JSON output.

A call returns the server's answer or raises an error with kubectl's message; every call has a
timeout.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from contract.model import Object

TIMEOUT_SECONDS = 60.0


class KubectlError(Exception):
    """kubectl failed; the text is the last line that kubectl printed."""


@dataclass(frozen=True)
class Kubectl:
    """kubectl with the flags that choose a cluster and an account."""

    command: tuple[str, ...]

    def __call__(self, *arguments: str, stdin: str | None = None) -> str:
        """Run ``kubectl ARGUMENTS``; what it prints. Raises KubectlError."""
        try:
            run = subprocess.run(
                [*self.command, *arguments],
                input=stdin,
                capture_output=True,
                text=True,
                check=False,
                timeout=TIMEOUT_SECONDS,
            )
        except subprocess.TimeoutExpired:
            raise KubectlError(
                f"kubectl {arguments[0]}: no answer in {TIMEOUT_SECONDS:.0f} s"
            ) from None
        if run.returncode:
            lines = run.stderr.strip().splitlines() or [f"exit code {run.returncode}"]
            raise KubectlError(f"kubectl {arguments[0]}: {lines[-1]}")
        return run.stdout

    def read(self, *arguments: str) -> Any:
        """The JSON that ``kubectl ARGUMENTS -o json`` prints; None where it prints nothing."""
        output = self(*arguments, "-o", "json")
        return json.loads(output) if output.strip() else None

    def items(self, *arguments: str) -> list[Object]:
        """The objects that ``kubectl get ARGUMENTS`` finds; empty where there is none."""
        found = self.read("get", "--ignore-not-found", *arguments)
        if found is None:
            return []
        listed: list[Object] = found.get("items", [found])
        return listed

    def create(self, body: Object) -> Object:
        """Create one object; the object as the server stored it."""
        created: Object = json.loads(
            # Client-side validation needs the right to read all CRDs.
            self("create", "--validate=false", "-f", "-", "-o", "json", stdin=json.dumps(body))
        )
        return created

    def apply(
        self, documents: Iterable[Object], *, server_side: bool = False, force: bool = False
    ) -> None:
        """``kubectl apply`` of the documents, in their order; ``force`` takes over the fields of
        other field managers.
        """
        body = {"apiVersion": "v1", "kind": "List", "items": list(documents)}
        flags = ["--server-side"] if server_side else []
        flags += ["--force-conflicts"] if force else []
        self("apply", *flags, "-f", "-", stdin=json.dumps(body))
