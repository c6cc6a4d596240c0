"""What is known to go wrong with a handler, and the test on a real control plane that shows it
does not.

The rows are the twenty behavioural scenarios of the public Gati operator (S1 to S20), its bugs (B1
to B23), and what this operator promises beyond them (A1 to A14). Every id has a row: one or more
tests, as ``file::test``, or the reason why it says nothing about a handler. ``problems`` is asked
whenever tests are collected, so that a row without its test stops the run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
_TEST = re.compile(r"^(?:async )?def (test_\w+)\(", re.MULTILINE)

IDS = (
    *(f"S{number}" for number in range(1, 21)),
    *(f"B{number}" for number in range(1, 24)),
    *(f"A{number}" for number in range(1, 15)),
)


@dataclass(frozen=True)
class Scenario:
    """One row: what is to hold, and the tests that show it."""

    rule: str
    tests: tuple[str, ...]


@dataclass(frozen=True)
class NotApplicable:
    """A row that says nothing about a handler, and why."""

    rule: str
    reason: str


_LIFE = "test_handler_lifecycle.py::test_"
_WRITES = "test_handler_writes.py::test_"
_ADMISSION = "test_handler_admission.py::test_"
_INSTALL = "test_handler_installations.py::test_"
_DRIFT = "test_handler_drift.py::test_"
_SCALE = "test_handler_autoscaling.py::test_"
_CLASH = "test_handler_clash.py::test_"
_FAIL = "test_handler_failures.py::test_"
_FAULTS = "test_handler_api_faults.py::test_"

_NEW_VERSION = f"{_LIFE}a_new_version_rolls_the_deployment_and_does_not_replace_it"
_DURING_RETRIES = f"{_LIFE}a_handler_deleted_during_its_retries_leaves_no_orphan"
_ONE_VERSION = f"{_LIFE}two_handlers_of_one_version_share_no_pod"
_REFUSED_AT_ONCE = f"{_ADMISSION}the_api_server_refuses_what_makes_no_sense_and_says_what"
_KILLED = f"{_FAULTS}an_api_server_that_is_killed_and_comes_back_costs_no_write_and_no_change"
_OVERLOAD = f"{_FAULTS}an_overloaded_api_server_is_waited_for"
_BREAKS = f"{_FAULTS}watches_that_break_again_and_again_lose_no_change"
_NO_TOKEN = f"{_FAULTS}no_log_holds_a_token_whatever_fails"
_ON_OFF = f"{_SCALE}replicas_follow_the_autoscaler_on_off_and_across_a_restart"
_CHILDREN = f"{_LIFE}a_handler_gets_its_children_with_owner_status_and_events"

_LATER = "comes with GatiVersion and Timescape; the operator manages no versions yet"
_MODULE = "about modules, which are accepted and not managed yet"

SCENARIOS: Mapping[str, Scenario | NotApplicable] = {
    "S1": Scenario("a version bump rolls the Deployment", (_NEW_VERSION,)),
    "S2": Scenario(
        "a metadata-only edit leaves the children untouched",
        (f"{_WRITES}an_edit_of_the_handlers_metadata_writes_nothing",),
    ),
    "S3": Scenario(
        "what others add to children stays",
        (
            f"{_WRITES}labels_and_annotations_of_others_stay_on_children",
            f"{_WRITES}a_container_that_somebody_adds_stays_and_is_not_taken_for_the_handlers",
            f"{_WRITES}a_restart_of_the_pods_by_kubectl_is_not_undone",
        ),
    ),
    "S4": Scenario(
        "replicas that an HPA owns are not reset",
        (_ON_OFF, f"{_SCALE}a_users_own_autoscaler_is_respected"),
    ),
    "S5": Scenario(
        "a child that was edited or deleted is repaired, by watch alone",
        (
            f"{_DRIFT}an_edited_child_is_repaired_in_place",
            f"{_DRIFT}a_deleted_child_comes_back",
            f"{_DRIFT}an_operator_that_was_down_repairs_what_happened_meanwhile",
        ),
    ),
    "S6": Scenario(
        "a handler deleted while the operator is down leaves nothing",
        (f"{_LIFE}a_handler_deleted_while_the_operator_is_down_leaves_nothing",),
    ),
    "S7": Scenario("a handler deleted during a retry leaves no orphan", (_DURING_RETRIES,)),
    "S8": Scenario("two handlers of one version are apart", (_ONE_VERSION,)),
    "S9": Scenario(
        "every namespace is served",
        (f"{_INSTALL}an_operator_for_all_namespaces_serves_a_namespace_that_comes_later",),
    ),
    "S10": Scenario("an object without spec is refused and harms nobody", (_REFUSED_AT_ONCE,)),
    "S11": Scenario("a version that is no legal label value works", (_NEW_VERSION,)),
    "S12": Scenario("ports 0 and 99999 are refused", (_REFUSED_AT_ONCE,)),
    "S13": Scenario("watches that end are taken up again", (_BREAKS, _KILLED)),
    "S14": Scenario("429 is waited for", (_OVERLOAD,)),
    "S15": Scenario("the API server may be killed", (_KILLED,)),
    "S16": Scenario(
        "SIGTERM during retries ends the operator in time with exit code 0",
        (
            f"{_FAULTS}sigterm_ends_an_operator_in_the_middle_of_its_retries",
            f"{_FAULTS}sigterm_ends_an_operator_that_reaches_no_api_server",
        ),
    ),
    "S17": Scenario("no token in any log", (_NO_TOKEN,)),
    "S18": NotApplicable("versions with traffic or without history stay", _LATER),
    "S19": Scenario("status, Events and owner references are there", (_CHILDREN,)),
    "S20": Scenario(
        "a restart writes nothing when nothing changed", (f"{_WRITES}a_restart_writes_nothing",)
    ),
    "B1": Scenario("the watch of its own kinds works", (_CHILDREN,)),
    "B2": Scenario("a version bump meets no immutable selector", (_NEW_VERSION,)),
    "B3": Scenario("a handler without spec crashes nothing", (_REFUSED_AT_ONCE,)),
    "B4": Scenario("an illegal label value as a version crashes nothing", (_NEW_VERSION,)),
    "B5": Scenario("a Service selects the pods of its own handler only", (_ONE_VERSION,)),
    "B6": Scenario("no retry makes the children of a deleted handler again", (_DURING_RETRIES,)),
    "B7": Scenario(
        "a watch's end, 429 and a restart end no process", (_BREAKS, _OVERLOAD, _KILLED)
    ),
    "B8": Scenario("failing requests print no header", (_NO_TOKEN,)),
    "B9": Scenario(
        "what is refused for good is told and tried seldom",
        (f"{_FAIL}what_the_api_server_refuses_for_good_is_told_once_and_tried_seldom",),
    ),
    "B10": NotApplicable("decommissioning deletes before it records", _LATER),
    "B11": NotApplicable("versions with weight or without history are decommissioned", _LATER),
    "B12": NotApplicable(
        "Helm and GitOps targets report success and do nothing",
        "the one deployment target that ships is Kubernetes itself",
    ),
    "B13": NotApplicable("capability words become Linux capabilities", _MODULE),
    "B14": Scenario(
        "edits of one handler are carried out one after the other",
        (f"{_LIFE}quick_edits_end_in_the_last_one",),
    ),
    "B15": Scenario(
        "an HPA of a handler with 0 replicas is valid",
        (f"{_SCALE}an_autoscaler_of_a_handler_that_asks_for_no_replica_is_valid_and_works",),
    ),
    "B16": NotApplicable("capability storage gets no volume", _MODULE),
    "B17": Scenario(
        "the status is written, as a subresource",
        (f"{_WRITES}a_wiped_status_comes_back_the_same", _CHILDREN),
    ),
    "B18": NotApplicable("a weight update fakes traffic", _LATER),
    "B19": NotApplicable("a rollout sleeps in memory and checks health once", _LATER),
    "B20": NotApplicable("unavailable replicas count as requests in flight", _LATER),
    "B21": NotApplicable("grace period 0 is ignored and history is lost", _LATER),
    "B22": Scenario(
        "one of several operators writes, in any namespace, within limits",
        (
            f"{_INSTALL}one_of_two_operators_writes_and_the_other_takes_over",
            f"{_INSTALL}an_operator_for_all_namespaces_serves_a_namespace_that_comes_later",
        ),
    ),
    "B23": Scenario(
        "containers are hardened",
        (f"{_ADMISSION}pods_are_hardened_enough_for_a_restricted_namespace",),
    ),
    "A1": Scenario(
        "a name clash changes nothing foreign, is told, and heals within 33 s",
        (
            f"{_CLASH}a_clash_changes_nothing_foreign_says_so_and_heals_by_itself",
            f"{_CLASH}a_clash_with_a_smaller_child_is_told_and_changes_nothing_foreign",
            f"{_CLASH}a_foreign_object_that_wears_our_labels_and_marks_is_foreign_still",
            f"{_CLASH}a_clash_is_looked_at_again_after_a_restart",
        ),
    ),
    "A2": Scenario(
        "only the adopt annotation hands a foreign object over",
        (
            f"{_CLASH}the_adopt_annotation_hands_a_foreign_object_over",
            f"{_CLASH}a_child_of_a_living_parent_is_not_to_be_adopted",
            f"{_CLASH}children_that_were_orphaned_on_purpose_are_adopted_by_their_annotation",
        ),
    ),
    "A3": Scenario(
        "a label, mark or owner reference that was stripped off is put back in place",
        (f"{_DRIFT}what_is_stripped_off_a_child_is_put_back_without_making_it_anew",),
    ),
    "A4": Scenario(
        "kubectl scale of the Deployment is undone, of the handler is heard",
        (
            f"{_DRIFT}kubectl_scale_of_the_deployment_is_undone",
            f"{_LIFE}kubectl_scale_of_the_handler_sets_its_replicas",
            f"{_SCALE}an_autoscaler_may_scale_the_handler_itself",
        ),
    ),
    "A5": Scenario(
        "replicas never show a number that nobody asked for",
        (
            _ON_OFF,
            f"{_SCALE}a_new_handler_with_an_autoscaler_starts_within_its_bounds",
            f"{_SCALE}a_handler_that_stands_at_zero_is_raised_when_autoscaling_begins",
            f"{_SCALE}a_users_own_autoscaler_takes_the_place_of_the_handlers",
            f"{_SCALE}kubectl_scale_of_the_handler_is_not_heard_while_an_autoscaler_decides",
        ),
    ),
    "A6": Scenario(
        "who keeps changing a child back is named",
        (f"{_DRIFT}who_keeps_changing_a_child_back_is_named_and_repaired_less_and_less_often",),
    ),
    "A7": Scenario(
        "a suspended handler is left as it is",
        (f"{_LIFE}a_suspended_handler_is_left_as_it_is",),
    ),
    "A8": Scenario(
        "each operator class looks after its own",
        (f"{_INSTALL}each_operator_class_has_its_own_handlers",),
    ),
    "A9": Scenario(
        "changed configuration rolls the pods",
        (f"{_LIFE}a_changed_config_map_rolls_the_pods",),
    ),
    "A10": Scenario(
        "why pods do not start stands in the status",
        (
            f"{_FAIL}why_pods_cannot_start_is_told_and_forgotten_when_they_do",
            f"{_FAIL}a_bad_update_leaves_the_old_pods_serving",
            f"{_FAIL}pods_that_never_become_ready_leave_the_handler_reconciling",
            f"{_FAIL}pods_that_fit_no_node_are_told",
            f"{_FAIL}a_quota_is_told_and_lifting_it_heals",
            f"{_FAIL}what_breaks_later_is_told",
        ),
    ),
    "A11": Scenario(
        "a missing image is told, and takes nothing away",
        (f"{_FAIL}a_missing_image_is_told_and_the_default_image_mends_it",),
    ),
    "A12": Scenario(
        "a history that is gone (410) and a deletion during an outage are caught up with",
        (
            _KILLED,
            f"{_FAULTS}a_deletion_during_an_outage_is_noticed_and_what_stayed_is_not_written",
        ),
    ),
    "A13": Scenario(
        "missing rights and a webhook that is down are told and their end heals",
        (
            f"{_FAULTS}an_account_without_rights_is_told_with_its_remedy_and_heals_alone",
            f"{_FAULTS}an_admission_webhook_that_is_down_is_told_and_its_end_heals",
        ),
    ),
    "A14": Scenario(
        "what is wanted no more goes away; what is made again is new",
        (
            f"{_LIFE}a_child_deleted_in_the_foreground_is_made_again_once_it_is_gone",
            f"{_LIFE}a_namespace_that_is_deleted_goes_and_leaves_the_operator_at_rest",
            f"{_LIFE}a_field_that_is_wanted_no_more_goes_away",
            f"{_LIFE}a_handler_that_is_deleted_and_made_again_gets_new_children",
        ),
    ),
}


def problems(
    table: Mapping[str, Scenario | NotApplicable] = SCENARIOS, folder: Path = FOLDER
) -> list[str]:
    """What is wrong with the rows, one line each."""
    return list(_wrong_rows(table, set(handler_tests(folder))))


def unlisted(
    table: Mapping[str, Scenario | NotApplicable] = SCENARIOS, folder: Path = FOLDER
) -> list[str]:
    """The tests of a handler that stand in no row."""
    named = {test for row in table.values() if isinstance(row, Scenario) for test in row.tests}
    return [test for test in handler_tests(folder) if test not in named]


def handler_tests(folder: Path) -> list[str]:
    """Every test of a handler in the folder, as ``file::test``."""
    return [
        f"{file.name}::{test}"
        for file in sorted(folder.glob("test_handler_*.py"))
        for test in _TEST.findall(file.read_text("utf-8"))
    ]


def _wrong_rows(table: Mapping[str, Scenario | NotApplicable], existing: set[str]) -> Iterator[str]:
    for id_ in IDS:
        if id_ not in table:
            yield f"{id_} has no row"
    for id_, row in table.items():
        if id_ not in IDS:
            yield f"{id_} is no known scenario"
        if isinstance(row, NotApplicable):
            if not row.reason.strip():
                yield f"{id_} is not applicable without a reason"
            continue
        if not row.tests:
            yield f"{id_} names no test"
        for test in row.tests:
            if test not in existing:
                yield f"{id_} names {test}, which does not exist"
