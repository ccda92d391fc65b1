"""The API server of Kubernetes: plain REST, as KUBECONFIG says or with the pod's own credentials.

A call is one request. Whether a failed one is worth repeating is in its error; `persist` repeats what can be repeated:
a look and a conditional write that, done twice, are as if done once.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from chaos_steps import signals
from chaos_steps.credentials import Secret, variable
from chaos_steps.errors import Denied, TooLarge, Unavailable, UsageError
from chaos_steps.http import Http, Response

if TYPE_CHECKING:
    from kubernetes.client import Configuration

PAGE = 25
"""Objects in one answer to a list. Each may have 1 MiB, as JSON within JSON twice that."""

_PAUSE, _PAUSE_AFTER_CONFLICT = 0.5, 0.02
_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"

T = TypeVar("T")
Object = dict[str, Any]


class Again(Unavailable):
    """The API server was away or busy: what was asked may have happened, or may still. `after`: seconds to wait."""

    def __init__(self, message: str, *, hint: str = "", after: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.after = _PAUSE if after is None else after


class Conflict(Again):
    """The object is there already, is gone, or is another one than was looked at: nothing was done; look again."""


def persist(act: Callable[[], T], patience: float) -> T:
    """Do `act` again while it raises Again, for `patience` seconds and one more attempt at most.

    A signal that waits ends the waiting for an API server that is away.
    """
    end = time.monotonic() + patience
    while True:
        try:
            return act()
        except Again as error:
            is_waiting = not isinstance(error, Conflict)
            if time.monotonic() + error.after > end or (is_waiting and signals.pending() is not None):
                raise
            time.sleep(error.after)


@dataclass(frozen=True)
class Objects:
    """The objects of a core resource in a namespace, such as `configmaps`.

    `connect` makes a client with the credentials of now. `roles` names for each verb the Role that grants it. `timeout`
    is that of a request, in seconds. All calls raise Again, Denied, and Unavailable for any other refusal.
    """

    connect: Callable[[], Http]
    resource: str
    namespace: str
    roles: Mapping[str, str]
    timeout: float = 5.0

    def get(self, name: str) -> Object | None:
        """An object as it is now."""
        response = self._ask("get", "GET", f"/{name}")
        return None if response.status == 404 else self._object(response)

    def list(self, selector: str) -> Iterator[Object]:
        """All objects with these labels, as they were at one time not before the call."""
        params = {"labelSelector": selector, "limit": str(PAGE)}
        while True:
            page = self._object(self._ask("list", "GET", params=params))
            yield from page["items"]
            following = page["metadata"].get("continue")
            if not following:
                return
            params["continue"] = following

    def create(self, new: Object) -> None:
        """Create an object. Raises Conflict when one of its name is there."""
        response = self._ask("create", "POST", body=new)
        if response.status == 404:
            raise Unavailable(f"there is no namespace {self.namespace}", hint=f"kubectl create ns {self.namespace}")
        self._object(response)

    def update(self, changed: Object) -> None:
        """Write an object that was read. Raises Conflict when it is not any more what it was then."""
        self._object(self._ask("update", "PUT", f"/{changed['metadata']['name']}", body=changed))

    def delete(self, there: Object) -> None:
        """Delete an object that was read. Raises Conflict when it is not any more what it was then."""
        metadata = there["metadata"]
        conditions = {key: metadata[key] for key in ("uid", "resourceVersion")}
        self._object(self._ask("delete", "DELETE", f"/{metadata['name']}", body={"preconditions": conditions}))

    def _ask(
        self,
        verb: str,
        method: str,
        name: str = "",
        *,
        body: Object | None = None,
        params: Mapping[str, str] | None = None,
    ) -> Response:
        path = f"/api/v1/namespaces/{self.namespace}/{self.resource}{name}"
        try:
            response = self.connect().request(method, path, json=body, params=params, timeout=self.timeout)
        except TooLarge:
            raise
        except Unavailable as error:
            raise Again(error.message, hint=error.hint) from error
        what = f"{verb} {self.resource} in namespace {self.namespace}"
        if response.status == 401:
            raise Denied(
                f"cannot {what}: {_message(response)}", hint="log in again, or renew the service account's token"
            )
        if response.status == 403:
            hint = f"the Role {self.roles[verb]} grants it; see tekton/install"
            raise Denied(f"not allowed to {what}: {_message(response)}", hint=hint)
        if response.status == 429 or response.status >= 500:
            raise Again(_message(response), after=_retry_after(response))
        return response

    def _object(self, response: Response) -> Object:
        """The object that the answer holds."""
        if response.status in (404, 409, 410):
            raise Conflict(_message(response), after=_PAUSE_AFTER_CONFLICT)
        if response.status >= 400:
            raise Unavailable(_message(response))
        found: Object = response.json()
        return found


def _message(response: Response) -> str:
    """What the API server says of a failure, in a `Status` object."""
    try:
        said = json.loads(response.body)["message"]
    except (ValueError, TypeError, KeyError):
        said = response.text[:200]
    return f"{response.url} answered {response.status}: {said}"


def _retry_after(response: Response) -> float:
    try:
        return max(_PAUSE, float(response.headers.get("Retry-After", "")))
    except ValueError:
        return _PAUSE


def is_in_pod() -> bool:
    """Whether this process runs in a pod."""
    return bool(variable("KUBERNETES_SERVICE_HOST"))


def own_namespace() -> str:
    """The namespace of the pod. Raises UsageError in a pod without a service account's token."""
    return _of_account("namespace")


