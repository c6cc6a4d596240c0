"""The stable address of every pod of a handler, whatever its version."""

from __future__ import annotations

from contract.model import Object
from gati import names
from gati.handler.build.metadata import with_metadata
from gati.handler.resolve import Handler
from objects.kinds import SERVICE


def service(handler: Handler) -> Object:
    """The Service. The path stands on it, where a router looks, and rolls no pod."""
    port = {
        "name": names.PORT_NAME,
        "port": handler.spec.port,
        "targetPort": names.PORT_NAME,
        "protocol": "TCP",
    }
    spec = {
        "type": "ClusterIP",
        "selector": {names.HANDLER: names.handler_value(handler.name)},
        "ports": [port],
    }
    return with_metadata(SERVICE, handler, annotations={names.PATH: handler.path}, spec=spec)
