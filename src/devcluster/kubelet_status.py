"""The statuses that kwok writes, as templates over the object: what a kubelet would report.

A template sees the object as `.`; a pod's containers all get the same state. Times are the moment
at which the template is rendered.
"""

from __future__ import annotations

from dataclasses import dataclass

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
