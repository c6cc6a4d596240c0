"""The fault rig's webhook answers for whatever object a client sends."""

from __future__ import annotations

import pytest

from chaos.webhook import MIRROR, changes
from contract.model import Object


@pytest.mark.parametrize(
    "containers", [None, [{"name": "a"}], [{"name": "a", "image": ""}], [{"image": f"{MIRROR}a"}]]
)
def test_a_container_without_an_image_is_unchanged(containers: list[Object] | None) -> None:
    pod: Object = {"kind": "Pod", "spec": {"containers": containers}}
    deployment: Object = {"kind": "Deployment", "spec": {"template": pod}}
    assert changes("rewrite-image", pod, 1) == changes("rewrite-image", deployment, 1) == []


def test_an_image_is_rewritten_beside_a_container_without_one() -> None:
    pod: Object = {"spec": {"containers": [{"name": "a"}, {"name": "b", "image": "b:1"}]}}
    (change,) = changes("rewrite-image", {"spec": {"template": pod}}, 1)
    assert change["path"] == "/spec/template/spec/containers/1/image"
    assert change["value"] == f"{MIRROR}b:1"
