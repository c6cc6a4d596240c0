"""A kubeconfig field is used or refused with a reason; no secret is ever shown."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.client.credentials import ConfigurationError, ExecPlugin, Proof, TokenFile
from reconciler.client.kubeconfig import Cluster, load

SECRET = "s3cr3t-t0k3n"


def config(user: dict[str, Any] | None = None, cluster: dict[str, Any] | None = None) -> Any:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "one",
        "contexts": [{"name": "one", "context": {"cluster": "c", "user": "u", "namespace": "n"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://api:6443", **(cluster or {})}}],
        "users": [{"name": "u", "user": user or {}}],
    }


def write(folder: Path, content: Any, name: str = "config") -> str:
    path = folder / name
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return str(path)


def loaded(folder: Path, user: Any = None, cluster: Any = None) -> Cluster:
    return load(write(folder, config(user, cluster)))


async def authorization(cluster: Cluster) -> str:
    return (await cluster.credentials().proof()).authorization


async def test_context_gives_server_namespace_and_token(tmp_path):
    found = loaded(tmp_path, {"token": SECRET})
    assert (found.server, found.namespace, found.context) == ("https://api:6443", "n", "one")
    assert await authorization(found) == f"Bearer {SECRET}"


async def test_a_repr_shows_no_secret(tmp_path):
    pem = base64.b64encode(SECRET.encode()).decode()
    found = loaded(
        tmp_path,
        {"token": SECRET, "client-certificate-data": pem, "client-key-data": pem},
        {"proxy-url": f"http://u:{SECRET}@proxy"},
    )
    credentials = found.credentials()
    shown = f"{found!r} {credentials!r} {await credentials.proof()!r}"
    assert SECRET not in shown
    assert pem not in shown


async def test_several_files_are_merged_and_the_first_wins(tmp_path):
    first = config({"token": "first"})
    del first["contexts"]
    second = config({"token": "second"})
    second["current-context"] = "two"
    second["users"].append({"name": "other", "user": {}})
    (tmp_path / "sub").mkdir()
    paths = os.pathsep.join(
        [
            write(tmp_path, first, "a"),
            str(tmp_path / "missing"),
            "",
            write(tmp_path / "sub", second, "b"),
        ]
    )
    found = load(environ={"KUBECONFIG": paths})
    assert found.context == "one"
    assert await authorization(found) == "Bearer first"


def test_paths_are_relative_to_their_own_file(tmp_path):
    (tmp_path / "sub").mkdir()
    second = config({"client-certificate": "me.crt", "client-key": "me.key"})
    second["clusters"][0]["cluster"]["certificate-authority"] = "../ca.crt"
    first = {"current-context": "one"}
    found = load(
        os.pathsep.join([write(tmp_path, first, "a"), write(tmp_path / "sub", second, "b")])
    )
    assert found.certificate == tmp_path / "sub" / "me.crt"
    assert Path(str(found.ca)).resolve() == tmp_path / "ca.crt"


def test_data_wins_over_a_file(tmp_path):
    data = base64.b64encode(b"PEM").decode()
    found = loaded(
        tmp_path, None, {"certificate-authority": "x", "certificate-authority-data": data}
    )
    assert found.ca == b"PEM"


def test_named_context_wins_over_current_and_home_is_read(tmp_path):
    content = config()
    content["contexts"].append({"name": "two", "context": {"cluster": "c", "user": "u"}})
    (tmp_path / ".kube").mkdir()
    write(tmp_path / ".kube", content)
    environ = {"HOME": str(tmp_path), "KUBERNETES_SERVICE_HOST": "10.0.0.1"}
    assert load(context="two", environ=environ).namespace == "default"


async def test_impersonation_is_honoured(tmp_path):
    user = {"as": "jane", "as-groups": ["a", "b"], "as-uid": "7", "as-user-extra": {"x/y": ["z"]}}
    assert loaded(tmp_path, user).impersonation == (
        ("Impersonate-User", "jane"),
        ("Impersonate-Uid", "7"),
        ("Impersonate-Group", "a"),
        ("Impersonate-Group", "b"),
        ("Impersonate-Extra-x%2Fy", "z"),
    )


def test_tls_and_proxy_settings_are_read(tmp_path):
    found = loaded(
        tmp_path,
        None,
        {
            "insecure-skip-tls-verify": True,
            "tls-server-name": "inner",
            "proxy-url": "http://proxy:3128",
        },
    )
    assert (found.verify, found.tls_server_name, found.proxy_url) == (
        False,
        "inner",
        "http://proxy:3128",
    )


async def test_basic_auth_is_read(tmp_path):
    header = await authorization(loaded(tmp_path, {"username": "u", "password": "p"}))
    assert base64.b64decode(header.removeprefix("Basic ")) == b"u:p"


async def test_token_file_wins_over_token(tmp_path):
    (tmp_path / "token").write_text(f" {SECRET}\n")
    found = loaded(tmp_path, {"token": "old", "tokenFile": "token"})
    assert await authorization(found) == f"Bearer {SECRET}"


@pytest.mark.parametrize(
    ("user", "cluster", "message"),
    [
        ({"auth-provider": {"name": "gcp"}}, None, "exec plugin"),
        ({"as-groups": ["a"]}, None, "the user to impersonate"),
        ({"token": 1234}, None, "quotes"),
        ({"token": f"{SECRET}\nX: y"}, None, "bearer token"),
        ({"client-certificate": "x"}, None, "go together"),
        ({"client-key-data": "x"}, None, "not base64"),
        ({"exec": {"apiVersion": "client.authentication.k8s.io/v1alpha1"}}, None, "v1beta1"),
        ({"exec": {"apiVersion": ExecPlugin.VERSIONS[0]}}, None, "no command"),
        (
            {
                "exec": {
                    "apiVersion": ExecPlugin.VERSIONS[0],
                    "command": "x",
                    "interactiveMode": "Always",
                }
            },
            None,
            "terminal",
        ),
        (None, {"server": "api:6443"}, "https://"),
        (None, {"proxy-url": "socks5://proxy"}, "proxy-url"),
        (None, {"certificate-authority": "x", "insecure-skip-tls-verify": True}, "both"),
    ],
)
def test_an_unsupported_configuration_is_refused_in_one_line(tmp_path, user, cluster, message):
    with pytest.raises(ConfigurationError, match=message) as caught:
        loaded(tmp_path, user, cluster)
    assert "\n" not in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (f"users: [token: {SECRET}", "not YAML"),
        ("- a\n", "not a kubeconfig"),
        ("{}", "no current-context"),
        ("current-context: gone\ncontexts: null\n", "no context 'gone'"),
    ],
)
def test_broken_files_are_reported_without_their_text(tmp_path, content, message):
    with pytest.raises(ConfigurationError, match=message) as caught:
        load(write(tmp_path, content))
    assert SECRET not in str(caught.value)


def test_a_missing_configuration_names_what_to_set(tmp_path):
    with pytest.raises(ConfigurationError, match="set KUBECONFIG"):
        load(environ={"HOME": str(tmp_path)})


async def test_the_in_cluster_account_is_read(tmp_path):
    (tmp_path / "token").write_text(f"{SECRET}\n")
    (tmp_path / "namespace").write_text("ops\n")
    environ = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}
    found = load(environ=environ, account=tmp_path)
    assert found.server == "https://[fd00::1]:6443"
    assert (found.namespace, found.ca) == ("ops", tmp_path / "ca.crt")
    assert await authorization(found) == f"Bearer {SECRET}"
    with pytest.raises(ConfigurationError, match="automountServiceAccountToken"):
        load(environ=environ, account=tmp_path / "none")


async def test_token_file_is_read_again_after_a_minute_and_after_a_401(tmp_path):
    now = 0.0
    path = tmp_path / "token"
    path.write_text("one")
    file = TokenFile(path, clock=lambda: now)
    first = await file.proof()
    path.write_text("two")
    assert await file.proof() == first
    now = 61.0
    second = await file.proof()
    assert second.authorization == "Bearer two"
    path.write_text("three")
    file.reject(first)  # an old one: a 401 of an earlier request, already answered
    assert await file.proof() == second
    file.reject(second)
    assert (await file.proof()).authorization == "Bearer three"
    path.write_text("")  # rotation is not always atomic
    now = 200.0
    assert (await file.proof()).authorization == "Bearer three"


# Exec plugins


def plugin(folder: Path, script: str, **options: Any) -> ExecPlugin:
    path = folder / "plugin"
    path.write_text(f"#!{sys.executable}\nimport json, os, sys, time\n{script}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return ExecPlugin(ExecPlugin.VERSIONS[0], str(path), **options)


def credential(**status: Any) -> str:
    body = {"apiVersion": ExecPlugin.VERSIONS[0], "kind": "ExecCredential", "status": status}
    return f"print('''{json.dumps(body)}''')"


async def test_exec_is_run_once_until_it_expires_or_is_rejected(tmp_path):
    expiry = "2000-01-01T00:00:00Z"
    count = f"open({str(tmp_path / 'runs')!r}, 'a').write('x')\n"
    runs = tmp_path / "runs"
    lasting = plugin(tmp_path, count + credential(token=SECRET))
    proofs = await asyncio.gather(*(lasting.proof() for _ in range(5)))
    assert proofs == [Proof(f"Bearer {SECRET}")] * 5
    assert runs.read_text() == "x"
    lasting.reject(proofs[0])
    await lasting.proof()
    assert runs.read_text() == "xx"
    expired = plugin(tmp_path, count + credential(token=SECRET, expirationTimestamp=expiry))
    await expired.proof()
    await expired.proof()
    assert runs.read_text() == "xxxx"


async def test_exec_gets_the_cluster_its_arguments_and_variables(tmp_path):
    script = (
        "info = json.loads(os.environ['KUBERNETES_EXEC_INFO'])\n"
        "found = [info['spec']['cluster']['server'], str(info['spec']['interactive']),\n"
        "        os.environ['EXTRA'], repr(os.environ['EMPTY']), sys.argv[1],\n"
        "        repr(sys.stdin.read())]\n"
        f"print(json.dumps({{'apiVersion': {ExecPlugin.VERSIONS[1]!r},\n"
        "                  'status': {'token': '|'.join(found)}}))\n"
    )
    plugin(tmp_path, script)
    user = {
        "exec": {
            "apiVersion": ExecPlugin.VERSIONS[1],
            "command": "./plugin",
            "args": ["$(id);"],
            "env": [{"name": "EXTRA", "value": "e"}, {"name": "EMPTY"}, {"value": "x"}],
            "provideClusterInfo": True,
        }
    }
    header = await authorization(loaded(tmp_path, user))
    assert header == "Bearer https://api:6443|False|e|''|$(id);|''"


async def test_exec_may_give_a_certificate(tmp_path):
    script = credential(clientCertificateData="C", clientKeyData="K")
    assert await plugin(tmp_path, script).proof() == Proof("", b"C", b"K")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (f"print({SECRET!r}); sys.exit(3)", "exited with 3"),
        (f"print({SECRET!r})", "not print an ExecCredential"),
        (credential(), "neither a token"),
        (credential(token=SECRET).replace("/v1", "/v1beta1"), "answered"),
        ("time.sleep(60)", "longer than"),
    ],
)
async def test_exec_failures_name_the_remedy_and_not_a_secret(tmp_path, script, message):
    seconds = 0.3 if "sleep" in script else 30.0
    broken = plugin(tmp_path, script, timeout=seconds, hint="install it")
    with pytest.raises(ConfigurationError, match=message) as caught:
        await broken.proof()
    assert "install it" in str(caught.value)
    assert SECRET not in str(caught.value)


async def test_missing_exec_command_gives_its_install_hint():
    with pytest.raises(ConfigurationError, match=r"cannot be run: No such file.*brew install x"):
        await ExecPlugin(ExecPlugin.VERSIONS[0], "/no/such", hint="brew install x").proof()
