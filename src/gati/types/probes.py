"""The health checks of a handler.

Field names are the core API's wherever the meaning is the core API's, so that what somebody
knows from a Deployment holds here.
https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from msgspec import UNSET, UnsetType

from crds.part import URL_PATH, Part, Rule, described, has, text, whole

ACTIONS = ("http_get", "tcp_socket", "grpc")
"""The ways to ask; a probe has one."""

HEALTH_PATH = "/health"

DEFAULTS: Mapping[str, Mapping[str, int]] = {
    "readiness": {
        "initial_delay_seconds": 5,
        "period_seconds": 10,
        "timeout_seconds": 3,
        "failure_threshold": 3,
    },
    "liveness": {
        "initial_delay_seconds": 15,
        "period_seconds": 20,
        "timeout_seconds": 5,
        "failure_threshold": 3,
    },
    "startup": {
        "initial_delay_seconds": 0,
        "period_seconds": 10,
        "timeout_seconds": 3,
        "failure_threshold": 30,
    },
}
"""What each probe keeps where it is not written, by the fields of ``Probe``."""

_PROBE_PORT = "The container's port, 1 to 65535. Default: spec.port."


def _defaults(field: str) -> str:
    """Default: readiness 5, liveness 15, startup 0."""
    return f"Default: {', '.join(f'{probe} {own[field]}' for probe, own in DEFAULTS.items())}."


def _by_default(probe: str) -> str:
    times = (
        "first after {initial_delay_seconds} s, every {period_seconds} s, {timeout_seconds} s to "
        "answer, {failure_threshold} failures"
    ).format(**DEFAULTS[probe])
    return f"Default: GET {HEALTH_PATH} on spec.port, {times}."


def _succeeds_at_once(probe: str) -> Rule:
    return Rule(
        f"!has(self.{probe}) || !has(self.{probe}.successThreshold) "
        f"|| self.{probe}.successThreshold == 1",
        f"{probe}.successThreshold must be 1: leave it out",
        lambda it: not has(it, probe) or getattr(it, probe).success_threshold == 1,
        lambda _: f".{probe}.successThreshold",
    )


class HTTPGetAction(Part, frozen=True, kw_only=True):
    """A GET that must answer with a status from 200 to 399."""

    path: Annotated[str, text("What is asked for, for example /health.", 1024, pattern=URL_PATH)]
    port: Annotated[int, whole(_PROBE_PORT, 1, 65535)] | UnsetType = UNSET


class TCPSocketAction(Part, frozen=True, kw_only=True):
    """A TCP connection that must open."""

    port: Annotated[int, whole(_PROBE_PORT, 1, 65535)] | UnsetType = UNSET


class GRPCAction(Part, frozen=True, kw_only=True):
    """A call of grpc.health.v1.Health/Check that must answer SERVING."""

    port: Annotated[int, whole(_PROBE_PORT, 1, 65535)] | UnsetType = UNSET
    service: Annotated[
        str, text("The service asked about. Default: the server as a whole.", 256)
    ] = ""


class Probe(Part, frozen=True, kw_only=True):
    """One health check. What is not written keeps the default of that probe."""

    rules = (
        Rule(
            "[has(self.httpGet), has(self.tcpSocket), has(self.grpc)].filter(one, one).size() <= 1",
            "a probe asks in one way: write one of httpGet, tcpSocket and grpc",
            lambda it: sum(getattr(it, action) is not UNSET for action in ACTIONS) <= 1,
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
            whole(f"Seconds before the first try. {_defaults('initial_delay_seconds')}", 0, 3600),
        ]
        | UnsetType
    ) = UNSET
    period_seconds: (
        Annotated[int, whole(f"Seconds between two tries. {_defaults('period_seconds')}", 1, 3600)]
        | UnsetType
    ) = UNSET
    timeout_seconds: (
        Annotated[
            int, whole(f"Seconds until a try has failed. {_defaults('timeout_seconds')}", 1, 3600)
        ]
        | UnsetType
    ) = UNSET
    failure_threshold: (
        Annotated[
            int, whole(f"Failures in a row that count. {_defaults('failure_threshold')}", 1, 1000)
        ]
        | UnsetType
    ) = UNSET
    success_threshold: Annotated[
        int, whole("Successes in a row that count; must be 1 but for readiness.", 1, 1000)
    ] = 1
    disabled: Annotated[bool, described("true leaves this probe out altogether.")] = False


class Probes(Part, frozen=True, kw_only=True):
    """The three health checks of a handler."""

    rules = tuple(_succeeds_at_once(probe) for probe in ("liveness", "startup"))

    readiness: Annotated[
        Probe, described(f"Decides whether a pod is sent requests. {_by_default('readiness')}")
    ] = Probe()
    liveness: Annotated[
        Probe, described(f"Decides whether a container is restarted. {_by_default('liveness')}")
    ] = Probe()
    startup: (
        Annotated[
            Probe,
            described(
                "Holds the other two back until it has succeeded once, for what starts slowly. "
                "Default: none; when written, even as {}, it asks as readiness does, "
                "{failure_threshold} times every {period_seconds} s.".format(
                    "{}", **DEFAULTS["startup"]
                )
            ),
        ]
        | UnsetType
    ) = UNSET
