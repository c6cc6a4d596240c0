"""What is known to go wrong with a handler, and the test on a real control plane that shows it
does not.

S are behavioural scenarios in which the public Gati operator gives a bad answer, B its bugs, and A
what this operator promises beyond them. A row has one or more tests, as ``file::test``, or the reason
why there is none. ``scenario_checks.py`` holds the rows to that whenever tests are collected.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Shown:
    """What is to hold, or the bug that is not to be; and the tests that show it."""

    what: str
    tests: tuple[str, ...]


@dataclass(frozen=True)
class Waiting:
    """A row about a kind that the operator accepts and does not manage yet."""

    what: str
    kind: str


@dataclass(frozen=True)
class Inapplicable:
    """A row that does not apply to this operator, and why."""

    what: str
    reason: str


Row = Shown | Waiting | Inapplicable


def shown(what: str, *tests: str) -> Shown:
    """A row with its tests, each as ``file::test``."""
    return Shown(what, tests)


SCENARIOS: Mapping[str, Row] = {
    "S1": shown(
        "A new version rolls the Deployment in place.",
        "test_handler_lifecycle.py::test_a_new_version_rolls_the_deployment_in_place",
    ),
    "S2": shown(
        "An edit of a handler's metadata leaves its children untouched.",
        "test_handler_writes.py::test_an_edit_of_the_handlers_metadata_writes_nothing",
    ),
    "S3": shown(
        "Labels, annotations and containers that others add to a child stay.",
        "test_handler_writes.py::test_labels_and_annotations_of_others_stay_on_children",
        "test_handler_writes.py::test_a_container_of_others_stays_beside_the_handlers",
        "test_handler_writes.py::test_a_restart_of_the_pods_by_kubectl_is_not_undone",
    ),
    "S4": shown(
        "Replicas that a HorizontalPodAutoscaler owns are not reset.",
        "test_handler_autoscaling.py::test_replicas_follow_the_autoscaler_across_a_restart",
        "test_handler_autoscaling.py::test_a_users_own_autoscaler_is_respected",
    ),
    "S5": shown(
        "A child that is edited or deleted is repaired, by its watch alone.",
        "test_handler_drift.py::test_an_edited_child_is_repaired_in_place",
        "test_handler_drift.py::test_a_deleted_child_comes_back",
        "test_handler_drift.py::test_drift_during_a_downtime_is_repaired_at_the_start",
    ),
    "S6": shown(
        "A handler that is deleted while the operator is down leaves nothing behind.",
        "test_handler_lifecycle.py::test_a_handler_deleted_during_a_downtime_leaves_nothing",
    ),
    "S7": shown(
        "A handler that is deleted during a retry leaves no orphan.",
        "test_handler_lifecycle.py::test_a_handler_deleted_during_its_retries_leaves_no_orphan",
    ),
    "S8": shown(
        "Two handlers of one version do not share a pod.",
        "test_handler_lifecycle.py::test_two_handlers_of_one_version_share_no_pod",
    ),
    "S9": shown(
        "A handler is served in every namespace, not only in default.",
        "test_handler_installations.py::test_an_operator_of_all_namespaces_serves_a_later_one",
    ),
    "S10": shown(
        "An object without a spec is refused, and delays no other object.",
        "test_handler_admission.py::test_the_api_server_refuses_an_invalid_spec_by_its_field",
    ),
    "S11": shown(
        "A version that is not a legal label value works.",
        "test_handler_lifecycle.py::test_a_new_version_rolls_the_deployment_in_place",
    ),
    "S12": shown(
        "The ports 0 and 99999 are refused.",
        "test_handler_admission.py::test_the_api_server_refuses_an_invalid_spec_by_its_field",
    ),
    "S13": shown(
        "A watch that ends or expires is opened again.",
        "test_handler_api_faults.py::test_watches_that_break_again_and_again_lose_no_change",
        "test_handler_killed_api_server.py::test_a_killed_api_server_costs_no_write",
        "test_handler_killed_api_server.py::test_a_change_of_the_crd_loses_no_edit",
    ),
    "S14": shown(
        "An answer 429 is waited for.",
        "test_handler_api_faults.py::test_an_overloaded_api_server_is_waited_for",
    ),
    "S15": shown(
        "The API server may be killed with -9 at any time.",
        "test_handler_killed_api_server.py::test_a_killed_api_server_costs_no_write",
    ),
    "S16": shown(
        "SIGTERM during a retry ends the operator in time, with exit code 0.",
        "test_handler_api_faults.py::test_sigterm_ends_an_operator_in_the_middle_of_its_retries",
        "test_handler_api_faults.py::test_sigterm_ends_an_operator_that_reaches_no_api_server",
    ),
    "S17": shown(
        "No log holds a token.",
        "test_handler_api_faults.py::test_no_log_holds_a_token_whatever_fails",
    ),
    "S18": Waiting(
        "A version with traffic, or without a history of traffic, is never decommissioned.",
        kind="GatiVersion",
    ),
    "S19": shown(
        "Status, Events and owner references are written.",
        "test_handler_lifecycle.py::test_a_handler_gets_children_with_owner_status_and_events",
    ),
    "S20": shown(
        "A restart writes nothing when nothing changed.",
        "test_handler_writes.py::test_a_restart_writes_nothing",
    ),
    "B1": shown(
        "The public operator cannot watch its own kinds, and exits with code 1.",
        "test_handler_lifecycle.py::test_a_handler_gets_children_with_owner_status_and_events",
    ),
    "B2": shown(
        "A version bump changes an immutable selector; the crash loop stops all other handlers.",
        "test_handler_lifecycle.py::test_a_new_version_rolls_the_deployment_in_place",
    ),
    "B3": shown(
        "A handler without a spec is admitted, and crashes the operator.",
        "test_handler_admission.py::test_the_api_server_refuses_an_invalid_spec_by_its_field",
    ),
    "B4": shown(
        "A version that is not a legal label value crashes the operator.",
        "test_handler_lifecycle.py::test_a_new_version_rolls_the_deployment_in_place",
    ),
    "B5": shown(
        "The Services of two handlers of one version select the pods of both.",
        "test_handler_lifecycle.py::test_two_handlers_of_one_version_share_no_pod",
    ),
    "B6": shown(
        "A retry makes the Deployment and Service of a deleted handler again, for good.",
        "test_handler_lifecycle.py::test_a_handler_deleted_during_its_retries_leaves_no_orphan",
    ),
    "B7": shown(
        "The end of a watch, a 429 or a restart of the API server ends the process with code 0.",
        "test_handler_api_faults.py::test_watches_that_break_again_and_again_lose_no_change",
        "test_handler_api_faults.py::test_an_overloaded_api_server_is_waited_for",
        "test_handler_killed_api_server.py::test_a_killed_api_server_costs_no_write",
    ),
    "B8": shown(
        "The headers of a failing request are logged, the bearer token among them.",
        "test_handler_api_faults.py::test_no_log_holds_a_token_whatever_fails",
    ),
    "B9": shown(
        "An error that no retry can change, such as 422, is tried sixteen times.",
        "test_handler_failures.py::test_a_permanent_refusal_is_reported_once_and_rarely_retried",
    ),
    "B10": Waiting(
        "Decommissioning deletes the children first; when the status fails, nothing stands behind it.",
        kind="GatiVersion",
    ),
    "B11": Waiting(
        "A version of weight 100, or one that never had traffic, is decommissioned.",
        kind="GatiVersion",
    ),
    "B12": Inapplicable(
        "The targets Helm and GitOps report success and do nothing.",
        reason="the one deployment target that ships is Kubernetes itself",
    ),
    "B13": Waiting(
        "The capabilities of a module become Linux capabilities that do not exist.",
        kind="GatiModule",
    ),
    "B14": shown(
        "Two reconciles of one handler run at once, and the older one may win.",
        "test_handler_lifecycle.py::test_the_last_of_several_quick_edits_is_applied",
    ),
    "B15": shown(
        "The HorizontalPodAutoscaler of a handler with 0 replicas is not valid (min 1, max 0).",
        "test_handler_autoscaling.py::test_an_autoscaler_of_a_handler_with_0_replicas_works",
    ),
    "B16": Waiting(
        "A module with the capability storage gets no writable volume, any other gets one.",
        kind="GatiModule",
    ),
    "B17": shown(
        "The status is sent by a normal write, which drops it as there is a status subresource.",
        "test_handler_writes.py::test_a_wiped_status_comes_back_the_same",
        "test_handler_lifecycle.py::test_a_handler_gets_children_with_owner_status_and_events",
    ),
    "B18": Waiting(
        "Each update of a weight stamps the time of the last traffic.",
        kind="GatiVersion",
    ),
    "B19": Waiting(
        "A rollout sleeps in memory, and checks health once at the start of each phase.",
        kind="GatiVersion",
    ),
    "B20": Waiting(
        "Unavailable replicas count as requests in flight, so some versions never go.",
        kind="GatiVersion",
    ),
    "B21": Waiting(
        "A grace period of 0 is ignored, and a restart loses the history of traffic.",
        kind="GatiVersion",
    ),
    "B22": shown(
        "There is no leader election, no rate limit, no paging, and no namespace but default.",
        "test_handler_installations.py::test_one_of_two_operators_writes_and_the_other_takes_over",
        "test_handler_installations.py::test_an_operator_of_all_namespaces_serves_a_later_one",
    ),
    "B23": shown(
        "The containers of handlers are not hardened.",
        "test_handler_admission.py::test_pods_are_hardened_enough_for_a_restricted_namespace",
    ),
    "A1": shown(
        "A name clash changes nothing foreign, stands in the status, and heals within 33 s.",
        "test_handler_clash.py::test_a_name_clash_is_reported_and_heals_by_itself",
        "test_handler_clash.py::test_a_name_clash_of_any_other_child_is_reported",
        "test_handler_clash.py::test_labels_and_annotations_alone_do_not_make_a_child",
        "test_handler_clash.py::test_a_name_clash_is_checked_again_after_a_restart",
    ),
    "A2": shown(
        "Only the annotation adopt hands a foreign object over.",
        "test_handler_clash.py::test_the_adopt_annotation_adopts_a_foreign_object",
        "test_handler_clash.py::test_a_child_of_a_live_parent_is_not_adopted",
        "test_handler_clash.py::test_orphaned_children_are_adopted_by_their_annotation",
    ),
    "A3": shown(
        "A label, mark or owner reference that is taken off a child is put back in place.",
        "test_handler_drift.py::test_removed_marks_of_a_child_are_restored_in_place",
    ),
    "A4": shown(
        "kubectl scale of the Deployment is undone, kubectl scale of the handler is followed.",
        "test_handler_drift.py::test_kubectl_scale_of_the_deployment_is_undone",
        "test_handler_lifecycle.py::test_kubectl_scale_of_the_handler_sets_its_replicas",
        "test_handler_autoscaling.py::test_an_autoscaler_may_scale_the_handler_itself",
    ),
    "A5": shown(
        "The replicas of the Deployment never show a number that nobody asked for.",
        "test_handler_autoscaling.py::test_replicas_follow_the_autoscaler_across_a_restart",
        "test_handler_autoscaling.py::test_a_new_autoscaled_handler_starts_within_its_bounds",
        "test_handler_autoscaling.py::test_a_handler_at_0_replicas_is_raised_by_autoscaling",
        "test_handler_autoscaling.py::test_a_users_own_autoscaler_replaces_the_handlers_one",
        "test_handler_autoscaling.py::test_kubectl_scale_of_an_autoscaled_handler_has_no_effect",
    ),
    "A6": shown(
        "The field manager that keeps changing a child is named in the status.",
        "test_handler_drift.py::test_a_contest_names_the_rival_and_slows_the_repairs",
    ),
    "A7": shown(
        "A suspended handler is left as it is.",
        "test_handler_lifecycle.py::test_a_suspended_handler_keeps_its_children_unchanged",
    ),
    "A8": shown(
        "Each operator class has its own handlers.",
        "test_handler_installations.py::test_each_operator_class_has_its_own_handlers",
    ),
    "A9": shown(
        "A change of the configuration rolls the pods.",
        "test_handler_lifecycle.py::test_a_changed_config_map_rolls_the_pods",
    ),
    "A10": shown(
        "The status shows why pods do not start.",
        "test_handler_failures.py::test_the_reason_of_failing_pods_comes_and_goes",
        "test_handler_failures.py::test_a_bad_update_leaves_the_old_pods_serving",
        "test_handler_failures.py::test_pods_that_never_get_ready_leave_it_reconciling",
        "test_handler_failures.py::test_unschedulable_pods_are_reported",
        "test_handler_failures.py::test_an_exceeded_quota_is_reported_and_lifting_it_heals",
        "test_handler_failures.py::test_pods_that_fail_later_are_reported",
    ),
    "A11": shown(
        "A missing image stands in the status, and takes nothing away.",
        "test_handler_failures.py::test_a_missing_image_is_reported_and_a_default_heals_it",
    ),
    "A12": shown(
        "Changes during a gap of the history (410) or an outage are caught up with.",
        "test_handler_killed_api_server.py::test_changes_missing_from_the_watch_history_are_applied",
        "test_handler_api_faults.py::test_a_deletion_during_an_outage_costs_the_others_no_write",
    ),
    "A13": shown(
        "A missing right and a webhook that is down stand in the status, and their end heals.",
        "test_handler_api_faults.py::test_missing_rights_are_reported_with_a_remedy_and_heal",
        "test_handler_api_faults.py::test_a_webhook_that_is_down_is_reported_and_heals",
    ),
    "A14": shown(
        "A child that is not wanted any more goes, and one that is made again is new.",
        "test_handler_lifecycle.py::test_a_child_deleted_in_the_foreground_is_recreated",
        "test_handler_lifecycle.py::test_a_deleted_namespace_ends_and_the_operator_rests",
        "test_handler_lifecycle.py::test_a_field_that_is_wanted_no_more_goes_away",
        "test_handler_lifecycle.py::test_a_recreated_handler_gets_new_children",
    ),
    "A15": shown(
        "A handler is Ready when its pods have stayed ready for minReadySeconds.",
        "test_handler_lifecycle.py::test_a_handler_is_ready_after_its_min_ready_seconds",
    ),
}
