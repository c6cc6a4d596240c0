"""One poisoned object: does a handler that the server always refuses delay the others?

The rule kept here: both cases differ only by the poisoned handler. Policy, operator, cluster and
edits are the same, the rounds of a pair follow one another, and their order alternates.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from bench import audit, bodies, machine
from bench.client import Client, RequestFailedError
from bench.figures import TIMES, Row, Sample, ratios, spread
from bench.laboratory import STEADY, Laboratory, dry
from bench.measurements.latency import UNCOUNTED, edits, picked
from bench.measurements.shape import Measurement
from devcluster import Cluster
from gati import names

LIMIT = 1.10
POISONED = "poisoned"
FLAGS = (*STEADY, "--backoff=0.1", "--backoff-limit=0.5")
"""A short backoff: the poisoned handler is retried far more often than with the default flags."""
WITH, WITHOUT = "with", "without"

ADMISSION = "/apis/admissionregistration.k8s.io/v1"
POLICY = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingAdmissionPolicy",
    "metadata": {"name": POISONED},
    "spec": {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "resourceRules": [
                {
                    "apiGroups": ["apps"],
                    "apiVersions": ["v1"],
                    "operations": ["CREATE"],
                    "resources": ["deployments"],
                }
            ]
        },
        "validations": [
            {
                "expression": f"object.metadata.name != '{names.workload(POISONED)}'",
                "message": "the policy refuses this Deployment",
            }
        ],
    },
}
BINDING = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingAdmissionPolicyBinding",
    "metadata": {"name": POISONED},
    "spec": {"policyName": POISONED, "validationActions": ["Deny"]},
}


def measure(laboratory: Laboratory) -> Iterator[Sample]:
    """Pairs of series of edits, with and without the poisoned handler."""
    settings = laboratory.settings
    with laboratory.cluster(laboratory.seeds.converged(settings.at_rest)) as cluster:
        asyncio.run(refuse(laboratory.client(cluster)))
        with laboratory.operator(cluster, FLAGS) as operator:
            operator.start_and_pass(settings.at_rest)
            operator.settle()
            for pair in range(settings.poison_pairs):
                order = (WITHOUT, WITH) if pair % 2 == 0 else (WITH, WITHOUT)
                for case in order:
                    load = machine.load()
                    sample = asyncio.run(series(laboratory, cluster, case, pair))
                    laboratory.say(f"{case}: median {sample['median_ms']:.1f} ms")
                    yield {"round": pair, "case": case, "load": load} | sample


async def refuse(client: Client) -> None:
    """Let the server refuse the poisoned handler's Deployment, and wait until it does."""
    async with client:
        for plural, body in (
            ("validatingadmissionpolicies", POLICY),
            ("validatingadmissionpolicybindings", BINDING),
        ):
            await client.send(bodies.Write("POST", f"{ADMISSION}/{plural}", body))
        parent = await client.json(dry(bodies.create_handler(POISONED)))
        deployment = dry(bodies.create_child(parent, bodies.children(parent)[0]))
        async with asyncio.timeout(30):
            while True:
                try:
                    await client.send(deployment)
                except RequestFailedError:
                    return
                await asyncio.sleep(0.2)


async def series(laboratory: Laboratory, cluster: Cluster, case: str, pair: int) -> Sample:
    """The edits of one case; the same handlers are edited with and without."""
    settings = laboratory.settings
    async with laboratory.client(cluster) as client:
        mark = cluster.audit_log.stat().st_size
        if case == WITH:
            await client.send(bodies.create_handler(POISONED))
            await asyncio.sleep(1)  # until the first retries are over
        targets = picked(pair, settings.at_rest, UNCOUNTED + settings.poison_edits)
        found = [each async for each in edits(client, targets, f"{case}-{pair}")][UNCOUNTED:]
        if case == WITH:
            await client.send(bodies.delete_handler(POISONED))
            # The Service that was created before the refusal: no garbage collector runs.
            await client.send(bodies.Write("DELETE", bodies.service_path(POISONED)))
            await asyncio.sleep(1)
    requests = audit.read(cluster.audit_log, mark)
    refused = sum(each.name == names.workload(POISONED) and each.code >= 400 for each in requests)
    return {"ms": found, "median_ms": spread(found).median, "refused": refused}


def judge(samples: Sequence[Sample]) -> list[Row]:
    """The ratio of the medians, pair by pair, then the medians."""
    rows = []
    paired = ratios(samples, "median_ms", WITH, WITHOUT, "case")
    if paired:
        rows.append(
            Row("median latency of the others, with / without", TIMES, spread(paired), LIMIT)
        )
    for case in (WITHOUT, WITH):
        these = [sample for sample in samples if sample["case"] == case]
        if these:
            name = f"median latency {case} the poisoned handler"
            rows.append(Row(name, "ms", spread(each["median_ms"] for each in these)))
    tries = [each["refused"] for each in samples if each["case"] == WITH]
    if tries:
        rows.append(Row("its tries while the others were edited", "", spread(tries)))
    return rows


MEASUREMENT = Measurement(
    "poison",
    "Does one handler that the API server always refuses delay the others?",
    """\
One operator over converged handlers, and an admission policy that refuses the Deployment of one
more handler. In pairs of rounds, in alternating order, the same handlers are edited with and
without the refused handler; each pair gives one ratio of medians. The backoff is at most half a
second (`--backoff=0.1 --backoff-limit=0.5`), so that the refused handler is retried far more often
than by default.""",
    measure,
    judge,
)