def connector() -> Callable[[], Http]:
    """What makes clients of the API server: the one of KUBECONFIG, else the pod's, else that of ~/.kube/config."""
    if is_in_pod() and not variable("KUBECONFIG"):
        return _as_service_account
    return _kubeconfig()


def _as_service_account() -> Http:
    """The token is read each time: it is replaced before it expires."""
    host, port = variable("KUBERNETES_SERVICE_HOST"), variable("KUBERNETES_SERVICE_PORT") or "443"
    url = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    return Http(url, secret=Secret(url, token=_of_account("token"), ca_file=Path(_ACCOUNT, "ca.crt")))


def _of_account(name: str) -> str:
    path = Path(_ACCOUNT, name)
    try:
        return path.read_text().strip()
    except OSError as error:
        raise UsageError(
            f"cannot read {path}: {error.strerror}",
            hint="the pod needs a service account with automountServiceAccountToken",
        ) from error


def _kubeconfig() -> Callable[[], Http]:
    """Clients as kubectl would make them, for its present context."""
    try:
        from kubernetes import client, config  # noqa: PLC0415 - slow, and only needed here
    except ImportError as error:
        raise UsageError("a KUBECONFIG needs the package kubernetes", hint="pip install 'chaos-steps[kube]'") from error

    configuration = client.Configuration()
    try:
        config.load_kube_config(  # type: ignore[no-untyped-call]
            client_configuration=configuration, persist_config=False
        )
    except (config.ConfigException, OSError) as error:
        raise UsageError(f"no access to a cluster: {error}", hint="set KUBECONFIG, or --ledger file:DIR") from error
    return lambda: _client_of(configuration)


def _client_of(configuration: Configuration) -> Http:
    """A client with the token of now: asking for it runs its plugin again when it has expired."""
    url: str = configuration.host
    token = (configuration.auth_settings().get("BearerToken", {}).get("value") or "").removeprefix("Bearer ")
    ca_file, cert_file, key_file = (
        Path(name) if name else None
        for name in (configuration.ssl_ca_cert, configuration.cert_file, configuration.key_file)
    )
    is_secret = token or ca_file or cert_file
    secret = Secret(url, token=token, ca_file=ca_file, cert_file=cert_file, key_file=key_file) if is_secret else None
    return Http(url, secret=secret, verify_tls=configuration.verify_ssl)
