"""One HTTP request with the standard library, for looking at servers without the code under test."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit


class Answer(NamedTuple):
    """What a server answered; header names are lower-case."""

    status: int
    body: bytes
    headers: dict[str, str]


def call(
    method: str,
    url: str,
    *,
    body: object = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = 60.0,
    tls: ssl.SSLContext | None = None,
) -> Answer:
    """Send one request on a connection of its own. `body` is sent as it is when bytes, else as JSON; `tls`: for https.

    Raises OSError or http.client.HTTPException when no answer came.
    """
    parts = urlsplit(url)
    content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    more = {"Content-Type": "application/json"} if isinstance(content, bytes) else {}
    host = parts.hostname or ""
    connection = (
        http.client.HTTPSConnection(host, parts.port, timeout=timeout, context=tls)
        if tls
        else http.client.HTTPConnection(host, parts.port, timeout=timeout)
    )
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target, content, {**more, **(headers or {})})
        answer = connection.getresponse()
        return Answer(answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()})
    finally:
        connection.close()
