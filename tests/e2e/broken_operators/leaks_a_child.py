"""The real operator, except that it makes a ConfigMap for each handler that nobody owns."""

from typing import Any

from commands import gati as cli
from contract.model import Kind, Object
from objects.kinds import CONFIG_MAP
from reconciler.client.client import Client

real_apply = Client.apply


async def apply(self: Client, kind: Kind, body: Object, **options: Any) -> Object:
    answer = await real_apply(self, kind, body, **options)
    if kind.kind == "Service":
        metadata = {key: body["metadata"][key] for key in ("namespace", "labels")}
        name = f"{body['metadata']['name']}-leaked"
        orphan = {
            "apiVersion": CONFIG_MAP.api_version,
            "kind": CONFIG_MAP.kind,
            "metadata": {**metadata, "name": name},
        }
        await real_apply(self, CONFIG_MAP, orphan, manager=options["manager"])
    return answer


Client.apply = apply  # type: ignore[method-assign]  # this is what breaks it

if __name__ == "__main__":
    cli.main()
