"""Zipkin's query API v2, and telling it from what else answers at an address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from chaos_steps.credentials import Credentials
from chaos_steps.errors import ChaosError, Denied, Unavailable
from chaos_steps.http import Http, Response, describe
from chaos_steps.judge.zipkin_slo.spans import Trace, decode

# Zipkin gives up a query after 11 s by itself (QUERY_TIMEOUT); the rest is for the transfer.
_TIMEOUT = 30.0
_NOT_ZIPKIN = (
    "give the base address of Zipkin, such as http://zipkin:9411; Jaeger and Tempo take spans in Zipkin's form "
    "but do not answer its queries"
)


@dataclass(frozen=True)
class Query:
    """Traces of a service whose root began in an interval: epoch milliseconds, both ends included, and not equal.

    `durations_us` keeps those with a span of the service that took so long, from and to in microseconds.
    """

    service: str
    start_ms: int
    end_ms: int
    durations_us: tuple[int, int] | None = None


class Api:
    """A Zipkin server at a base URL; its secret is the one that is bound to that address."""

    def __init__(self, url: str) -> None:
        secret = Credentials.load().for_url(url)
        self._url = url
        self._has_secret = bool(secret and secret.headers("Authorization"))
        # Compressing and decompressing would take longer than the transfer within a cluster.
        self._http = Http(url, secret=secret, timeout=_TIMEOUT, headers={"Accept-Encoding": "identity"})

    def traces(self, query: Query, *, limit: int, max_body: int | None = None) -> Response:
        """The answer to a query, see `decoded`: at most `limit` traces, the newest ones.

        Raises TooLarge for more than `max_body` bytes, else Unavailable.
        """
        params = {
            "serviceName": query.service,
            "endTs": str(query.end_ms),
            "lookback": str(query.end_ms - query.start_ms),
            "limit": str(limit),
        }
        if query.durations_us:
            params |= {"minDuration": str(query.durations_us[0]), "maxDuration": str(query.durations_us[1])}
        return self._get("/api/v2/traces", params, max_body)

    def services(self) -> list[str]:
        """The names of all services that Zipkin knows. Raises Unavailable."""
        names: list[str] = self.json("/api/v2/services", {}, list[str])
        return names

    def json(self, path: str, params: Mapping[str, str], kind: Any) -> Any:
        """An answer decoded as msgspec decodes the type `kind`. Raises Unavailable."""
        response = self._get(path, params)
        try:
            return msgspec.json.decode(response.body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise self._not_zipkin(response) from None

    def decoded(self, response: Response) -> list[Trace]:
        """The traces of an answer. Raises Unavailable when it is none of Zipkin's."""
        try:
            return decode(response.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise self._not_zipkin(response) from None

    def _get(self, path: str, params: Mapping[str, str], max_body: int | None = None) -> Response:
        response = self._http.get(path, params=params, max_body=max_body)
        if response.status != 200:
            raise self._refusal(response)
        return response

    def _refusal(self, response: Response) -> ChaosError:
        answer = describe(response)
        if response.status in (401, 403):
            if self._has_secret:
                return Denied(answer, hint="check the entry of this address in credentials.yaml")
            return Denied(
                f"{answer}: no credentials configured for {self._url}", hint="add this address to credentials.yaml"
            )
        if response.status == 404:
            return self._not_zipkin(response)
        return Unavailable(answer, hint="look at Zipkin's log and its storage")

    @staticmethod
    def _not_zipkin(response: Response) -> Unavailable:
        return Unavailable(f"{describe(response)}: this is not Zipkin's query API", hint=_NOT_ZIPKIN)
