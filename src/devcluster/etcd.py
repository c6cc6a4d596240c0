"""What is asked of etcd itself, past the API server, and how its data is kept and used again.

Requests go through etcd's JSON gateway on its client port, with the API server's own client
certificate. Saved data is the content of etcd's data folder: what a crash would leave, which etcd
begins with as after a crash. It holds neither keys nor addresses that a new cluster would need.
"""

from __future__ import annotations

import json
import shutil
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from .api import message_of
from .errors import DevclusterError
from .layout import Layout, Record

TIMEOUT_SECONDS = 30.0
ANY_KEY = "AA=="  # one zero byte, in base64: a key that need not exist


def call(layout: Layout, record: Record, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """The answer of etcd's JSON gateway to one POST, for example to `/v3/kv/range`.

    Raises DevclusterError when etcd refuses or cannot be reached.
    """
    pki = layout.pki
    context = ssl.create_default_context(cafile=str(pki / "etcd-ca.crt"))
    context.load_cert_chain(pki / "etcd-client.crt", pki / "etcd-client.key")
    url = f"https://127.0.0.1:{record.ports.etcd}{path}"
    request = urllib.request.Request(url, json.dumps(body).encode(), method="POST")
    # As for the API server: the environment's proxies are not for loopback.
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    try:
        with opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
            content: dict[str, Any] = json.loads(answer.read())
            return content
    except urllib.error.HTTPError as error:
        with error:
            raise DevclusterError(f"etcd {path}: {message_of(error.read())}") from None
    except OSError as error:
        raise DevclusterError(f"etcd {path}: {error}") from error


def present_revision(layout: Layout, record: Record) -> int:
    """The revision of the latest write: the resourceVersion that a list would have now."""
    answer = call(layout, record, "/v3/kv/range", {"key": ANY_KEY})
    return int(answer["header"]["revision"])


def compact(layout: Layout, record: Record) -> int:
    """Forgets all that was before the present revision, and returns that revision."""
    revision = present_revision(layout, record)
    call(layout, record, "/v3/kv/compaction", {"revision": str(revision), "physical": True})
    return revision


def check_saved(saved: Path) -> None:
    """Raises DevclusterError when the folder holds no data that was saved from an etcd."""
    if not (saved / "member").is_dir():
        raise DevclusterError(f"{saved} holds no data of an etcd")


def copy_data(source: Path, target: Path) -> None:
    """Copies the data of an etcd that does not run; `target` appears at once or not at all.

    Raises DevclusterError when `target` exists.
    """
    if target.exists():
        raise DevclusterError(f"{target} exists already")
    part = target.with_name(f"{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    # 64 MB that etcd keeps ready for its next log file, and makes anew when they are missing.
    shutil.copytree(source, part, ignore=shutil.ignore_patterns("*.tmp"))
    part.rename(target)
