"""The HTTP client against servers that behave badly on their sockets, and against a real Consul over TLS."""

from __future__ import annotations

import gzip
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from chaos_steps.credentials import Secret
from chaos_steps.errors import OutcomeUnknown, TooLarge, Unavailable, UsageError
from chaos_steps.http import Http, describe
from chaos_steps.transport import MAX_BODY, AbandonedError, Call, Exchange
from tests.conftest import StartCommand
from tests.servers.consul import Consul
from tests.servers.upstream import Reply, Request, Upstream
from tests.waiting import wait_until

TOKEN = "t0p-s3cret"
SHORT = 0.2
LONG_ENOUGH_TO_SEND = 1.0


class Raw:
    """A server that hands each connection to `talk`; keeps connections, the bytes read from them and how many broke."""

    def __init__(
        self, talk: Callable[[socket.socket], None], family: socket.AddressFamily, address: tuple[str, int] | str
    ) -> None:
        self._talk = talk
        self._listener = socket.socket(family)
        self._listener.bind(address)
        self._listener.listen()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}" if family == socket.AF_INET else ""
        self.connections: list[socket.socket] = []
        self.received: list[bytes] = []
        self.broken = 0
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            self.received.append(connection.recv(65536))
            self._talk(connection)
        except OSError:
            self.broken += 1

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        # A connection that is just being accepted is in the list only when the thread has ended.
        self._accepting.join()
        for end in (self._listener, *self.connections):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@contextmanager
def raw_server(
    talk: Callable[[socket.socket], None],
    family: socket.AddressFamily = socket.AF_INET,
    address: tuple[str, int] | str = ("127.0.0.1", 0),
) -> Iterator[Raw]:
    server = Raw(talk, family, address)
    try:
        yield server
    finally:
        server.close()


def hang(_: socket.socket) -> None:
    """Leave the connection open and say nothing."""


def trickle(beginning: bytes, drop: bytes) -> Callable[[socket.socket], None]:
    """Send `beginning`, then `drop` again and again, for ever."""

    def talk(connection: socket.socket) -> None:
        connection.sendall(beginning)
        pause = threading.Event()
        while True:
            connection.sendall(drop)
            pause.wait(0.01)

    return talk


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


def answer(text: bytes) -> Callable[[socket.socket], None]:
    def talk(connection: socket.socket) -> None:
        connection.sendall(text)
        connection.shutdown(socket.SHUT_WR)

    return talk


