"""``replicas`` has one owner at a time, and a change of the owner never sets a number of
replicas that neither owner wants.
"""

from __future__ import annotations

from typing import Any

from contract.model import Object
from harness.objects import Objects, condition, eventually
from harness.operator_process import OperatorProcess

PODS = "gati.dev/workload=handler-web"


def autoscaling(low: int = 2, high: int = 6) -> dict[str, Any]:
    return {"enabled": True, "minReplicas": low, "maxReplicas": high, "targetCPU": 50}


def deployment(objects: Objects) -> Object:
    return objects.existing("deployments", "handler-web")


def replicas(objects: Objects) -> int:
    return int(deployment(objects)["spec"]["replicas"])


def replicas_since(objects: Objects, version: str) -> list[int]:
    """Every number of replicas that was stored since a resource version."""
    history = objects.history("deployments", "handler-web", version)
    return [obj["spec"]["replicas"] for obj in history]


def load(objects: Objects, millicores: int) -> bool:
    """Give all pods that there are now this use of CPU (each asks for 100m)."""
    return objects.cluster.set_selected_pod_metrics(objects.namespace, PODS, millicores) > 0


def scaled_to(objects: Objects, wanted: int, millicores: int) -> None:
    """Wait for the autoscaler to reach a number under a load."""
    eventually(lambda: load(objects, millicores) and replicas(objects) == wanted)


def test_replicas_follow_the_autoscaler_across_a_restart(
    operator: OperatorProcess, objects: Objects
) -> None:
    objects.handler("web", replicas=5)
    objects.ready("web")
    version = deployment(objects)["metadata"]["resourceVersion"]

    # On: what runs stays until the autoscaler decides.
    objects.handler("web", replicas=5, autoscaling=autoscaling())
    eventually(lambda: objects.get("horizontalpodautoscalers", "handler-web"))
    scaled_to(objects, 6, 100)
    objects.ready("web")
    operator.settle()
    assert set(replicas_since(objects, version)) == {5, 6}

    # Across a restart, and with other edits of the handler.
    version = deployment(objects)["metadata"]["resourceVersion"]
    assert operator.terminate() == 0
    mark = operator.audit_mark()
    operator.run()
    eventually(lambda: operator.reconciles() >= 1)
    operator.settle()
    assert [each for each in operator.writes(mark) if each.resource == "deployments"] == []
    objects.handler("web", replicas=5, autoscaling=autoscaling(), image="web:v2")
    objects.ready("web")
    objects.handler("web", replicas=4, autoscaling=autoscaling(), image="web:v2")
    objects.ready("web")
    assert set(replicas_since(objects, version)) == {6}

    # Off: back to the replicas of the spec, at once.
    version = deployment(objects)["metadata"]["resourceVersion"]
    objects.handler("web", replicas=4, image="web:v2")
    eventually(lambda: objects.get("horizontalpodautoscalers", "handler-web") is None)
    eventually(lambda: replicas(objects) == 4)
    objects.ready("web")
    assert set(replicas_since(objects, version)) <= {6, 4}

    # And on once more.
    version = deployment(objects)["metadata"]["resourceVersion"]
    objects.handler("web", replicas=4, image="web:v2", autoscaling=autoscaling())
    eventually(lambda: objects.get("horizontalpodautoscalers", "handler-web"))
    objects.ready("web")
    operator.settle(3.0)
    assert set(replicas_since(objects, version)) <= {4, 5, 6}


def test_a_new_autoscaled_handler_starts_within_its_bounds(
    operator: OperatorProcess, objects: Objects
) -> None:
    made = objects.handler("web", replicas=1, autoscaling=autoscaling(low=3))
    handler = objects.ready("web")
    assert handler["status"]["readyReplicas"] >= 3
    operator.settle()
    assert min(replicas_since(objects, made["metadata"]["resourceVersion"])) >= 3
    assert condition(handler, "Autoscaled")["reason"] == "OwnAutoscaler"


