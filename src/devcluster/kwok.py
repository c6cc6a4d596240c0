"""The configuration and stages of kwok, which plays the kubelet of the fake nodes.

A stage declares which object becomes which. The stages here are our own. A pod
becomes Ready at once, a Job's pod completes, a deleted pod goes at once; the label
`devcluster/behaviour` chooses pods that misbehave, with the status a kubelet would report.
The label also works on a running pod, both when it is set and when it is taken off.
"""

from __future__ import annotations

from typing import Any

import yaml

from .kubelet_status import (
    BEHAVIOURS,
    NODE_TEMPLATE,
    Behaviour,
    behaviour_template,
    completed_template,
    crashed_template,
    ready_template,
)

BEHAVIOUR_LABEL = "devcluster/behaviour"
CHAOS_LABEL = "devcluster/chaos"
NODE_LABEL = "devcluster/node"
BROKEN_ANNOTATION = "devcluster/broken"

Document = dict[str, Any]

LABEL_KEY = f'.metadata.labels["{BEHAVIOUR_LABEL}"]'
CHAOS_KEY = f'.metadata.labels["{CHAOS_LABEL}"]'
READY_KEY = '.status.conditions.[] | select( .type == "Ready" ) | .status'
WAITING_KEY = ".status.containerStatuses.[].state.waiting.reason"
BROKEN_KEY = f'.metadata.annotations["{BROKEN_ANNOTATION}"]'
OWNER_KEY = ".metadata.ownerReferences.[].kind"


def matches(key: str, operator: str, *values: str) -> Document:
    """One expression of a selector: `key` is a jq query, its results are compared with values."""
    return {"jq": {"key": key, "operator": operator, **({"values": [*values]} if values else {})}}


def status_step(template: str) -> Document:
    """A step that merges the rendered template into the object's status."""
    return {"patch": {"subresource": "status", "root": "status", "template": template}}


def stage(
    name: str,
    kind: str,
    selector: list[Document],
    steps: list[Document],
    delay: tuple[int, int] | None = None,
) -> Document:
    """One Stage document; `delay` is the shortest and the longest wait in milliseconds."""
    spec: Document = {
        "resourceRef": {"apiGroup": "v1", "kind": kind},
        "selector": {"matchExpressions": selector},
        "steps": steps,
    }
    if delay:
        spec["delay"] = {"durationMilliseconds": delay[0], "jitterDurationMilliseconds": delay[1]}
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": name},
        "spec": spec,
    }


NOT_DELETED = matches(".metadata.deletionTimestamp", "DoesNotExist")
WELL_BEHAVED = matches(LABEL_KEY, "NotIn", *BEHAVIOURS)
OF_A_JOB = matches(OWNER_KEY, "In", "Job")
NOT_OF_A_JOB = matches(OWNER_KEY, "NotIn", "Job")


def behaviour_stage(name: str, behaviour: Behaviour) -> Document:
    """The stage that gives the pods labelled `name` the status of that behaviour."""
    selector = [
        NOT_DELETED,
        matches(LABEL_KEY, "In", name),
        matches(".status.phase", "In", "Pending", "Running"),
    ]
    # What must not hold yet, so that the stage is played once.
    if behaviour.waiting_reason:
        selector.append(matches(WAITING_KEY, "NotIn", behaviour.waiting_reason))
    else:
        selector.append(matches(READY_KEY, "NotIn", "False"))
    steps = [status_step(behaviour_template(behaviour))]
    if behaviour.event:
        reason, message = behaviour.event
        steps.append({"event": {"type": "Warning", "reason": reason, "message": message}})
    return stage(f"pod-{name}", "Pod", selector, steps)


def fast_stages(version: str) -> list[Document]:
    """Nodes and pods that become ready at once, apart from the labelled pods."""
    node = stage(
        "node-ready",
        "Node",
        [matches(READY_KEY, "NotIn", "True")],
        [status_step(NODE_TEMPLATE.replace("VERSION", version))],
    )
    ready = stage(
        "pod-ready",
        "Pod",
        [
            NOT_DELETED,
            WELL_BEHAVED,
            matches(".status.phase", "In", "Pending", "Running"),
            matches(READY_KEY, "NotIn", "True"),
            # The chaos stage breaks pods and repairs them after a while.
            matches(BROKEN_KEY, "DoesNotExist"),
        ],
        [status_step(ready_template())],
    )
    complete = stage(
        "pod-complete",
        "Pod",
        [NOT_DELETED, WELL_BEHAVED, OF_A_JOB, matches(".status.phase", "In", "Running")],
        [status_step(completed_template())],
    )
    delete = stage(
        "pod-delete",
        "Pod",
        [matches(".metadata.deletionTimestamp", "Exists")],
        [{"delete": True}],
    )
    chosen = [behaviour_stage(name, behaviour) for name, behaviour in BEHAVIOURS.items()]
    return [node, ready, complete, delete, *chosen]


def chaos_stages() -> list[Document]:
    """Every pod that runs crashes after 5 to 30 seconds and comes back after 3 to 10 more, again
    and again; pods of Jobs, and those labelled `devcluster/chaos: "false"`, are left alone.
    """
    spared = matches(CHAOS_KEY, "NotIn", "false")
    crash = stage(
        "pod-chaos-crash",
        "Pod",
        [NOT_DELETED, WELL_BEHAVED, NOT_OF_A_JOB, spared, matches(READY_KEY, "In", "True")],
        [
            annotation_step(BROKEN_ANNOTATION, '"true"'),
            status_step(crashed_template()),
            {
                "event": {
                    "type": "Warning",
                    "reason": "BackOff",
                    "message": "Back-off restarting failed container",
                }
            },
        ],
        delay=(5_000, 30_000),
    )
    recover = stage(
        "pod-chaos-recover",
        "Pod",
        [NOT_DELETED, matches(BROKEN_KEY, "Exists"), matches(READY_KEY, "In", "False")],
        [annotation_step(BROKEN_ANNOTATION, "null")],
        delay=(3_000, 10_000),
    )
    return [crash, recover]


def annotation_step(key: str, value: str) -> Document:
    """A step that sets an annotation to `value`, a YAML scalar; `null` takes it away."""
    template = f'annotations:\n  "{key}": {value}\n'
    return {"patch": {"root": "metadata", "template": template, "type": "merge"}}


def configuration(profile: str, version: str) -> list[Document]:
    """All documents of kwok's configuration file for a node profile.

    kwok has no built-in defaults for the parallelism, and exits when one is missing.
    """
    options = {
        "manageNodesWithLabelSelector": f"{NODE_LABEL}=fake",
        "cidr": "10.128.0.0/9",
        "nodeIP": "10.0.0.1",
        "podPlayStageParallelism": 16,
        "nodePlayStageParallelism": 4,
        "nodeLeaseParallelism": 4,
        "nodeLeaseDurationSeconds": 40,
        "podsOnNodeSyncParallelism": 4,
    }
    head = {
        "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
        "kind": "KwokConfiguration",
        "metadata": {"name": "devcluster"},
        "options": options,
    }
    return [head, *fast_stages(version), *(chaos_stages() if profile == "chaos" else [])]


def configuration_text(profile: str, version: str) -> str:
    """`configuration` as the text of a YAML file."""
    return yaml.safe_dump_all(configuration(profile, version), sort_keys=False, width=1000)


def node(number: int) -> Document:
    """The Node object of a fake node; kwok fills in its status."""
    name = f"node-{number}"
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                NODE_LABEL: "fake",
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "topology.kubernetes.io/zone": f"zone-{number % 3}",
            },
        },
    }
