"""The Deployment: how pods are replaced, and which pods are its own."""

from __future__ import annotations

from contract.model import Object
from gati import names
from gati.handler.build.metadata import with_metadata
from gati.handler.build.pod import pod_template
from gati.handler.resolve import Handler
from objects.kinds import DEPLOYMENT

PROGRESS_DEADLINE_SECONDS = 600
REVISION_HISTORY_LIMIT = 3


def deployment(handler: Handler, replicas: int | None, config_digest: str) -> Object:
    """A Deployment whose rolling update starts a new pod before it stops an old one.

    ``replicas`` None leaves the number to whoever scales it. ``config_digest`` stands for the
    configuration that the pods read, and is empty where they read none: another one rolls them.
    The version stands on the Deployment and its pods only, so that a new one writes nothing else.
    """
    spec: Object = {
        "selector": names.workload_selector(handler.workload),
        "strategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "25%"},
        },
        # The API server wants a deadline above minReadySeconds. Deployments of handlers without
        # the field stay as they are.
        "progressDeadlineSeconds": PROGRESS_DEADLINE_SECONDS + handler.spec.min_ready_seconds,
        "revisionHistoryLimit": REVISION_HISTORY_LIMIT,
        "template": pod_template(handler, config_digest),
    }
    if handler.spec.min_ready_seconds:
        spec["minReadySeconds"] = handler.spec.min_ready_seconds
    if replicas is not None:
        spec["replicas"] = replicas
    return with_metadata(
        DEPLOYMENT,
        handler,
        labels=names.version_labels(handler.version),
        annotations=names.version_annotations(handler.name, handler.version),
        spec=spec,
    )
