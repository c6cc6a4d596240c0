"""The health checks of a handler.

Field names are the core API's wherever the meaning is the core API's, so that what somebody
knows from a Deployment holds here.
https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/
"""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, UnsetType

from crds.part import (
    Part,
    Rule,
    described,
    text,
    whole,
)

_PROBE_PORT = "The container's port, 1 to 65535. Default: spec.port."


class HTTPGetAction(Part, frozen=True, kw_only=True):
    """A GET that must answer with a status from 200 to 399."""

    path: Annotated[str, text("What is asked for, for example /health.", 1024, pattern=r"^/\S*$")]
    port: Annotated[int, whole(_PROBE_PORT, 1, 65535)] | UnsetType = UNSET


class TCPSocketAction(Part, frozen=True, kw_only=True):
    """A TCP connection that must open."""

    port: Annotated[int, whole(_PROBE_PORT, 1, 65535)] | UnsetType = UNSET


class GRPCAction(Part, frozen=True, kw_only=True):
    """A call of grpc.health.v1.Health/Check that must answer SERVING."""

    port: Annotated[int, whole(_PROBE_PORT, 1, 65535)] | UnsetType = UNSET
    service: (
        Annotated[str, text("The service asked about. Default: the server as a whole.", 256)]
        | UnsetType
    ) = UNSET


class Probe(Part, frozen=True, kw_only=True):
    """One health check. What is not written keeps the default of that probe."""

    rules = (
        Rule(
            "[has(self.httpGet), has(self.tcpSocket), has(self.grpc)].filter(one, one).size() <= 1",
            "a probe asks in one way: write one of httpGet, tcpSocket and grpc",
        ),
    )

    http_get: Annotated[HTTPGetAction, described("Ask by HTTP.")] | UnsetType = UNSET
    tcp_socket: (
        Annotated[TCPSocketAction, described("Only open a connection; write {} for spec.port.")]
        | UnsetType
    ) = UNSET
    grpc: (
        Annotated[GRPCAction, described("Ask by the gRPC health protocol; write {} for spec.port.")]
        | UnsetType
    ) = UNSET
    initial_delay_seconds: (
        Annotated[
            int,
            whole(
                "Seconds before the first try. Default: readiness 5, liveness 15, startup 0.",
                0,
                3600,
            ),
        ]
        | UnsetType
    ) = UNSET
    period_seconds: (
        Annotated[
            int,
            whole(
                "Seconds between two tries. Default: readiness and startup 10, liveness 20.",
                1,
                3600,
            ),
        ]
        | UnsetType
    ) = UNSET
    timeout_seconds: (
        Annotated[
            int,
            whole(
                "Seconds until a try has failed. Default: readiness and startup 3, liveness 5.",
                1,
                3600,
            ),
        ]
        | UnsetType
    ) = UNSET
    failure_threshold: (
        Annotated[int, whole("Failures in a row that count. Default: startup 30, else 3.", 1, 1000)]
        | UnsetType
    ) = UNSET
    success_threshold: (
        Annotated[
            int,
            whole(
                "Successes in a row that count; must be 1 but for readiness. Default 1.", 1, 1000
            ),
        ]
        | UnsetType
    ) = UNSET
    disabled: (
        Annotated[bool, described("true leaves this probe out altogether. Default false.")]
        | UnsetType
    ) = UNSET


class Probes(Part, frozen=True, kw_only=True):
    """The three health checks of a handler."""

    rules = tuple(
        Rule(
            f"!has(self.{probe}) || !has(self.{probe}.successThreshold) "
            f"|| self.{probe}.successThreshold == 1",
            f"{probe}.successThreshold must be 1: leave it out",
        )
        for probe in ("liveness", "startup")
    )

    readiness: (
        Annotated[
            Probe,
            described(
                "Decides whether a pod is sent requests. Default: GET /health on spec.port, first "
                "after 5 s, every 10 s, 3 s to answer, 3 failures."
            ),
        ]
        | UnsetType
    ) = UNSET
    liveness: (
        Annotated[
            Probe,
            described(
                "Decides whether a container is restarted. Default: GET /health on spec.port, first "
                "after 15 s, every 20 s, 5 s to answer, 3 failures."
            ),
        ]
        | UnsetType
    ) = UNSET
    startup: (
        Annotated[
            Probe,
            described(
                "Holds the other two back until it has succeeded once, for what starts slowly. "
                "Default: none; when written, even as {}, it asks as readiness does, 30 times every 10 s."
            ),
        ]
        | UnsetType
    ) = UNSET
