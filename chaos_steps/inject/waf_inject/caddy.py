"""Caddy's admin API: a route of ours in front of the others answers with the fault's status.

Caddy has no random matcher, but `{http.request.uuid}` is a random (version 4) UUID: its first eight hexadecimal
digits are uniform, so comparing them with a threshold takes the asked share. Each change makes Caddy reload, which
resets some keep-alive connections; that is Caddy's, not the fault's.

Caddy looks an @id up first and goes to the place that it has found after that, when a change in between may have put
another route there. So what came for our id is looked at, and only what is still as it was seen is deleted.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from chaos_steps.credentials import Secret
from chaos_steps.errors import OutcomeUnknown, Unavailable, UsageError
from chaos_steps.http import Http, Response, describe
from chaos_steps.inject.waf_inject.access import require_access
from chaos_steps.inject.waf_inject.wanted import MARKER_HEADER, Wanted, rule_id
from chaos_steps.params import format_number

TOKEN_HEADER = "Authorization"  # noqa: S105 - a header's name
RUN_HEADER = "X-Chaos-Run"
_SERVERS = "/config/apps/http/servers"
_DIGITS = 8
_TOLERANCE = 0.01
_LOOKS = 5


class _Found(NamedTuple):
    """Our route, the path where Caddy has it, and the Etag of what is there."""

    route: dict[str, Any]
    path: str
    etag: str


class CaddyDriver:
    """The route of ours for one host in one Caddy."""

    def __init__(self, url: str, host: str, secret: Secret | None) -> None:
        self._http = Http(url, secret=secret, token_header=TOKEN_HEADER)
        self._host = host
        self._id = rule_id(host)
        self._has_secret = secret is not None

    @staticmethod
    def change(wanted: Wanted) -> dict[str, Any]:
        """The route to add. Raises UsageError for a delay, or a share that the threshold cannot represent."""
        if wanted.status is None:
            raise UsageError("driver caddy cannot delay", hint="use --status-code, or another driver")
        identifier = rule_id(wanted.host)
        match: dict[str, Any] = {"host": [wanted.host]}
        if wanted.path:
            match["path"] = [wanted.path]
        if wanted.percentage < 100:
            match["expression"] = f"{{http.request.uuid}} < '{_threshold(wanted.percentage)}'"
        answer = {
            "handler": "static_response",
            "status_code": wanted.status,
            "headers": {MARKER_HEADER: [identifier], RUN_HEADER: [wanted.run]},
            "body": "fault",
        }
        return {"@id": identifier, "match": [match], "handle": [answer], "terminal": True}

    def read(self) -> Any:
        """The route, or None."""
        found = self._find()
        return found.route if found else None

    def write(self, change: dict[str, Any]) -> None:
        """Put the route first, if nobody has changed the routes since they were read."""
        servers = self._checked(self._http.get(_SERVERS, timeout=3.0))
        if servers.status != 200:
            raise Unavailable(describe(servers))
        path = f"{_SERVERS}/{server_for(self._host, servers.json())}/routes"
        routes = self._checked(self._http.get(path, timeout=2.0))
        if routes.status != 200:
            raise Unavailable(describe(routes))
        answer = self._checked(
            self._http.request("PUT", f"{path}/0", json=change, headers={"If-Match": _etag(routes)}, timeout=5.0)
        )
        if answer.status >= 500:
            raise OutcomeUnknown(describe(answer))
        if answer.status != 200:
            raise Unavailable(describe(answer))

    def remove(self) -> None:
        """Delete the route: none with our id was there before."""
        for _ in range(_LOOKS):
            found = self._find()
            if found is None:
                return
            answer = self._checked(self._http.request("DELETE", found.path, headers={"If-Match": found.etag}))
            if answer.status == 200:
                return
            if answer.status not in (400, 412):  # What is there now is not what was seen; 400: nothing is.
                raise OutcomeUnknown(describe(answer))
        raise Unavailable(f"the routes changed at each of {_LOOKS} attempts to delete ours: {describe(answer)}")

    def _find(self) -> _Found | None:
        for _ in range(_LOOKS):
            answer = self._checked(self._http.get(f"/id/{self._id}"))
            if answer.status == 404:
                return None
            if answer.status not in (200, 400):  # 400: the place is gone.
                raise Unavailable(describe(answer))
            route = answer.json()
            if isinstance(route, dict) and route.get("@id") == self._id:
                etag = _etag(answer)
                return _Found(route, etag.strip('"').rpartition(" ")[0], etag)
        raise Unavailable(f"no object with this @id came: {describe(answer)}")

    @staticmethod
    def holds(state: Any, change: dict[str, Any]) -> bool:
        """Caddy keeps a route as it was sent."""
        return bool(state == change)

    @staticmethod
    def marked_by(state: Any) -> str | None:
        """The run that the route's header names."""
        if state is None:
            return None
        try:
            return str(state["handle"][0]["headers"][RUN_HEADER][0])
        except (KeyError, IndexError, TypeError):
            return "(unknown)"

    def _checked(self, answer: Response) -> Response:
        return require_access(answer, self._http.base_url, has_secret=self._has_secret)


def _etag(answer: Response) -> str:
    """The Etag: `"PATH HASH"`. Raises Unavailable without one, as nothing could be changed safely then."""
    etag = answer.headers.get("Etag")
    if not etag:
        raise Unavailable(f"{answer.url} answered without an Etag", hint="use a newer Caddy, or let its Etag through")
    return etag


def _threshold(percentage: float) -> str:
    """The first digits of the UUIDs below which a request is faulted."""
    wanted = percentage / 100 * 16**_DIGITS
    threshold = round(wanted)
    if abs(threshold - wanted) > _TOLERANCE * wanted:
        raise UsageError(
            f"driver caddy cannot represent {format_number(percentage)} %", hint="ask for at least 0.00001 %"
        )
    return f"{threshold:0{_DIGITS}x}"


def server_for(host: str, servers: Any) -> str:
    """The name of the server that answers for a host: one that names it, else the only one that takes any host.

    Raises UsageError when none or several do.
    """
    named, open_ = [], []
    for name, server in (servers or {}).items():
        hosts = [_hosts(route) for route in server.get("routes") or []]
        if any(host in listed for listed in hosts if listed is not None):
            named.append(name)
        elif any(listed is None for listed in hosts):
            open_.append(name)
    found = named or open_
    if len(found) != 1:
        raise UsageError(
            f"{len(found)} of Caddy's servers ({', '.join(sorted(servers or {})) or 'none'}) have a route for {host}",
            hint="exactly one must have it",
        )
    return str(found[0])


def _hosts(route: dict[str, Any]) -> set[str] | None:
    """The hosts that a route names, in lower case; None when it takes any."""
    matchers = route.get("match") or [{}]
    if any("host" not in matcher for matcher in matchers):
        return None
    return {host.lower() for matcher in matchers for host in matcher["host"]}
