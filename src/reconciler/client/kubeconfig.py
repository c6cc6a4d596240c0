"""The API server's address and the account: from kubeconfig files or the pod's ServiceAccount.

The rule: each field of a kubeconfig is honoured, or refused with one line that names the remedy;
none is silently ignored. No repr, message or log shows a secret.
https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import yaml

from reconciler.client.credentials import (
    Anonymous,
    ConfigurationError,
    Credentials,
    ExecPlugin,
    Fixed,
    TokenFile,
)

__all__ = ["Cluster", "ConfigurationError", "Pem", "in_cluster", "load", "pod_namespace"]

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")

Pem = Path | bytes | None
"""PEM text, or the file to read it from (again, whenever it changes)."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Cluster:
    """One API server and the account to use there. ``namespace`` is that of the context.

    ``credentials`` makes the credentials of one client: clients of two event loops share none.
    """

    server: str
    namespace: str = "default"
    context: str = ""
    ca: Pem = field(default=None, repr=False)
    verify: bool = True
    tls_server_name: str = ""
    proxy_url: str = field(default="", repr=False)
    certificate: Pem = field(default=None, repr=False)
    key: Pem = field(default=None, repr=False)
    credentials: Callable[[], Credentials] = field(default=Anonymous, repr=False)
    impersonation: tuple[tuple[str, str], ...] = ()


def load(
    path: str | None = None,
    context: str | None = None,
    environ: Mapping[str, str] = os.environ,
    account: Path = SERVICE_ACCOUNT,
) -> Cluster:
    """The cluster to connect to.

    In this order: ``path``; ``$KUBECONFIG`` (several files are merged, the first
    value of each field wins); the pod's ServiceAccount, unless a context is named;
    ``~/.kube/config``.
    """
    if paths := path or environ.get("KUBECONFIG", ""):
        files = [Path(each).expanduser() for each in paths.split(os.pathsep) if each]
        return _from_files(files, context)
    if context is None and environ.get("KUBERNETES_SERVICE_HOST"):
        return in_cluster(environ, account)
    home = Path(environ.get("HOME", "~")).expanduser() / ".kube" / "config"
    return _from_files([home], context)


def in_cluster(environ: Mapping[str, str], account: Path = SERVICE_ACCOUNT) -> Cluster:
    """The API server as a pod sees it; token and CA are read again as they rotate."""
    host, port = environ["KUBERNETES_SERVICE_HOST"], environ.get("KUBERNETES_SERVICE_PORT", "443")
    token = account / "token"
    if not token.is_file():
        raise ConfigurationError(
            f"this is a pod, but {token} is missing: "
            "set automountServiceAccountToken, or point KUBECONFIG at a file"
        )
    return Cluster(
        server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        namespace=pod_namespace(account) or "default",
        context="in-cluster",
        ca=account / "ca.crt",
        credentials=partial(TokenFile, token),
    )


def pod_namespace(account: Path = SERVICE_ACCOUNT) -> str | None:
    """The namespace of the pod that this process runs in; None outside of a pod."""
    try:
        return (account / "namespace").read_text().strip() or None
    except OSError:
        return None


def _from_files(paths: list[Path], context: str | None) -> Cluster:
    found = [path for path in paths if path.is_file()]
    if not found:
        raise ConfigurationError(
            f"no kubeconfig at {', '.join(map(str, paths))}: "
            "set KUBECONFIG or --kubeconfig, or run inside a cluster"
        )
    merged = _Merged(found)
    name = context or merged.current
    if not name:
        raise ConfigurationError(f"{found[0]} has no current-context: name one with --context")
    chosen = merged.find("contexts", "context", name)
    cluster = merged.find("clusters", "cluster", chosen.text("cluster"))
    user = chosen.text("user")
    return _cluster(name, chosen, cluster, merged.find("users", "user", user) if user else None)


def _cluster(name: str, context: _Entry, cluster: _Entry, user: _Entry | None) -> Cluster:
    server = cluster.text("server").rstrip("/")
    if urlsplit(server).scheme not in {"http", "https"}:
        raise cluster.error("server must be an http:// or https:// address")
    proxy = cluster.text("proxy-url")
    if proxy and urlsplit(proxy).scheme not in {"http", "https"}:
        raise cluster.error("proxy-url must be an http:// or https:// proxy")
    ca, verify = cluster.pem("certificate-authority"), not cluster.flag("insecure-skip-tls-verify")
    if ca and not verify:
        raise cluster.error("has both a certificate-authority and insecure-skip-tls-verify")
    certificate = user.pem("client-certificate") if user else None
    key = user.pem("client-key") if user else None
    if user and (certificate is None) != (key is None):
        raise user.error("client-certificate and client-key go together: one is missing")
    return Cluster(
        server=server,
        namespace=context.text("namespace") or "default",
        context=name,
        ca=ca,
        verify=verify,
        tls_server_name=cluster.text("tls-server-name"),
        proxy_url=proxy,
        certificate=certificate,
        key=key,
        credentials=_credentials(user, cluster) if user else Anonymous,
        impersonation=_impersonation(user) if user else (),
    )


