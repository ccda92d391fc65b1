"""What both drivers do with an answer that refuses our credentials."""

from __future__ import annotations

from chaos_steps.errors import Denied
from chaos_steps.http import Response, describe


def require_access(answer: Response, base_url: str, *, has_secret: bool) -> Response:
    """The answer, unless it is a 401 or 403. Raises Denied."""
    if answer.status not in (401, 403):
        return answer
    if has_secret:
        raise Denied(describe(answer), hint=f"the credentials configured for {base_url} are refused")
    raise Denied(f"no credentials configured for {base_url}", hint="set WAF_ADMIN_API_URL or credentials.yaml")
