"""One key of Consul's KV store, by py-consul over our HTTP client.

py-consul's own HTTP client puts the total time in the hands of the server, loses a path in front of the API, knows no
UNIX socket and no CONSUL_CACERT, and lets CONSUL_HTTP_TOKEN override a token that is given. So only its knowledge of
the API is used: the query and the decoding of the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from consul import ConsulException
from consul.base import Consul, HTTPClient
from consul.base import Response as ConsulResponse

from chaos_steps.configure.consul_fetch.address import Agent
from chaos_steps.errors import ChaosError, Denied, Unavailable, UsageError
from chaos_steps.http import Http, Response, describe

_TIMEOUT = 10.0
_TOKEN_HEADER = "X-Consul-Token"  # noqa: S105 - a header's name
_INDEX = "X-Consul-Index"


@dataclass(frozen=True)
class Entry:
    """What a key holds."""

    value: bytes
    modify_index: int


def read(agent: Agent, key: str, *, datacenter: str | None, namespace: str | None, consistent: bool) -> Entry | None:
    """The key's value, None when Consul does not have the key.

    Raises Unavailable when Consul cannot be reached or refuses, UsageError for a request that it calls invalid.
    """
    http = Http(
        agent.url, secret=agent.secret, token_header=_TOKEN_HEADER, timeout=_TIMEOUT, verify_tls=agent.verify_tls
    )
    client = _Client(_Bridge(http, {"ns": namespace} if namespace else {}, has_secret=bool(agent.secret.headers(""))))
    try:
        _, found = client.kv.get(key, dc=datacenter, consistency="consistent" if consistent else None)
        return Entry(found["Value"] or b"", int(found["ModifyIndex"])) if found else None
    except (ConsulException, AttributeError, KeyError, TypeError, ValueError) as error:
        raise Unavailable(f"the answer of {agent.url} to GET /v1/kv/{key} cannot be read as Consul's") from error


class _Bridge(HTTPClient):  # type: ignore[misc]
    """What py-consul calls in place of its own HTTP client. Consul is only read here."""

    def __init__(self, http: Http, params: dict[str, str], *, has_secret: bool) -> None:
        super().__init__()
        self._http = http
        self._params = params
        self._has_secret = has_secret

    def get(
        self,
        callback: Callable[[Any], Any],
        path: str,
        params: Iterable[tuple[str, Any]] | None = None,
        headers: dict[str, str] | None = None,  # noqa: ARG002 - the token comes from our secret
        raw: bool = False,  # noqa: ARG002
    ) -> Any:
        """GET by our client, with our secret. Each segment of a key is escaped, its slashes stay."""
        response = self._http.get(quote(path, safe="/"), params={**dict(params or ()), **self._params})
        if response.status >= 400 and response.status != 404:
            raise self._refusal(response)
        if _INDEX not in response.headers:
            raise Unavailable(f"{describe(response)}: this is not Consul's KV store", hint="check Consul's address")
        return callback(ConsulResponse(response.status, response.headers, response.text))

    def _refusal(self, response: Response) -> ChaosError:
        if response.status == 400:
            return UsageError(describe(response))
        if response.status not in (401, 403):
            return Unavailable(describe(response))
        if self._has_secret:
            return Denied(describe(response), hint="give a token whose policy may read the key")
        return Denied(
            f"{describe(response)}: no credentials configured for {self._http.base_url}",
            hint="set CONSUL_HTTP_TOKEN, --token-file or credentials.yaml",
        )

    def put(self, *_: Any, **__: Any) -> Any:
        """Not used."""
        raise NotImplementedError

    post = delete = put

    def close(self) -> None:
        """Nothing stays open."""


class _Client(Consul):  # type: ignore[misc]
    def __init__(self, bridge: _Bridge) -> None:
        self._bridge = bridge
        # Given, so that py-consul does not look at the environment; our client knows the address.
        super().__init__(host="localhost", port=0, scheme="http", verify=True)

    def http_connect(self, *_: Any, **__: Any) -> _Bridge:
        """Our client, whatever the address."""
        return self._bridge
