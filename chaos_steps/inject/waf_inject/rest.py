"""A WAF whose rules change by REST: POST /rules, GET and DELETE /rules/{id}, token in X-Auth-Token.

The rule's id is derived from the host, so that the WAF itself refuses a second fault for it; the description carries
the run.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from chaos_steps.credentials import Secret
from chaos_steps.errors import OutcomeUnknown, Unavailable
from chaos_steps.http import Http, Response, describe
from chaos_steps.inject.waf_inject.access import require_access
from chaos_steps.inject.waf_inject.wanted import Wanted, rule_id

TOKEN_HEADER = "X-Auth-Token"  # noqa: S105 - a header's name
_PRIORITY = 1
_RUN = re.compile(r"\brun ([A-Za-z0-9._-]+)")


class RestDriver:
    """The rules of one WAF for one host."""

    def __init__(self, url: str, host: str, secret: Secret | None) -> None:
        self._http = Http(url, secret=secret, token_header=TOKEN_HEADER)
        self._id = rule_id(host)
        self._path = f"/rules/{quote(self._id, safe='')}"
        self._has_secret = secret is not None

    def change(self, wanted: Wanted) -> dict[str, Any]:
        """The rule to post."""
        action: dict[str, Any] = (
            {"type": "deny", "statusCode": wanted.status}
            if wanted.status is not None
            else {"type": "add_delay", "delayMs": wanted.delay_ms}
        )
        return {
            "id": self._id,
            "description": f"chaos-steps, run {wanted.run}",
            "priority": _PRIORITY,
            "match": {"host": wanted.host, "path": wanted.path or "/*"},
            "action": action,
            "samplingRate": wanted.percentage / 100,
        }

    def read(self) -> Any:
        """The rule, or None."""
        answer = self._checked(self._http.get(self._path))
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise Unavailable(describe(answer))
        rule = answer.json()
        if not isinstance(rule, dict):
            raise Unavailable(f"{answer.url} answered with something else than a rule")
        return rule

    def write(self, change: dict[str, Any]) -> None:
        """POST the rule once."""
        answer = self._checked(self._http.request("POST", "/rules", json=change, timeout=10.0))
        if answer.status >= 500:
            raise OutcomeUnknown(describe(answer))
        if answer.status not in (200, 201):
            raise Unavailable(describe(answer))

    def remove(self) -> None:
        """DELETE the rule: a rule with our id was never there before."""
        answer = self._checked(self._http.request("DELETE", self._path))
        if answer.status not in (200, 202, 204, 404):
            raise OutcomeUnknown(describe(answer))

    def holds(self, state: Any, change: dict[str, Any]) -> bool:
        """Compare the fields that we set; a WAF may add some of its own."""
        return isinstance(state, dict) and _within(change, state)

    def marked_by(self, state: Any) -> str | None:
        """The run that the description names."""
        if not isinstance(state, dict):
            return None
        found = _RUN.search(str(state.get("description", "")))
        return found[1] if found else f"(unknown, rule {self._id})"

    def _checked(self, answer: Response) -> Response:
        return require_access(answer, self._http.base_url, has_secret=self._has_secret)


def _within(wanted: Any, there: Any) -> bool:
    if isinstance(wanted, dict):
        return isinstance(there, dict) and all(
            key in there and _within(value, there[key]) for key, value in wanted.items()
        )
    return bool(wanted == there)