def _credentials(user: _Entry, cluster: _Entry) -> Callable[[], Credentials]:
    if provider := user.value("auth-provider", dict):
        raise user.error(
            f"auth-provider {provider.get('name', '')} was removed from Kubernetes in 1.26: "
            "use the provider's exec plugin"
        )
    if exec_config := user.value("exec", dict):
        return _exec_plugin(user, exec_config, cluster)
    if token_file := user.path("tokenFile"):
        return partial(TokenFile, token_file)
    if token := user.text("token"):
        fixed = Fixed.bearer(token)
        return lambda: fixed
    if name := user.text("username"):
        basic = Fixed.basic(name, user.text("password"))
        return lambda: basic
    return Anonymous


def _exec_plugin(user: _Entry, config: dict[str, Any], cluster: _Entry) -> Callable[[], ExecPlugin]:
    version = config.get("apiVersion")
    if version not in ExecPlugin.VERSIONS:
        raise user.error(
            f"exec apiVersion {version} is not one of {', '.join(ExecPlugin.VERSIONS)}"
        )
    if config.get("interactiveMode") == "Always":
        raise user.error(
            "exec needs a terminal (interactiveMode: Always), and an operator has none"
        )
    command = str(config.get("command") or "")
    if not command:
        raise user.error("exec has no command")
    if os.sep in command and not Path(command).is_absolute():
        command = str(user.folder / command)
    about: dict[str, Any] | None = None
    if config.get("provideClusterInfo"):
        extensions = cluster.value("extensions", list) or []
        about = {
            "server": cluster.text("server"),
            "tls-server-name": cluster.text("tls-server-name"),
            "insecure-skip-tls-verify": cluster.flag("insecure-skip-tls-verify"),
            "certificate-authority-data": _encoded(cluster.pem("certificate-authority")),
            "proxy-url": cluster.text("proxy-url"),
            "config": next(
                (
                    each.get("extension")
                    for each in extensions
                    if each.get("name") == "client.authentication.k8s.io/exec"
                ),
                None,
            ),
        }
    return partial(
        ExecPlugin,
        version=version,
        command=command,
        arguments=tuple(map(str, config.get("args") or ())),
        environment={
            str(each["name"]): str(each.get("value") or "")
            for each in config.get("env") or ()
            if each.get("name")
        },
        hint=str(config.get("installHint") or ""),
        cluster={name: value for name, value in about.items() if value} if about else None,
    )


def _encoded(pem: Pem) -> str:
    content = pem.read_bytes() if isinstance(pem, Path) else pem or b""
    return base64.b64encode(content).decode()


def _impersonation(user: _Entry) -> tuple[tuple[str, str], ...]:
    """The headers of https://kubernetes.io/docs/reference/access-authn-authz/user-impersonation/."""
    name, uid = user.text("as"), user.text("as-uid")
    groups = user.value("as-groups", list) or []
    extra = user.value("as-user-extra", dict) or {}
    if not name and (uid or groups or extra):
        raise user.error("as-uid, as-groups and as-user-extra need as: the user to impersonate")
    headers = [("Impersonate-User", name)] if name else []
    headers += [("Impersonate-Uid", uid)] if uid else []
    headers += [("Impersonate-Group", str(group)) for group in groups]
    for key, values in extra.items():
        headers += [(f"Impersonate-Extra-{quote(key, safe='')}", str(each)) for each in values]
    return tuple(headers)


class _Entry:
    """One named cluster, context or user; paths in it are relative to its own file."""

    def __init__(self, title: str, content: dict[str, Any], folder: Path) -> None:
        self._title = title
        self._content = content
        self.folder = folder

    def error(self, text: str) -> ConfigurationError:
        return ConfigurationError(f"kubeconfig, {self._title}: {text}")

    def value(self, name: str, kind: type) -> Any:
        found = self._content.get(name)
        if found is not None and not isinstance(found, kind):
            # The value stays out of the message: it may be a token without quotes.
            raise self.error(f"{name} is not a {kind.__name__}; put quotes around a text")
        return found

    def text(self, name: str) -> str:
        return self.value(name, str) or ""

    def flag(self, name: str) -> bool:
        return bool(self.value(name, bool))

    def path(self, name: str) -> Path | None:
        found = self.text(name)
        return self.folder / found if found else None

    def pem(self, name: str) -> Pem:
        """``<name>-data`` if there, else the file that ``<name>`` names."""
        data = self.text(f"{name}-data")
        if not data:
            return self.path(name)
        try:
            return base64.b64decode(data, validate=False)
        except binascii.Error:
            raise self.error(f"{name}-data is not base64") from None


class _Merged:
    """Several kubeconfig files as one: of each name, the first file that has it wins."""

    def __init__(self, paths: list[Path]) -> None:
        self._files = [(path, _read(path)) for path in paths]
        currents = (content.get("current-context") for _, content in self._files)
        self.current: str = next((each for each in currents if each), "")

    def find(self, section: str, key: str, name: str) -> _Entry:
        for path, content in self._files:
            for entry in content.get(section) or ():
                if entry.get("name") == name:
                    return _Entry(f"{key} {name}", entry.get(key) or {}, path.resolve().parent)
        known = sorted(
            str(entry.get("name"))
            for _, content in self._files
            for entry in content.get(section) or ()
        )
        raise ConfigurationError(
            f"kubeconfig has no {key} {name!r}; it has {', '.join(known) or 'none'}"
        )


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_text(), Loader=_Loader)  # noqa: S506 - a safe loader
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        # Without the parser's message, which quotes the line: the line may hold a token.
        raise ConfigurationError(f"{path} is not YAML: see it with kubectl config view") from None
    if not isinstance(content or {}, dict):
        raise ConfigurationError(f"{path} is not a kubeconfig")
    return content or {}
