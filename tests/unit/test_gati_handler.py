"""The plan of a GatiHandler: its children, the owner of replicas, the status and its Events."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.demands import Need, Refusal, Seen
from contract.facts import Ask
from contract.metadata import digest, owner_reference
from contract.model import Object
from contract.plan import Note
from gati.handler import configuration
from gati.handler.controller import WATCHES, HandlerController
from gati.reasons import FAILURES
from objects.kinds import CONFIG_MAP, HORIZONTAL_POD_AUTOSCALER, POD
from unit.gati_objects import (
    IMAGE,
    NOW,
    autoscaler,
    child,
    children,
    condition,
    conditions_of,
    handler,
    key,
    kinds,
    live_deployment,
    message,
    needed,
    plan,
    planned,
    problem,
    seeing,
    stamped,
    waiting,
)

AUTOSCALED: Object = {"autoscaling": {"enabled": True, "minReplicas": 2, "maxReplicas": 6}}
DEPLOYMENT_KEY = key("Deployment", "handler-users")


def watch(kind):
    return next(one for one in WATCHES if one.kind == kind)


def deployment_child(of):
    return next(one for one in children(of) if one.kind.kind == "Deployment")


def ready_status(parent, **spec):
    """The parent as it is stored once it is ready."""
    parent = handler(**spec) if parent is None else parent
    done = plan(parent, seeing(live_deployment(parent)))
    return parent | {"status": done.status}


# What is made.


def test_a_plain_handler_has_a_deployment_a_service_and_a_budget():
    assert kinds(plan(handler())) == ["Deployment", "Service", "PodDisruptionBudget"]


def test_configuration_and_autoscaling_add_their_objects():
    wanted = plan(handler(config={"A": "1"}, **AUTOSCALED))
    assert kinds(wanted) == [
        "ConfigMap",
        "Deployment",
        "Service",
        "HorizontalPodAutoscaler",
        "PodDisruptionBudget",
    ]


def test_waves_order_config_map_deployment_and_autoscaler():
    made = plan(handler(config={"A": "1"}, **AUTOSCALED))
    waves = {one.kind.kind: one.wave for one in children(made)}
    assert waves["ConfigMap"] < waves["Deployment"] < waves["HorizontalPodAutoscaler"]


def test_a_taken_service_name_does_not_delay_the_deployment():
    waves = {one.kind.kind: one.wave for one in children(plan(handler()))}
    assert waves["Service"] >= waves["Deployment"]


# Replicas have one owner.

OWNERS = [
    # spec, live replicas, user's autoscaler, replicas written (None: yielded)
    ({"replicas": 3}, None, None, 3),
    ({"replicas": 3}, 7, None, 3),
    ({"replicas": 0}, 3, None, 0),
    ({"replicas": 3, **AUTOSCALED}, None, None, 3),
    ({"replicas": 9, **AUTOSCALED}, None, None, 6),
    ({"replicas": 0, **AUTOSCALED}, None, None, 2),
    ({"replicas": 3, **AUTOSCALED}, 5, None, None),
    ({"replicas": 3, **AUTOSCALED}, 0, None, 2),
    ({"replicas": 3}, 5, autoscaler(), None),
    ({"replicas": 3}, 0, autoscaler(low=4), 4),
    ({"replicas": 9}, None, autoscaler(high=6), 6),
    ({"replicas": 3, **AUTOSCALED}, 5, autoscaler(), None),
]


@pytest.mark.parametrize(("spec", "live", "user", "written"), OWNERS)
def test_replicas_have_one_owner(spec, live, user, written):
    parent = handler(**spec)
    deployment = None if live is None else live_deployment(parent, replicas=live)
    wanted = deployment_child(plan(parent, seeing(deployment, *([user] if user else []))))
    assert wanted.body["spec"].get("replicas") == written
    assert wanted.yields == ((("spec", "replicas"),) if written is None else ())


def test_disabled_autoscaling_hands_the_replicas_back():
    deployment = live_deployment(handler(**AUTOSCALED), replicas=5)
    parent = handler(autoscaling={"enabled": False})
    wanted = plan(parent, seeing(deployment))
    assert child(wanted, "Deployment")["spec"]["replicas"] == 3
    assert "HorizontalPodAutoscaler" not in kinds(wanted)


def test_a_users_autoscaler_replaces_ours_and_is_reported():
    parent = handler(**AUTOSCALED)
    wanted = plan(parent, seeing(live_deployment(parent), autoscaler("mine")))
    assert "HorizontalPodAutoscaler" not in kinds(wanted)
    assert conditions_of(wanted)["Autoscaled"] == ("True", "UsersAutoscaler")
    assert "your HorizontalPodAutoscaler mine" in message(wanted, "Autoscaled")


def test_our_own_autoscaler_is_not_taken_for_a_users():
    parent = handler(**AUTOSCALED)
    (own,) = (
        stamped(parent, one)
        for one in plan(parent).children or ()
        if one.kind == HORIZONTAL_POD_AUTOSCALER
    )
    wanted = plan(parent, seeing(live_deployment(parent), own))
    assert "HorizontalPodAutoscaler" in kinds(wanted)
    assert conditions_of(wanted)["Autoscaled"] == ("True", "OwnAutoscaler")


def test_an_autoscaler_of_keda_may_stop_all_pods():
    parent = handler()
    scaled_object = {"kind": "ScaledObject", "name": "users", "uid": "s", "controller": True}
    keda = autoscaler(low=2, ownerReferences=[scaled_object])
    wanted = plan(parent, seeing(live_deployment(parent, replicas=0), keda))
    assert deployment_child(wanted).yields == (("spec", "replicas"),)
    assert conditions_of(wanted)["Ready"] == ("True", "ScaledToZero")


def test_the_floor_of_the_autoscaler_decides_about_the_budget():
    low = AUTOSCALED["autoscaling"] | {"minReplicas": 1}
    assert "PodDisruptionBudget" not in kinds(plan(handler(replicas=5, autoscaling=low)))


def test_scaling_up_makes_nothing_unready():
    parent = handler(**AUTOSCALED)
    growing = live_deployment(parent, replicas=6, total=3, available=2)
    assert conditions_of(plan(parent, seeing(growing)))["Ready"] == ("True", "Ready")


# Configuration.


def config_map(name="shared", **data):
    return {"metadata": {"name": name, "namespace": "shop", "resourceVersion": "1"}, "data": data}


def digest_of(wanted):
    template = child(wanted, "Deployment")["spec"]["template"]
    return template["metadata"]["annotations"].get("gati.dev/config-digest")


REFERRING = [
    {"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "shared", "key": "k"}}}]},
    {"envFrom": [{"configMapRef": {"name": "shared"}}]},
    {"volumes": [{"name": "v", "configMap": {"name": "shared"}}]},
    {"volumes": [{"name": "v", "projected": {"sources": [{"configMap": {"name": "shared"}}]}}]},
]


@pytest.mark.parametrize("spec", REFERRING)
def test_a_changed_config_map_that_the_pods_use_rolls_them(spec):
    parent = handler(**spec)
    need = Need(CONFIG_MAP, "shop", name="shared")
    assert need in needed(HandlerController(), parent)
    before = plan(parent, Seen(needed={need: (config_map(k="1"),)}))
    after = plan(parent, Seen(needed={need: (config_map(k="2"),)}))
    touched = config_map(k="1") | {"metadata": {"name": "shared", "resourceVersion": "2"}}
    assert digest_of(before) != digest_of(after)
    assert digest_of(before) == digest_of(plan(parent, Seen(needed={need: (touched,)})))


def test_a_changed_config_of_its_own_rolls_the_pods():
    assert digest_of(plan(handler(config={"A": "1"}))) != digest_of(
        plan(handler(config={"A": "2"}))
    )
    assert digest_of(plan(handler())) is None


def test_a_config_map_cut_down_by_the_cache_has_the_same_digest():
    whole = config_map(k="1") | {"binaryData": {"b": "AA=="}}
    kept = configuration.keep(whole)
    assert "data" not in kept
    assert configuration.content_digest(kept) == configuration.content_digest(whole)


def test_the_cache_keeps_own_config_maps_and_adopt_annotations():
    own = child(plan(handler(config={"A": "1"})), "ConfigMap")
    assert configuration.keep(own) == own
    annotations = {"gati.dev/adopt": "users", "big": "x" * 1000}
    other = config_map() | {"metadata": {"name": "x", "annotations": annotations}}
    assert configuration.keep(other)["metadata"]["annotations"] == {"gati.dev/adopt": "users"}


def test_an_own_config_map_in_a_volume_is_not_needed_twice():
    parent = handler(
        config={"A": "1"}, volumes=[{"name": "v", "configMap": {"name": "handler-users"}}]
    )
    needs = [each for each in needed(HandlerController(), parent) if not isinstance(each, Ask)]
    assert all(need.kind != CONFIG_MAP for need in needs)


OWN = [{"configMapRef": {"name": "handler-users"}}]
STILL_READ = [
    # what the Deployment was made of, how far its rollout is, whether the ConfigMap stays
    ({"config": {"A": "1"}}, {}, True),
    ({"envFrom": OWN}, {}, True),
    ({"volumes": [{"name": "v", "configMap": {"name": "handler-users"}}]}, {}, True),
    ({}, {"current": False}, True),
    ({}, {"total": 4, "updated": 3}, True),
    ({}, {"total": 3, "updated": 0}, True),
    ({}, {"available": 0}, False),
    ({}, {"replicas": 0}, False),
    ({}, {}, False),
]


@pytest.mark.parametrize(("spec", "shown", "stays"), STILL_READ)
def test_an_unwanted_config_map_stays_while_pods_may_need_it(spec, shown, stays):
    deployment = live_deployment(handler(**spec), **shown)
    own = child(plan(handler(config={"A": "1"})), "ConfigMap")
    children = {
        key("Deployment", "handler-users"): deployment,
        key("ConfigMap", "handler-users"): own,
    }
    wanted = plan(handler(), Seen("shop", children=children))
    assert ("ConfigMap" in kinds(wanted)) == stays
    if stays:
        assert child(wanted, "ConfigMap") == own


def test_no_config_map_is_made_for_pods_that_named_one_before():
    deployment = live_deployment(handler(config={"A": "1"}))
    assert "ConfigMap" not in kinds(plan(handler(), seeing(deployment)))


def test_a_terminating_own_config_map_is_not_wanted():
    deployment = live_deployment(handler(config={"A": "1"}))
    own = child(plan(handler(config={"A": "1"})), "ConfigMap")
    own["metadata"]["deletionTimestamp"] = "2026-01-02T03:04:05Z"
    children = {
        key("Deployment", "handler-users"): deployment,
        key("ConfigMap", "handler-users"): own,
    }
    assert "ConfigMap" not in kinds(plan(handler(), Seen("shop", children=children)))


def test_the_cache_keeps_an_own_config_map_without_its_label():
    own = {"name": "handler-users", "annotations": {"gati.dev/owner-uid": "u"}}
    whole = config_map(k="1") | {"metadata": own}
    assert configuration.keep(whole) == whole


def test_a_users_config_map_of_the_workloads_name_rolls_the_pods():
    parent = handler(envFrom=[{"configMapRef": {"name": "handler-users"}}])
    need = Need(CONFIG_MAP, "shop", name="handler-users")
    assert need in needed(HandlerController(), parent)
    before = plan(parent, Seen(needed={need: (config_map("handler-users", k="1"),)}))
    after = plan(parent, Seen(needed={need: (config_map("handler-users", k="2"),)}))
    assert digest_of(before) != digest_of(after)


# What cannot be honoured changes nothing that runs.


def test_an_invalid_spec_keeps_the_children_and_names_the_remedy():
    deployment = live_deployment(handler())
    wanted = plan(handler(port=0), seeing(deployment))
    assert wanted.children is None
    assert conditions_of(wanted) == {
        "Ready": ("False", "InvalidSpec"),
        "Stalled": ("True", "InvalidSpec"),
    }
    assert message(wanted) == "spec.port: is 0: write a number from 1 to 65535"
    assert (wanted.status["phase"], wanted.status["readyReplicas"]) == ("Failed", 3)


@pytest.mark.parametrize("spec", [None, [], "x"])
def test_an_object_without_a_spec_is_reported_and_writes_nothing(spec):
    wanted = plan(handler() | {"spec": spec})
    assert wanted.children is None
    assert conditions_of(wanted)["Ready"] == ("False", "InvalidSpec")


def test_a_missing_image_is_reported_unless_there_is_a_default():
    parent = handler(image=None)
    wanted = plan(parent)
    assert wanted.children is None
    assert conditions_of(wanted)["Ready"] == ("False", "ImageMissing")
    assert "--default-image" in message(wanted)
    made = child(plan(parent, default_image=IMAGE), "Deployment")
    assert made["spec"]["template"]["spec"]["containers"][0]["image"] == IMAGE


def test_a_suspended_handler_writes_no_child_and_stays_reported():
    parent = handler(suspend=True)
    healthy = plan(parent, seeing(live_deployment(handler())))
    broken = plan(parent, seeing(live_deployment(handler(), available=1)))
    assert healthy.children is broken.children is None
    assert healthy.status["phase"] == broken.status["phase"] == "Suspended"
    assert conditions_of(healthy)["Ready"] == ("True", "Ready")
    assert conditions_of(broken)["Ready"] == ("False", "Progressing")
    assert conditions_of(broken)["Suspended"] == ("True", "Suspended")


def test_a_suspended_handler_is_judged_by_its_live_deployment():
    live = live_deployment(handler(replicas=3))
    wanted = plan(handler(suspend=True, replicas=50), seeing(live))
    assert conditions_of(wanted)["Ready"] == ("True", "Ready")


@pytest.mark.parametrize("change", [{}, {"port": 0}, {"image": None}])
def test_suspension_precedes_every_other_reason(change):
    wanted = plan(handler(suspend=True, **change))
    assert wanted.children is None
    assert conditions_of(wanted)["Ready"] == ("False", "Suspended")


# Obstacles.


def test_a_taken_name_is_reported_with_its_remedies():
    foreign = {DEPLOYMENT_KEY: "it is managed by Helm"}
    wanted = plan(handler(), seeing(None, foreign=foreign))
    assert conditions_of(wanted)["Ready"] == ("False", "NameConflict")
    assert conditions_of(wanted)["Stalled"] == ("True", "NameConflict")
    for word in ("Deployment handler-users", "managed by Helm", "gati.dev/adopt=users", "delete"):
        assert word in message(wanted)
    assert wanted.again_at == NOW + timedelta(seconds=30)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('admission webhook "p" denied the request: no', "ApiRefused"),
        ("exceeded quota: objects, requested: count/deployments=1", "QuotaExceeded"),
    ],
)
def test_a_refusal_is_reported_with_the_servers_message(text, reason):
    refused = {DEPLOYMENT_KEY: Refusal(403, "Forbidden", text)}
    wanted = plan(handler(), seeing(live_deployment(handler()), refused=refused))
    assert conditions_of(wanted)["Ready"] == ("False", reason)
    assert conditions_of(wanted)["Stalled"] == ("True", reason)
    assert text in message(wanted)


def test_a_contest_is_reported_and_hides_no_other_condition():
    contested = {DEPLOYMENT_KEY: "kubectl-edit"}
    wanted = plan(handler(), seeing(live_deployment(handler()), contested=contested))
    assert conditions_of(wanted)["Ready"] == ("True", "Ready")
    assert conditions_of(wanted)["Contested"] == ("True", "Contested")
    assert "Deployment handler-users by kubectl-edit" in message(wanted, "Contested")


@pytest.mark.parametrize("field", ["foreign", "refused", "contested"])
def test_the_children_do_not_depend_on_the_last_writes_outcome(field):
    answers = {"foreign": "x", "refused": Refusal(403, "", "x"), "contested": "x"}
    live = live_deployment(handler(**AUTOSCALED))
    after = seeing(live, **{field: {DEPLOYMENT_KEY: answers[field]}})
    assert (
        plan(handler(**AUTOSCALED), after).children
        == plan(handler(**AUTOSCALED), seeing(live)).children
    )


# Status.


def test_the_status_of_a_healthy_handler_shows_one_condition():
    parent = handler(version="v1")
    live = live_deployment(parent)
    wanted = plan(parent, seeing(live))
    assert wanted.status == {
        "observedGeneration": 1,
        "templateHash": digest(live["spec"]["template"], 10),
        "phase": "Running",
        "replicas": 3,
        "readyReplicas": 3,
        "updatedReplicas": 3,
        "selector": "gati.dev/workload=handler-users",
        "version": "v1",
        "image": IMAGE,
        "conditions": [
            {
                "type": "Ready",
                "status": "True",
                "observedGeneration": 1,
                "lastTransitionTime": "2026-01-02T03:04:05Z",
                "reason": "Ready",
                "message": "3 of 3 replicas ready",
            }
        ],
    }


def test_version_and_image_are_those_that_run():
    live = live_deployment(handler(version="v1"))
    wanted = plan(handler(version="v2", image="other", port=0), seeing(live))
    assert (wanted.status["version"], wanted.status["image"]) == ("v1", IMAGE)


PHASES = [
    ({"available": 0}, None, "Pending"),
    ({}, None, "Running"),
    ({"total": 4, "updated": 1}, None, "Running"),
    ({"available": 0}, "ErrImagePull", "Failed"),
    ({"total": 4, "updated": 1}, "ErrImagePull", "Running"),
    (
        {
            "available": 0,
            "conditions": (condition("Progressing", "False", "ProgressDeadlineExceeded"),),
        },
        None,
        "Failed",
    ),
]


@pytest.mark.parametrize(("shown", "trouble", "phase"), PHASES)
def test_the_phase_summarizes_the_conditions(shown, trouble, phase):
    pods = [problem(waiting(trouble))] if trouble else []
    wanted = plan(handler(), seeing(live_deployment(handler(), **shown), *pods))
    assert wanted.status["phase"] == phase


def test_a_rollout_is_reconciling_and_not_stalled():
    wanted = plan(handler(), seeing(live_deployment(handler(), current=False)))
    assert conditions_of(wanted) == {
        "Ready": ("False", "Progressing"),
        "Reconciling": ("True", "Progressing"),
    }


def test_pods_that_cannot_start_give_reason_and_message():
    stuck = problem(waiting("ErrImagePull"))
    wanted = plan(handler(), seeing(live_deployment(handler(), available=0), stuck))
    assert conditions_of(wanted)["Ready"] == ("False", "ImagePullBackOff")
    assert message(wanted) == f"0 of 3 replicas ready: the image {IMAGE} cannot be pulled"


SITUATIONS = st.builds(
    lambda shown, pods, spec, answers: (shown, pods, spec, answers),
    st.none()
    | st.fixed_dictionaries(
        {
            "replicas": st.integers(0, 4),
            "total": st.integers(0, 5),
            "updated": st.integers(0, 5),
            "available": st.integers(0, 5),
            "current": st.booleans(),
        }
    ),
    st.lists(st.sampled_from(["ErrImagePull", "CrashLoopBackOff", "InvalidImageName"]), max_size=2),
    st.fixed_dictionaries(
        {"replicas": st.integers(0, 4)},
        optional={
            "suspend": st.booleans(),
            "port": st.sampled_from([0, 80]),
            "image": st.none(),
            "autoscaling": st.just(AUTOSCALED["autoscaling"]),
        },
    ),
    st.fixed_dictionaries(
        {},
        optional={
            "foreign": st.just({DEPLOYMENT_KEY: "it is managed by Helm"}),
            "refused": st.just({DEPLOYMENT_KEY: Refusal(422, "Invalid", "no")}),
            "contested": st.just({DEPLOYMENT_KEY: "kubectl"}),
        },
    ),
)


def situation(shown, troubles, spec, answers):
    pods = [problem(waiting(trouble)) for trouble in troubles]
    deployment = None if shown is None else live_deployment(handler(), **shown)
    return handler(**spec), seeing(deployment, *pods, **answers)


def timeless(status):
    return status | {
        "conditions": [
            {key: value for key, value in one.items() if key != "lastTransitionTime"}
            for one in status["conditions"]
        ]
    }


@given(SITUATIONS)
def test_a_wiped_status_comes_back_the_same(drawn):
    parent, seen = situation(*drawn)
    first = plan(parent, seen)
    later = planned(
        HandlerController(), parent | {"status": first.status}, seen, NOW + timedelta(days=1)
    )
    wiped = planned(HandlerController(), parent, seen, NOW + timedelta(days=1))
    assert later.status == first.status
    assert timeless(wiped.status) == timeless(first.status)


@given(SITUATIONS)
def test_a_stored_status_that_still_holds_sends_no_event(drawn):
    parent, seen = situation(*drawn)
    stored = parent | {"status": plan(parent, seen).status}
    assert plan(stored, seen).notes == ()


@given(SITUATIONS)
def test_every_status_follows_kstatus(drawn):
    parent, seen = situation(*drawn)
    wanted = plan(parent, seen)
    shown = conditions_of(wanted)
    ready = shown["Ready"][0] == "True"
    assert not (ready and ("Stalled" in shown or "Reconciling" in shown))
    assert not ("Stalled" in shown and "Reconciling" in shown)
    assert ready or "Stalled" in shown or "Reconciling" in shown or "Suspended" in shown
    assert all(one["message"] for one in wanted.status["conditions"])


@given(SITUATIONS)
def test_two_plans_over_the_same_objects_are_the_same(drawn):
    first, second = situation(*drawn), situation(*drawn)
    assert plan(*first) == plan(*second)
    assert first == second, "a plan must not change what it was given"


@pytest.mark.parametrize("status", [None, {}, {"conditions": None}])
def test_an_empty_status_is_planned_as_a_new_handler(status):
    """As ``plan -f`` reads it from a file with a line ``status:``."""
    seen = seeing(live_deployment(handler()))
    assert plan(handler() | {"status": status}, seen) == plan(handler(), seen)


# Events.


def test_from_nothing_to_ready_there_is_one_event():
    parent = handler()
    notes: list[Note] = []
    shapes: tuple[dict[str, Any], ...] = (
        {"total": 0, "available": 0, "current": False},
        {"available": 0},
        {"available": 2},
        {},
    )
    for shown in shapes:
        made = plan(parent, seeing(live_deployment(handler(), **shown)))
        notes += made.notes
        parent = parent | {"status": made.status}
    assert [(note.type, note.reason) for note in notes] == [("Normal", "Ready")]


def test_a_new_reason_for_not_being_ready_is_a_warning_once():
    parent = ready_status(None)
    seen = seeing(live_deployment(handler(), available=0), problem(waiting("ErrImagePull")))
    made = plan(parent, seen)
    assert [(note.type, note.reason) for note in made.notes] == [("Warning", "ImagePullBackOff")]
    assert plan(parent | {"status": made.status}, seen).notes == ()


def test_pods_lost_without_a_change_are_a_warning():
    made = plan(ready_status(None), seeing(live_deployment(handler(), available=1)))
    assert [(note.type, note.reason) for note in made.notes] == [("Warning", "NotReady")]


def test_a_rollout_that_somebody_asked_for_is_no_warning():
    old = ready_status(None)
    changed = handler(generation=2, version="v2") | {"status": old["status"]}
    assert plan(changed, seeing(live_deployment(handler(), current=False))).notes == ()


def test_suspending_and_resuming_give_events():
    stored = ready_status(None)
    suspended = handler(suspend=True) | {"status": stored["status"]}
    seen = seeing(live_deployment(handler()))
    first = plan(suspended, seen)
    assert [note.reason for note in first.notes] == ["Suspended"]
    resumed = plan(handler() | {"status": first.status}, seen)
    assert [note.reason for note in resumed.notes] == ["Resumed"]


@pytest.mark.parametrize("reason", sorted(FAILURES))
def test_every_failure_has_its_line_in_the_reference(reason, reference):
    assert f"| `{reason}` |" in reference


# What wakes a handler.


@pytest.mark.parametrize("name", ["users", "n" * 100])
def test_a_handler_is_woken_by_the_problems_of_its_pods(name):
    metadata = child(plan(handler(name)), "Deployment")["spec"]["template"]["metadata"]
    kept = problem(waiting("ErrImagePull"), **metadata)
    need = Need(POD, "shop", index=watch(POD).index(kept))
    assert need in needed(HandlerController(), handler(name))


@pytest.mark.parametrize("name", ["users", "n" * 100])
def test_an_autoscaler_of_any_name_wakes_the_handler_it_targets(name):
    own = child(plan(handler(name, **AUTOSCALED)), "HorizontalPodAutoscaler")
    users = autoscaler() | {"spec": own["spec"]}
    need = Need(
        HORIZONTAL_POD_AUTOSCALER, "shop", index=watch(HORIZONTAL_POD_AUTOSCALER).index(users)
    )
    assert need in needed(HandlerController(), handler(name))


@pytest.mark.parametrize(
    "target",
    [
        {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "handler-users"},
        {"apiVersion": "gati.dev/v1", "kind": "GatiHandler", "name": "users"},
        {},
    ],
)
def test_an_autoscaler_of_another_target_wakes_no_handler(target):
    other = autoscaler() | {"spec": {"scaleTargetRef": target}}
    assert watch(HORIZONTAL_POD_AUTOSCALER).index(other) is None


def test_an_autoscalers_own_status_never_reaches_the_cache():
    kept = watch(HORIZONTAL_POD_AUTOSCALER).keep(autoscaler() | {"status": {"currentReplicas": 4}})
    assert kept == autoscaler()


def test_the_owner_reference_names_the_storage_version():
    assert owner_reference(handler(), HandlerController.kind)["apiVersion"] == "gati.dev/v1"


@pytest.fixture(scope="module")
def reference(request):
    path = request.config.rootpath / "docs" / "reference" / "gati-conditions.md"
    return path.read_text()
