"""Test equipment: a Kubernetes API server in memory.

``MemoryApi`` implements the verbs of ``Api``. The same table of scripts checks the server behind
it and a real API server (``tests/world/conformance``). Admission chains, most of validation and
most kinds are not implemented.

    api.py         the client: verbs, faults on the way to the server, impersonation
    switches.py    the switches of a client's faults
    faults.py      the faults between a client and the server
    watch.py       the frames of a watch, and its end
    server.py      the effect of each verb on the objects
    storage.py     the objects, the served kinds, get and list
    served.py      the built-in kinds
    journal.py     the history, for watches
    deletion.py    finalizers and grace periods of a DELETE
    apply.py       field ownership: server-side apply and updates
    patches.py     JSON patch and merge patch
    selectors.py   label and field selectors
    shapes.py      keyed lists and atomic maps
    rules.py       validation
    defaults.py    defaulting, dropped fields, canonical values
    pod_defaults.py  the same for pods and pod templates
    quantities.py  canonical quantities
    assigned.py    values that the server assigns: addresses, ports, the first status
    structural.py  validation by the schema of a custom resource
"""

from memoryserver.api import MemoryApi
from memoryserver.faults import Call, CrashPoint, Faults, Write
from memoryserver.server import Server
from memoryserver.storage import Webhook

__all__ = ["Call", "CrashPoint", "Faults", "MemoryApi", "Server", "Webhook", "Write"]
