"""The only HTTP client: a bound on the total time, no redirects, secrets only to their own address, and exact outcomes.

Every call opens a connection of its own, so no write is lost to a connection that the server had already given up.
Proxies come from the environment; ~/.netrc is never read and no cookie is kept.
"""

from __future__ import annotations

import http
import json as jsonlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from chaos_steps import __version__
from chaos_steps.errors import OutcomeUnknown, TooLarge, Unavailable, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from chaos_steps.credentials import Secret
    from chaos_steps.transport import Exchange

_READING = ("GET", "HEAD", "OPTIONS")
_EXCERPT = 200


@dataclass(frozen=True)
class Response:
    """A whole answer: `headers` by any case, `elapsed` in seconds from before connecting to the last byte."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    url: str
    elapsed: float
    hidden: tuple[str, ...] = field(repr=False, default=())

    @property
    def text(self) -> str:
        """The body as UTF-8; what is not is replaced."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body as JSON. Raises Unavailable, naming the address, when it is not."""
        try:
            return jsonlib.loads(self.body)
        except ValueError:
            raise Unavailable(
                f"{describe(self)}: this is not JSON", hint="check that the address is that of the API"
            ) from None


def describe(response: Response) -> str:
    """One line on an answer, for error messages: address, status, how the body begins; without the secret sent."""
    try:
        phrase = f" {http.HTTPStatus(response.status).phrase}"
    except ValueError:
        phrase = ""
    text = response.body[:4096].decode("utf-8", "replace")
    for secret in response.hidden:
        text = text.replace(secret, "***")
    text = re.sub(r"[\s\x00-\x1f\x7f-\x9f]+", " ", text).strip()
    excerpt = text if len(text) <= _EXCERPT else f"{text[:_EXCERPT]}…"
    return f"{response.url} answered {response.status}{phrase}{': ' if excerpt else ''}{excerpt}"


