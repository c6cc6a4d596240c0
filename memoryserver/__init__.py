"""An in-memory Kubernetes API: for tests, for a dry look at a plan, for runs without a cluster.

``MemoryApi`` speaks the verbs of ``Api``. What the server behind it does is checked against a
real API server by the same table of scenarios (``tests/world/scenarios.py``); what it does not
know (admission chains, most of validation, the thousand other kinds) it does not pretend to.

    api.py         the client: verbs, faults switched on and off
    watch.py       what one watch hears, and how it ends
    faults.py      what can go wrong on the way
    server.py      what each verb does to the objects
    storage.py     the objects, what is served, every way to read
    apply.py       field ownership: server-side apply and who owns what after an update
    shapes.py      which lists have keys, which maps are atomic
    rules.py       what is refused
    defaults.py    what the server fills in, drops and spells differently
    structural.py  what the schema of a custom resource refuses
"""

from memoryserver.api import MemoryApi
from memoryserver.faults import Call, CrashPoint, Faults, Write
from memoryserver.server import Server
from memoryserver.storage import Webhook

__all__ = ["Call", "CrashPoint", "Faults", "MemoryApi", "Server", "Webhook", "Write"]
