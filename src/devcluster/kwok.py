"""What kwok, which plays the kubelet of the fake nodes, is told: its configuration and stages.

A stage says: an object that looks like this becomes that. The stages here are our own. A pod
becomes Ready at once, a Job's pod completes, a deleted pod goes at once; the label
`devcluster/behaviour` chooses pods that misbehave, with the status a kubelet would report.
The label also works on a running pod, both when it is set and when it is taken off.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

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

FIRST_LINES = """\
{{ $now := Now }}
{{ $root := . }}
"""

# A pod keeps the addresses that it has: a second one would be added to the first, and refused.
ADDRESSES = """\
{{ if not .status.podIP }}
{{ with NodeIPsWith .spec.nodeName }}
hostIP: {{ index . 0 | Quote }}
hostIPs:
{{ range . }}
- ip: {{ . | Quote }}
{{ end }}
{{ end }}
{{ with PodIPsWith .spec.nodeName ( or .spec.hostNetwork false ) ( or .metadata.uid "" ) \
( or .metadata.name "" ) ( or .metadata.namespace "" ) }}
podIP: {{ index . 0 | Quote }}
podIPs:
{{ range . }}
- ip: {{ . | Quote }}
{{ end }}
{{ end }}
{{ end }}
startTime: {{ or .status.startTime $now | Quote }}
"""

INIT_CONTAINERS = """\
initContainerStatuses:
{{ range .spec.initContainers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  imageID: ""
  ready: true
  restartCount: 0
  {{ if eq (or .restartPolicy "") "Always" }}
  started: true
  state:
    running:
      startedAt: {{ $now | Quote }}
  {{ else }}
  started: false
  state:
    terminated:
      exitCode: 0
      reason: Completed
      startedAt: {{ $now | Quote }}
      finishedAt: {{ $now | Quote }}
  {{ end }}
{{ end }}
"""

GATES = """\
{{ range .spec.readinessGates }}
- type: {{ .conditionType | Quote }}
  status: "True"
  lastTransitionTime: {{ $now | Quote }}
{{ end }}
"""

CRASHED = """\
terminated:
  exitCode: 1
  reason: Error
  startedAt: {{ $now | Quote }}
  finishedAt: {{ $now | Quote }}
"""


@dataclass(frozen=True)
class Behaviour:
    """How the pods with one value of the label stand: what a kubelet reports of their containers.

    `message` is a template in which `$item` is the container and `$root` the pod.
    """

    phase: str
    state: str
    restarts: int = 0
    last_state: str = ""
    waiting_reason: str = ""
    condition_reason: str = "ContainersNotReady"
    event: tuple[str, str] | None = None


def waiting(reason: str, message: str) -> str:
    """The state of a container that waits; `message` is a template expression."""
    return f"waiting:\n  reason: {reason}\n  message: {{{{ {message} | Quote }}}}\n"


BACK_OFF = (
    'printf "back-off 5m0s restarting failed container=%s pod=%s_%s(%s)" '
    "$item.name $root.metadata.name $root.metadata.namespace $root.metadata.uid"
)
PULL = 'printf "Back-off pulling image %q: ErrImagePull: image not found" $item.image'

BEHAVIOURS: dict[str, Behaviour] = {
    "never-ready": Behaviour(
        phase="Running",
        state="running:\n  startedAt: {{ $now | Quote }}\n",
        event=("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503"),
    ),
    "crash-loop": Behaviour(
        phase="Running",
        state=waiting("CrashLoopBackOff", BACK_OFF),
        restarts=5,
        last_state=CRASHED,
        waiting_reason="CrashLoopBackOff",
        event=("BackOff", "Back-off restarting failed container"),
    ),
    "image-pull-backoff": Behaviour(
        phase="Pending",
        state=waiting("ImagePullBackOff", PULL),
        waiting_reason="ImagePullBackOff",
        event=("Failed", "Error: ImagePullBackOff"),
    ),
    "config-error": Behaviour(
        phase="Pending",
        state=waiting("CreateContainerConfigError", '"configmap \\"missing\\" not found"'),
        waiting_reason="CreateContainerConfigError",
        event=("Failed", 'Error: configmap "missing" not found'),
    ),
    "fail": Behaviour(
        phase="Failed", state=CRASHED, condition_reason="PodFailed", event=("Failed", "Error")
    ),
}


def indent(text: str, spaces: int) -> str:
    """`text` with each line that is not empty moved to the right."""
    return "".join(" " * spaces + line for line in text.splitlines(keepends=True))


def condition(kind: str, status: bool, reason: str = "") -> str:
    """One pod condition; an empty reason takes an earlier one away."""
    names = "[{{ range $i, $c := .spec.containers }}{{ if $i }} {{ end }}{{ $c.name }}{{ end }}]"
    message = f"containers with unready status: {names}" if reason == "ContainersNotReady" else ""
    return (
        f"- type: {kind}\n"
        f'  status: "{status}"\n'
        f"  lastTransitionTime: {{{{ $now | Quote }}}}\n"
        f'  reason: "{reason}"\n'
        f'  message: "{message}"\n'
    )


def conditions(ready: bool, reason: str = "") -> str:
    """The conditions of a pod that was set up and whose containers are ready or not."""
    return (
        "conditions:\n"
        + condition("PodReadyToStartContainers", True)
        + condition("Initialized", True)
        + condition("ContainersReady", ready, reason)
        + condition("Ready", ready, reason)
    )


def containers(*, ready: bool, started: bool, restarts: str, state: str, last: str = "") -> str:
    """`containerStatuses`, the same for each container; `$restarts` is the count until now."""
    return (
        "containerStatuses:\n"
        "{{ range $index, $item := .spec.containers }}\n"
        "{{ $restarts := 0 }}\n"
        "{{ with $root.status.containerStatuses }}\n"
        "{{ $restarts = (index . $index).restartCount }}\n"
        "{{ end }}\n"
        "- name: {{ $item.name | Quote }}\n"
        "  image: {{ $item.image | Quote }}\n"
        '  imageID: ""\n'
        f"  ready: {str(ready).lower()}\n"
        f"  started: {str(started).lower()}\n"
        f"  restartCount: {restarts}\n"
        "  state:\n"
        + indent(state, 4)
        + ("  lastState:\n" + indent(last, 4) if last else "")
        + "{{ end }}\n"
    )


def ready_template() -> str:
    """The status of a pod whose containers all run."""
    return (
        FIRST_LINES
        + conditions(ready=True)
        + GATES
        + containers(
            ready=True,
            started=True,
            restarts="{{ $restarts }}",
            state="running:\n  startedAt: {{ $now | Quote }}\n",
        )
        + INIT_CONTAINERS
        + ADDRESSES
        + "phase: Running\n"
    )


def completed_template() -> str:
    """The status of a pod whose containers have all ended well."""
    return (
        FIRST_LINES
        + conditions(ready=False, reason="PodCompleted")
        + containers(
            ready=False,
            started=False,
            restarts="{{ $restarts }}",
            state="terminated:\n  exitCode: 0\n  reason: Completed\n"
            "  startedAt: {{ $now | Quote }}\n  finishedAt: {{ $now | Quote }}\n",
        )
        + "phase: Succeeded\n"
    )


def behaviour_template(behaviour: Behaviour) -> str:
    """The status of a pod that behaves in a chosen bad way."""
    return (
        FIRST_LINES
        + conditions(ready=False, reason=behaviour.condition_reason)
        + containers(
            ready=False,
            started=behaviour.phase == "Running" and not behaviour.waiting_reason,
            restarts=str(behaviour.restarts),
            state=behaviour.state,
            last=behaviour.last_state,
        )
        + INIT_CONTAINERS
        + ADDRESSES
        + f"phase: {behaviour.phase}\n"
    )


NODE_TEMPLATE = """\
{{ $now := Now }}
conditions:
{{ range NodeConditions }}
- type: {{ .type | Quote }}
  status: {{ .status | Quote }}
  reason: {{ .reason | Quote }}
  message: {{ .message | Quote }}
  lastHeartbeatTime: {{ $now | Quote }}
  lastTransitionTime: {{ $now | Quote }}
{{ end }}
addresses:
{{ with NodeIP }}
- type: InternalIP
  address: {{ . | Quote }}
{{ end }}
- type: Hostname
  address: {{ .metadata.name | Quote }}
allocatable:
  cpu: 1k
  memory: 4Ti
  ephemeral-storage: 4Ti
  pods: 100k
capacity:
  cpu: 1k
  memory: 4Ti
  ephemeral-storage: 4Ti
  pods: 100k
nodeInfo:
  architecture: amd64
  bootID: ""
  containerRuntimeVersion: {{ printf "kwok://%s" Version | Quote }}
  kernelVersion: ""
  kubeProxyVersion: ""
  kubeletVersion: VERSION
  machineID: ""
  operatingSystem: linux
  osImage: ""
  systemUUID: ""
phase: Running
"""


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
            # The chaos stage breaks pods that it also mends, after a while.
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
    mend = stage(
        "pod-chaos-mend",
        "Pod",
        [NOT_DELETED, matches(BROKEN_KEY, "Exists"), matches(READY_KEY, "In", "False")],
        [annotation_step(BROKEN_ANNOTATION, "null")],
        delay=(3_000, 10_000),
    )
    return [crash, mend]


def annotation_step(key: str, value: str) -> Document:
    """A step that sets an annotation to `value`, a YAML scalar; `null` takes it away."""
    template = f'annotations:\n  "{key}": {value}\n'
    return {"patch": {"root": "metadata", "template": template, "type": "merge"}}


def crashed_template() -> str:
    """The status of a pod whose containers have just crashed once more."""
    return (
        FIRST_LINES
        + conditions(ready=False, reason="ContainersNotReady")
        + containers(
            ready=False,
            started=False,
            restarts="{{ add $restarts 1 }}",
            state=waiting("CrashLoopBackOff", BACK_OFF),
            last=CRASHED,
        )
    )


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
