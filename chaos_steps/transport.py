"""One HTTP exchange in a thread of its own: what `http.py` does with requests, urllib3 and sockets.

The thread is what bounds the total time: no socket timeout ends a server that sends a byte a second. The caller waits,
and `Exchange.abandon` makes sure that a request which has not been sent by then never will be.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

MAX_BODY = 64 * 1024 * 1024

# The caller's wait ends a call; the socket's own timeout only ends a thread that nobody waits for any more.
_GRACE = 1.0

# The connection classes are made by urllib3; they find their exchange by the thread they run in.
_here = threading.local()


class AbandonedError(Exception):
    """The caller has stopped waiting."""


class TooLargeError(Exception):
    """The answer is larger than the call's `max_body`; says how large that is."""


@dataclass(frozen=True)
class Call:
    """One request, ready to be sent.

    `timeout` in seconds; `socket_path`: a UNIX socket in place of the URL's host; `max_body`: bytes of the answer.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    params: Mapping[str, str] | None
    json: Any
    timeout: float
    retried: bool
    verify: bool | str
    cert: str | tuple[str, str] | None
    socket_path: str
    max_body: int = MAX_BODY


class Exchange(threading.Thread):
    """Sends one call.

    After `done` either `error` is set, or the rest: `elapsed` in seconds, from before connecting to the last byte.
    """

    def __init__(self, call: Call) -> None:
        super().__init__(name=f"{call.method} {call.url}", daemon=True)
        self.call = call
        self.done = threading.Event()
        self.error: Exception | None = None
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self.body = b""
        self.elapsed = 0.0
        self._lock = threading.Lock()
        self._abandoned = False
        self._sent = False
        self._socket: socket.socket | None = None

    def run(self) -> None:
        """Talk to the server; never raises."""
        _here.exchange = self
        try:
            self._talk()
        except Exception as error:  # noqa: BLE001 - the waiting caller raises it
            self.error = error
        finally:
            self._drop_socket()
            self.done.set()

    def abandon(self) -> bool:
        """Stop the exchange where it is and say whether the request was sent, whole or in part.

        When this returns False the request never goes out.
        """
        with self._lock:
            self._abandoned = True
            if self._socket:
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)
            return self._sent

    def opened(self, connection: socket.socket) -> None:
        """Called with each new connection, before TLS. Keeps a duplicate, as TLS takes the original over."""
        self._drop_socket()
        with self._lock:
            if self._abandoned:
                connection.close()
                raise AbandonedError
            self._socket = connection.dup()

    def sending(self) -> None:
        """Called when the connection stands and the request is about to be written."""
        with self._lock:
            if self._abandoned:
                raise AbandonedError
            self._sent = True

    def _drop_socket(self) -> None:
        with self._lock:
            if self._socket:
                self._socket.close()
                self._socket = None

    def _talk(self) -> None:
        call = self.call
        began = monotonic()
        with requests.Session() as session:
            session.trust_env = not call.socket_path
            # Without an auth of its own a session that trusts the environment takes credentials from ~/.netrc.
            session.auth = _unchanged
            for scheme in ("http://", "https://"):
                session.mount(scheme, _Adapter(max_retries=_RETRIES if call.retried else 0))
            with session.request(
                call.method,
                call.url,
                params=call.params,
                json=call.json,
                headers=dict(call.headers),
                timeout=call.timeout + _GRACE,
                allow_redirects=False,
                stream=True,
                verify=call.verify,
                cert=call.cert,
            ) as answer:
                body = bytearray()
                for chunk in answer.raw.stream(65536, decode_content=True):
                    body += chunk
                    if len(body) > call.max_body:
                        raise TooLargeError(f"{call.max_body >> 20} MiB")
                self.status, self.headers, self.body = answer.status_code, answer.headers, bytes(body)
                self.elapsed = monotonic() - began


def _unchanged(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


# Backoff: none before the first retry, 0.4 s before the second.
_RETRIES = urllib3.Retry(
    total=2,
    redirect=0,
    status_forcelist=(502, 503, 504),
    backoff_factor=0.2,
    respect_retry_after_header=False,
    raise_on_status=False,
)


class _Watched(HTTPConnection):
    """Tells the thread's exchange when it connects and when it sends."""

    def _new_conn(self) -> socket.socket:
        exchange: Exchange = _here.exchange
        connection = _unix_socket(exchange.call) if exchange.call.socket_path else super()._new_conn()
        exchange.opened(connection)
        return connection

    def request(self, *args: Any, **kwargs: Any) -> None:
        """Connect first, so that `sending` means sending."""
        if self.sock is None:
            self.connect()
        exchange: Exchange = _here.exchange
        exchange.sending()
        super().request(*args, **kwargs)


class _WatchedTls(_Watched, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Watched


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _WatchedTls


_POOLS = {"http": _Pool, "https": _TlsPool}


class _Adapter(HTTPAdapter):
    """The adapter of requests, with watched connections, to a proxy as well."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager


def _unix_socket(call: Call) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(call.timeout + _GRACE)
    try:
        connection.connect(call.socket_path)
    except OSError:
        connection.close()
        raise
    return connection


def is_certificate_error(error: BaseException) -> bool:
    """Whether the server's certificate was refused."""
    return any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error))


_FAILURES = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
    AbandonedError,
    TooLargeError,
)


def is_failure(error: Exception) -> bool:
    """Whether `error` comes from the network or the server, and is no mistake of ours."""
    return isinstance(error, _FAILURES)


def reason(error: Exception) -> str:
    """A few words on what went wrong, never the library's own text, which may quote headers."""
    for kind, words in _REASONS:
        for cause in _causes(error):
            if isinstance(cause, kind):
                return words.format(cause=cause)
    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
    return type(error).__name__


def _causes(error: BaseException) -> list[BaseException]:
    """The error and all behind it: urllib3 keeps some as a cause, some as a context, some only in `args`."""
    found: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        each = waiting.pop(0)
        if isinstance(each, BaseException) and each not in found:
            found.append(each)
            waiting += [each.__cause__, each.__context__, *each.args]
    return found


_REASONS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
    (TooLargeError, "the answer is larger than {cause}"),
    (ssl.SSLCertVerificationError, "its certificate is not trusted: {cause.verify_message}"),
    (ssl.SSLError, "TLS failed: {cause.reason}"),
    (socket.gaierror, "its host name cannot be resolved: {cause.strerror}"),
    (ConnectionRefusedError, "connection refused"),
    (http.client.RemoteDisconnected, "the server closed the connection without an answer"),
    (ConnectionResetError, "the connection was reset"),
    ((TimeoutError, urllib3.exceptions.TimeoutError), "no answer in time"),
    ((http.client.IncompleteRead, urllib3.exceptions.IncompleteRead), "the answer broke off"),
    (urllib3.exceptions.DecodeError, "the answer could not be decoded"),
    (requests.exceptions.ProxyError, "the proxy could not be used"),
    (http.client.HTTPException, "the answer is not HTTP"),
    ((requests.exceptions.InvalidURL, urllib3.exceptions.LocationValueError), "the address is not valid"),
)
