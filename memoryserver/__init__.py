"""Equipment of tests: a Kubernetes API server in memory.

``MemoryApi`` speaks the verbs of ``Api``. What the server behind it does is checked against a
real API server by the same table of scripts (``tests/world/conformance``); what it does not
know (admission chains, most of validation, the thousand other kinds) it does not pretend to.

    api.py         the client: the verbs, the way to the server, identity
    switches.py    the switches of a client's faults
    faults.py      what can go wrong on the way
    watch.py       which frames a watch sends, and how it ends
    server.py      what each verb does to the objects
    storage.py     the objects, what is served, every way to read
    served.py      the built-in kinds
    journal.py     what happened, for watches
    deletion.py    what a DELETE leaves
    apply.py       field ownership: server-side apply, and who owns what after an update
    patches.py     JSON patch and merge patch
    selectors.py   label and field selectors
    shapes.py      which lists have keys, which maps are atomic
    rules.py       what is refused
    defaults.py    what the server fills in, drops and spells differently
    pod_defaults.py  the same for pods and their templates
    quantities.py  the one spelling of a quantity
    assigned.py    what the server assigns: addresses, ports, the first status
    structural.py  what the schema of a custom resource refuses
"""

from memoryserver.api import MemoryApi
from memoryserver.faults import Call, CrashPoint, Faults, Write
from memoryserver.server import Server
from memoryserver.storage import Webhook

__all__ = ["Call", "CrashPoint", "Faults", "MemoryApi", "Server", "Webhook", "Write"]