class Http:
    """The API at `base_url` (http, https or unix:///path/of/socket).

    `secret` must be bound to that address, else UsageError; its token goes into `token_header`, as Bearer where that is
    Authorization. `timeout` is the total time of a call in seconds. A redirect is never followed: it is an error, or
    with `return_redirects` an answer like any other.
    """

    def __init__(
        self,
        base_url: str,
        *,
        secret: Secret | None = None,
        token_header: str = "Authorization",  # noqa: S107 - a header's name
        timeout: float = 5.0,
        headers: Mapping[str, str] | None = None,
        verify_tls: bool = True,
        return_redirects: bool = False,
    ) -> None:
        if "@" in urlsplit(base_url).netloc:
            raise UsageError(
                "an address with a user or password in it is refused", hint="give credentials apart from it"
            )
        if secret and not secret.covers(base_url):
            raise UsageError(f"{secret} is not for {base_url}")
        self.base_url = base_url
        self._timeout = timeout
        self._return_redirects = return_redirects
        secret_headers = secret.headers(token_header) if secret else {}
        self._hidden = _parts_to_hide(secret)
        self._headers = {"User-Agent": f"chaos-steps/{__version__}", **(headers or {}), **secret_headers}
        self._verify = _verification(secret, verify=verify_tls)
        self._cert = _certificate(secret)

    def get(
        self,
        path: str = "",
        *,
        params: Mapping[str, str] | None = None,
        timeout: float | None = None,
        max_body: int | None = None,
    ) -> Response:
        """GET, tried up to three times on connection errors and on 502, 503 and 504, all within `timeout`.

        Raises Unavailable without a clear answer, TooLarge for one of more than `max_body` bytes (by default 64 MiB);
        any status but a redirect is returned.
        """
        return self._exchange("GET", path, params=params, timeout=timeout, max_body=max_body, retried=True)

    def request(
        self,
        method: str,
        path: str = "",
        *,
        json: Any = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Response:
        """One request, never retried; any status but a redirect is returned.

        Raises Unavailable when the request was not sent or only reads, OutcomeUnknown when a write was sent and no
        clear answer came.
        """
        return self._exchange(method, path, json=json, params=params, headers=headers, timeout=timeout)

    def _exchange(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        max_body: int | None = None,
        retried: bool = False,
    ) -> Response:
        from chaos_steps.transport import MAX_BODY, Call, Exchange  # noqa: PLC0415 - imports requests

        # A slash at the end of the address is its own as long as no path follows.
        base = self.base_url.rstrip("/") if path.startswith("/") else self.base_url
        shown = base + path
        url, socket_path = _target(base, path)
        seconds = self._timeout if timeout is None else timeout
        call = Call(
            method=method,
            url=url,
            headers={**self._headers, **(headers or {})},
            params=params,
            json=json,
            timeout=seconds,
            retried=retried,
            verify=self._verify,
            cert=self._cert,
            socket_path=socket_path,
            max_body=max_body or MAX_BODY,
        )
        exchange = Exchange(call)
        try:
            exchange.start()
            finished = exchange.done.wait(seconds)
        finally:
            # Also when a signal ends the wait: what has not been sent by now never is.
            sent = exchange.abandon()
        if not finished:
            raise _failure(f"{method} {shown}: no answer within {seconds:g} s", sent and method not in _READING)
        _raise_error(exchange, f"{method} {shown}", unknown=sent and method not in _READING)
        response = Response(
            exchange.status, exchange.headers, exchange.body, shown.partition("?")[0], exchange.elapsed, self._hidden
        )
        if not self._return_redirects:
            _refuse_redirect(response, unknown=method not in _READING)
        return response


def _target(base_url: str, path: str) -> tuple[str, str]:
    """URL and UNIX socket of a call. Dot segments would climb out of the address that a secret is bound to."""
    if path and path[0] not in "/?":
        raise ValueError(f"path {path!r} does not start with a slash")
    socket_path = base_url.removeprefix("unix://") if base_url.startswith("unix:///") else ""
    url = ("http://localhost" if socket_path else base_url) + path
    if {".", ".."} & set(unquote(urlsplit(url).path).split("/")):
        raise UsageError(f"{base_url}{path} has . or .. in its path", hint="give the path without them")
    return url, socket_path


def _verification(secret: Secret | None, *, verify: bool) -> bool | str:
    if not verify:
        import urllib3  # noqa: PLC0415

        # The operator switched verification off; the library would repeat its warning at each request.
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        return False
    return _readable(secret.ca_file) if secret and secret.ca_file else True


def _certificate(secret: Secret | None) -> str | tuple[str, str] | None:
    if not secret or not secret.cert_file:
        return None
    certificate = _readable(secret.cert_file)
    return (certificate, _readable(secret.key_file)) if secret.key_file else certificate


def _readable(path: Path) -> str:
    try:
        with path.open("rb"):
            return str(path)
    except OSError as error:
        raise UsageError(f"cannot read the TLS file {path}: {error.strerror}") from None


def _parts_to_hide(secret: Secret | None) -> tuple[str, ...]:
    """What an answer might echo, longest first."""
    if not secret:
        return ()
    encoded = [value.removeprefix("Basic ") for value in secret.headers("").values()]
    parts = {secret.token, secret.value, secret.password, *encoded} - {""}
    return tuple(sorted(parts, key=len, reverse=True))


def _failure(message: str, unknown: bool, hint: str = "") -> Unavailable:
    if unknown:
        return OutcomeUnknown(f"{message}; whether it took effect is not known", hint=hint)
    return Unavailable(message, hint=hint)


def _raise_error(exchange: Exchange, what: str, *, unknown: bool) -> None:
    """Raise the exchange's error as one of ours; a mistake of ours as it is."""
    from chaos_steps import transport  # noqa: PLC0415

    error = exchange.error
    if error is None:
        return
    if not transport.is_failure(error):
        raise error
    if isinstance(error, transport.TooLargeError) and not unknown:
        raise TooLarge(f"{what}: {transport.reason(error)}") from None
    untrusted = transport.is_certificate_error(error)
    hint = "give the certificate of its authority as caFile in credentials.yaml" if untrusted else ""
    # Without the library's error as its cause: its text may quote a header.
    raise _failure(f"{what}: {transport.reason(error)}", unknown, hint) from None


def _refuse_redirect(response: Response, *, unknown: bool) -> None:
    """A followed redirect would carry a secret or a write to an address nobody gave."""
    if not 300 <= response.status < 400:
        return
    place = response.headers.get("Location", "")
    target = urlsplit(place)._replace(query="", fragment="").geturl()[:_EXCERPT] if place else "nowhere"
    message = f"{response.url} answered {response.status} to {target}; not followed"
    # A 303 may well follow a write that was done.
    raise _failure(message, unknown, "give the address it points to, if that is the API")
