"""Health checks: the defaults, how a spec changes them, and the probe of a container."""

from __future__ import annotations

from dataclasses import replace

from gati.contracts import JsonObject, Probes, ProbeSpec
from gati.spec.fields import Fields, Invalid

PORT_NAME = "http"
"""Name of the container's port and of the Service's."""

READINESS = ProbeSpec("httpGet", 5, 10, 3, 3, path="/health")
LIVENESS = ProbeSpec("httpGet", 15, 20, 5, 3, path="/health")
STARTUP = ProbeSpec("httpGet", 0, 10, 3, 30, path="/health")
"""Where it is asked for: five minutes to start."""


def parse_probes(fields: Fields) -> Probes:
    """The probes that ``spec.probes`` asks for. A startup probe asks as readiness does."""
    readiness = _probe(fields.object("readiness"), READINESS)
    startup = None
    if fields.has("startup"):
        startup = _probe(fields.object("startup"), _asking_like(readiness, STARTUP))
    liveness = _probe(fields.object("liveness"), LIVENESS)
    for name, probe in (("liveness", liveness), ("startup", startup)):
        if probe is not None and probe.success_threshold != 1:
            raise Invalid(f"{fields.path}.{name}.successThreshold", "must be 1: leave it out")
    return Probes(readiness, liveness, startup)


def probe(spec: ProbeSpec, port: int) -> JsonObject:
    """A container's probe. Zeros are left out, as the API server leaves them out."""
    timings = {
        "initialDelaySeconds": spec.initial_delay,
        "periodSeconds": spec.period,
        "timeoutSeconds": spec.timeout,
        "failureThreshold": spec.failure_threshold,
        "successThreshold": spec.success_threshold,
    }
    return {spec.action: _action(spec, port)} | {k: v for k, v in timings.items() if v}


def _action(spec: ProbeSpec, port: int) -> JsonObject:
    if spec.action == "httpGet":
        return {"path": spec.path, "port": spec.port or PORT_NAME, "scheme": "HTTP"}
    if spec.action == "tcpSocket":
        return {"port": spec.port or PORT_NAME}
    return {"port": spec.port or port, "service": spec.service}


def _probe(fields: Fields, default: ProbeSpec) -> ProbeSpec | None:
    if fields.boolean("disabled"):
        return None
    asked = _with_action(fields, default)

    def seconds(name: str, standard: int, low: int = 1) -> int:
        value = fields.integer(name, low, 3600)
        return standard if value is None else value

    return replace(
        asked,
        initial_delay=seconds("initialDelaySeconds", default.initial_delay, low=0),
        period=seconds("periodSeconds", default.period),
        timeout=seconds("timeoutSeconds", default.timeout),
        failure_threshold=seconds("failureThreshold", default.failure_threshold),
        success_threshold=seconds("successThreshold", default.success_threshold),
    )


def _with_action(fields: Fields, default: ProbeSpec) -> ProbeSpec:
    action = fields.one_of("httpGet", "tcpSocket", "grpc")
    if action is None:
        return default
    asked = fields.object(action)
    port = asked.integer("port", 1, 65535)
    if action == "httpGet":
        path = asked.text("path") or "/health"
        if not path.startswith("/"):
            raise Invalid(asked.at("path"), f"must begin with a slash: write /{path}")
        return replace(default, action="httpGet", path=path, port=port, service="")
    if action == "tcpSocket":
        return replace(default, action="tcpSocket", path="", port=port, service="")
    service = asked.text("service") or ""
    return replace(default, action="grpc", path="", port=port, service=service)


def _asking_like(model: ProbeSpec | None, timings: ProbeSpec) -> ProbeSpec:
    if model is None:
        return timings
    return replace(
        timings, action=model.action, path=model.path, port=model.port, service=model.service
    )
