"""One table of what an API server does, run against the in-memory server and a real one.

Each module has the scripts of one topic. A script calls a server and states at each call what
the call leaves; ``transcripts/`` holds the objects that a real server answered. So the in-memory
server is held to both without a cluster. To record the objects anew, for a new release:
``RECORD_TRANSCRIPTS=1 pytest tests/cluster/test_memory_conformance.py``.
"""

from __future__ import annotations

import importlib
import pkgutil

# Every module here registers its scripts when it is imported: none can be forgotten.
for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