NO_CLEAR_ANSWER = {
    "hangs": hang,
    "trickles its head": trickle(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"),
    "trickles its body": trickle(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"x"),
    "goes on with interim answers": trickle(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "resets": reset,
    "closes without a word": answer(b""),
    "breaks off its body": answer(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"),
    "does not speak HTTP": answer(b"220 mail.example ESMTP\r\n"),
    "redirects": answer(b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere.invalid/\r\nContent-Length: 0\r\n\r\n"),
    "answers without end": answer(
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(bytes(MAX_BODY + 1), 1)
    ),
}

GOES_ON = {"hangs", "trickles its head", "trickles its body", "goes on with interim answers"}
"""Only the caller's time ends these."""


@pytest.mark.parametrize("server", NO_CLEAR_ANSWER)
def test_a_read_without_a_clear_answer_is_unavailable_within_its_time(server: str) -> None:
    seconds = SHORT if server in GOES_ON else 60.0
    with raw_server(NO_CLEAR_ANSWER[server]) as raw, pytest.raises(Unavailable) as raised:
        Http(raw.url, timeout=seconds).get("/x")
    assert not isinstance(raised.value, OutcomeUnknown)
    assert f"{raw.url}/x" in raised.value.message


WRITES = [
    *(("POST", server) for server in NO_CLEAR_ANSWER),
    ("PUT", "hangs"),
    ("PATCH", "resets"),
    ("DELETE", "resets"),
]


@pytest.mark.parametrize(("method", "server"), WRITES)
def test_a_write_without_a_clear_answer_has_an_unknown_outcome_and_is_sent_once(method: str, server: str) -> None:
    seconds = LONG_ENOUGH_TO_SEND if server in GOES_ON else 60.0
    with raw_server(NO_CLEAR_ANSWER[server]) as raw:
        with pytest.raises(OutcomeUnknown):
            Http(raw.url, timeout=seconds).request(method, "/x", json={"a": 1})
        wait_until(lambda: raw.received, "the request")
        assert [text.split(b" ")[0].decode() for text in raw.received] == [method]


def test_get_is_tried_again_when_the_connection_breaks() -> None:
    with raw_server(reset) as raw:
        with pytest.raises(Unavailable, match="reset"):
            Http(raw.url, timeout=30).get("/x")
        assert len(raw.received) == 3


def test_a_refused_write_was_not_sent() -> None:
    with raw_server(hang) as raw:
        url = raw.url
    with pytest.raises(Unavailable, match="connection refused") as raised:
        Http(url).request("POST", "/x")
    assert not isinstance(raised.value, OutcomeUnknown)


def test_a_write_to_an_unknown_host_was_not_sent() -> None:
    with pytest.raises(Unavailable, match=r"http://nowhere\.invalid/x: its host name cannot be resolved") as raised:
        Http("http://nowhere.invalid").request("POST", "/x")
    assert not isinstance(raised.value, OutcomeUnknown)


def test_a_write_whose_tls_handshake_hangs_was_not_sent() -> None:
    with raw_server(hang) as raw, pytest.raises(Unavailable, match="no answer") as raised:
        Http(raw.url.replace("http", "https"), timeout=SHORT).request("POST", "/x")
    assert not isinstance(raised.value, OutcomeUnknown)


def test_a_write_that_no_proxy_would_pass_on_was_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    with raw_server(answer(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")) as raw:
        monkeypatch.setenv("https_proxy", raw.url)
        with pytest.raises(Unavailable) as raised:
            Http("https://waf.invalid").request("POST", "/x")
    assert not isinstance(raised.value, OutcomeUnknown)
    assert raw.received[0].startswith(b"CONNECT waf.invalid:443")


@pytest.fixture
def exchange(upstream: Upstream) -> Exchange:
    """A write to `upstream` that has not begun."""
    call = Call("POST", f"{upstream.url}/x", {}, None, {}, 5.0, retried=False, verify=True, cert=None, socket_path="")
    return Exchange(call)


def test_a_request_that_was_given_up_before_it_began_is_never_sent(exchange: Exchange, upstream: Upstream) -> None:
    sent = exchange.abandon()
    exchange.start()
    assert exchange.done.wait(30)
    assert (sent, type(exchange.error), upstream.count) == (False, AbandonedError, 0)


def test_a_connection_that_stands_too_late_is_closed(exchange: Exchange) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        exchange.abandon()
        with pytest.raises(AbandonedError):
            exchange.opened(ours)
        theirs.settimeout(30)
        assert theirs.recv(1) == b""


def test_a_request_that_was_given_up_while_connecting_is_never_sent(exchange: Exchange) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        exchange.opened(ours)
        assert not exchange.abandon()
        with pytest.raises(AbandonedError):
            exchange.sending()
        assert ours.recv(1) == b""
    exchange.run()  # Frees what it holds.


def test_giving_up_ends_the_connection_also_of_a_server_that_goes_on() -> None:
    with raw_server(NO_CLEAR_ANSWER["trickles its body"]) as raw:
        with pytest.raises(OutcomeUnknown):
            Http(raw.url, timeout=LONG_ENOUGH_TO_SEND).request("POST", "/x")
        wait_until(lambda: raw.broken, "the server's connection to break")


def test_a_signal_ends_a_call_at_once(start_command: StartCommand) -> None:
    with raw_server(hang) as raw:
        command = start_command("http-probe", "--url", raw.url, "--timeout-ms", "600000")
        wait_until(lambda: raw.received, "the request")
        command.send_signal(signal.SIGTERM)
        assert command.wait().code == 143


@pytest.mark.parametrize("status", [502, 503, 504])
def test_get_is_tried_again_when_a_gateway_fails(upstream: Upstream, status: int) -> None:
    upstream.respond = lambda _: Reply(200 if upstream.count == 3 else status)
    assert Http(upstream.url, timeout=30).get("/x").status == 200
    assert upstream.count == 3


def test_get_returns_the_last_answer_when_every_try_fails(upstream: Upstream) -> None:
    upstream.status = 503
    assert Http(upstream.url, timeout=30).get("/x").status == 503
    assert upstream.count == 3


@pytest.mark.parametrize("status", [401, 403, 404, 409, 429, 500])
def test_get_returns_other_statuses_at_once(upstream: Upstream, status: int) -> None:
    upstream.status = status
    assert Http(upstream.url).get("/x").status == status
    assert upstream.count == 1


def test_a_caller_may_take_less_of_an_answer_and_is_told_when_it_is_too_large(upstream: Upstream) -> None:
    upstream.respond = lambda _: Reply(200, bytes(1 << 20))
    http = Http(upstream.url)
    assert len(http.get("/fits", max_body=1 << 20).body) == 1 << 20
    upstream.respond = lambda _: Reply(200, bytes((1 << 20) + 1))
    with pytest.raises(TooLarge, match="/large: the answer is larger than 1 MiB"):
        http.get("/large", max_body=1 << 20)
    assert upstream.count == 2


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_request_is_never_tried_again(upstream: Upstream, method: str) -> None:
    upstream.status = 503
    assert Http(upstream.url).request(method, "/x").status == 503
    assert upstream.count == 1


def test_the_target_of_a_redirect_is_not_asked_and_is_named_without_its_query(upstream: Upstream) -> None:
    with raw_server(hang) as other:
        place = f"{other.url}/login?return=secret"
        upstream.respond = lambda _: Reply(302, b"", {"Location": place})
        with pytest.raises(Unavailable, match=f"answered 302 to {other.url}/login; not followed"):
            Http(upstream.url, secret=Secret(upstream.url, token=TOKEN)).get("/x")
        assert Http(upstream.url, return_redirects=True).get("/x").status == 302
        assert not other.connections


@pytest.mark.parametrize(
    ("secret", "header", "name", "value"),
    [
        ({"token": TOKEN}, "Authorization", "authorization", f"Bearer {TOKEN}"),
        ({"token": TOKEN}, "X-Auth-Token", "x-auth-token", TOKEN),
        ({"header": "X-Own", "value": TOKEN}, "X-Auth-Token", "x-own", TOKEN),
        ({"username": "me", "password": "p:w"}, "X-Auth-Token", "authorization", "Basic bWU6cDp3"),
    ],
)
def test_a_secret_is_sent_the_way_its_kind_asks_for(
    upstream: Upstream, secret: dict[str, str], header: str, name: str, value: str
) -> None:
    Http(upstream.url, secret=Secret(upstream.url, **secret), token_header=header).get("/x")  # type: ignore[arg-type]
    assert upstream.requests[0].headers[name] == value


def test_a_secret_for_another_address_is_refused(upstream: Upstream) -> None:
    with pytest.raises(UsageError, match="is not for"):
        Http(upstream.url, secret=Secret(f"{upstream.url}/admin", token=TOKEN))


def test_an_address_with_a_password_is_refused_without_repeating_it() -> None:
    with pytest.raises(UsageError) as raised:
        Http(f"http://me:{TOKEN}@waf.example")
    assert TOKEN not in str(raised.value)


@pytest.mark.parametrize(
    ("base", "path", "asked"),
    [
        ("", "", "/"),
        ("/", "", "/"),
        ("/api", "", "/api"),
        ("/api/", "", "/api/"),
        ("/api", "?x=1", "/api?x=1"),
        ("/api/", "/rules", "/api/rules"),
        ("/api", "/rules/a%20b%2Fc", "/api/rules/a%20b%2Fc"),
    ],
)
def test_a_path_is_appended_to_the_address(upstream: Upstream, base: str, path: str, asked: str) -> None:
    Http(upstream.url + base).get(path)
    assert upstream.requests[0].path == asked


@pytest.mark.parametrize("path", ["/../x", "/a/%2e%2e/b", "/./x"])
def test_a_path_that_climbs_out_of_the_address_is_refused(upstream: Upstream, path: str) -> None:
    with pytest.raises(UsageError):
        Http(f"{upstream.url}/rules").get(path)
    assert not upstream.count


def test_netrc_is_not_read(upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine 127.0.0.1 login me password {TOKEN}\n")
    monkeypatch.setenv("NETRC", str(netrc))
    Http(upstream.url).get("/x")
    assert "authorization" not in upstream.requests[0].headers


def test_the_proxy_of_the_environment_is_used(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", upstream.url)
    assert Http("http://waf.invalid").get("/x").status == 200
    assert upstream.requests[0].path == "http://waf.invalid/x"


def test_a_unix_socket_is_an_address(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    talk = answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
    with raw_server(talk, socket.AF_UNIX, str(path)) as raw:
        assert Http(f"unix://{path}", secret=Secret(f"unix://{path}", token=TOKEN)).get("/x?y=1").json() == {}
    assert raw.received[0].startswith(b"GET /x?y=1 HTTP/1.1")


def test_what_is_not_json_is_unavailable_and_shown(upstream: Upstream) -> None:
    upstream.respond = lambda _: Reply(200, b"<html>\n<h1>Welcome</h1>", {"Content-Type": "text/html"})
    with pytest.raises(Unavailable, match="200 OK: <html> <h1>Welcome</h1>: this is not JSON"):
        Http(upstream.url).get("/x").json()


def test_a_description_is_one_line_and_hides_the_secret_that_the_server_repeats(upstream: Upstream) -> None:
    def echo(request: Request) -> Reply:
        return Reply(403, f"denied:\x1b[31m\n{request.headers['authorization']} {'x' * 500}".encode())

    upstream.respond = echo
    for secret in (
        Secret(upstream.url, token=TOKEN),
        Secret(upstream.url, username="me", password=TOKEN),
    ):
        text = describe(Http(upstream.url, secret=secret).get("/x?token=1"))
        assert text.startswith(f"{upstream.url}/x answered 403 Forbidden: denied: [31m B")
        assert "***" in text
        assert len(text) < 300
        for hidden in (TOKEN, "bWU6", "\n", "\x1b", "token=1"):
            assert hidden not in text


def test_a_certificate_of_an_unknown_authority_is_refused_and_the_hint_names_ca_file(consul: Consul) -> None:
    with pytest.raises(Unavailable, match="certificate is not trusted") as raised:
        Http(consul.https_url).request("PUT", "/v1/kv/x", json=1)
    assert not isinstance(raised.value, OutcomeUnknown)
    assert "caFile" in raised.value.hint


def test_the_ca_file_of_the_secret_is_trusted_and_not_the_one_of_the_environment(
    consul: Consul, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "missing"))
    secret = Secret(consul.https_url, token=consul.token, ca_file=consul.ca_file)
    http = Http(consul.https_url, secret=secret, token_header="X-Consul-Token")
    assert http.request("PUT", "/v1/kv/x", json=1).text.strip() == "true"


def test_verification_can_be_switched_off(consul: Consul) -> None:
    assert Http(consul.https_url, verify_tls=False).get("/v1/status/leader").status == 200


def test_a_tls_file_that_cannot_be_read_is_a_usage_error(tmp_path: Path) -> None:
    missing = tmp_path / "ca.pem"
    with pytest.raises(UsageError, match=r"ca\.pem"):
        Http("https://waf.example", secret=Secret("https://waf.example", ca_file=missing))


def test_the_elapsed_time_covers_the_whole_answer(upstream: Upstream) -> None:
    upstream.latency = SHORT
    assert Http(upstream.url).get("/x").elapsed >= SHORT