def test_an_autoscaler_of_a_handler_with_0_replicas_works(
    operator: OperatorProcess, objects: Objects
) -> None:
    objects.handler("web", replicas=0, autoscaling=autoscaling(low=1, high=3))
    objects.ready("web")
    spec = objects.existing("horizontalpodautoscalers", "handler-web")["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (1, 3)
    scaled_to(objects, 3, 200)


def test_a_handler_at_0_replicas_is_raised_by_autoscaling(
    operator: OperatorProcess, objects: Objects
) -> None:
    objects.handler("web", replicas=0)
    objects.ready("web")
    objects.handler("web", replicas=0, autoscaling=autoscaling())
    eventually(lambda: replicas(objects) >= 2)
    objects.ready("web")


def test_a_users_own_autoscaler_is_respected(operator: OperatorProcess, objects: Objects) -> None:
    objects.handler("web", replicas=2)
    objects.ready("web")
    version = deployment(objects)["metadata"]["resourceVersion"]
    objects.kubectl(
        *("autoscale", "deployment", "handler-web", "--name=mine"),
        *("--min=2", "--max=5", "--cpu=50%"),
    )
    scaled_to(objects, 5, 200)
    objects.wait_for_reason("web", "UsersAutoscaler", "Autoscaled")
    objects.handler("web", replicas=3, image="web:v2")
    objects.ready("web")
    operator.settle()
    numbers = replicas_since(objects, version)
    assert numbers == sorted(numbers)
    assert numbers[-1] == 5

    mine = objects.existing("horizontalpodautoscalers", "mine")
    assert "ownerReferences" not in mine["metadata"]
    objects.delete("horizontalpodautoscalers", "mine")
    eventually(lambda: replicas(objects) == 3)
    eventually(lambda: not condition(objects.existing("gatihandlers", "web"), "Autoscaled"))


def test_a_users_own_autoscaler_replaces_the_handlers_one(
    operator: OperatorProcess, objects: Objects
) -> None:
    objects.handler("web", replicas=3, autoscaling=autoscaling(low=3))
    objects.ready("web")
    version = deployment(objects)["metadata"]["resourceVersion"]
    objects.kubectl(
        *("autoscale", "deployment", "handler-web", "--name=mine"),
        *("--min=3", "--max=8", "--cpu=50%"),
    )
    eventually(lambda: objects.get("horizontalpodautoscalers", "handler-web") is None)
    scaled_to(objects, 8, 200)
    assert min(replicas_since(objects, version)) >= 3


def test_kubectl_scale_of_an_autoscaled_handler_has_no_effect(
    operator: OperatorProcess, objects: Objects
) -> None:
    objects.handler("web", replicas=2, autoscaling=autoscaling())
    objects.ready("web")
    operator.settle()
    version = deployment(objects)["metadata"]["resourceVersion"]
    passes = operator.reconciles()
    objects.kubectl("scale", "gh", "web", "--replicas=5")
    eventually(lambda: operator.reconciles() > passes)
    operator.settle()
    assert set(replicas_since(objects, version)) <= {2}
    objects.ready("web")


def test_an_autoscaler_may_scale_the_handler_itself(
    operator: OperatorProcess, objects: Objects
) -> None:
    objects.handler("web", replicas=2)
    objects.ready("web")
    objects.create(
        "horizontalpodautoscalers",
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "by-handler"},
            "spec": {
                "scaleTargetRef": {
                    "apiVersion": "gati.dev/v1",
                    "kind": "GatiHandler",
                    "name": "web",
                },
                "minReplicas": 2,
                "maxReplicas": 4,
                "metrics": [
                    {
                        "type": "Resource",
                        "resource": {
                            "name": "cpu",
                            "target": {"type": "Utilization", "averageUtilization": 50},
                        },
                    }
                ],
            },
        },
    )
    scaled_to(objects, 4, 200)
    assert objects.ready("web")["spec"]["replicas"] == 4
