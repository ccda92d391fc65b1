"""The demo's services, each as its own process: what they do when user-service fails."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.call import call
from tests.servers.upstream import Reply, Request, Upstream

DEMO = Path(__file__).parents[2] / "demo"


@contextmanager
def service(name: str, *arguments: str) -> Iterator[str]:
    command = [sys.executable, str(DEMO / f"{name}.py"), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()
    assert process.returncode == 0


@contextmanager
def shop(upstream: Upstream, *arguments: str) -> Iterator[str]:
    with service("shop", "--upstream", upstream.url, "--host", "users.test", *arguments) as url:
        yield url


def failing_once(upstream: Upstream) -> None:
    upstream.respond = lambda _: Reply(503 if upstream.count == 1 else 200)


def test_user_service_answers_with_a_user() -> None:
    with service("user_service") as url:
        assert call("GET", f"{url}/users/7").body == b'{"id": "7", "name": "Ada"}'


def test_shop_asks_user_service_under_its_host(upstream: Upstream) -> None:
    with shop(upstream) as url:
        assert call("GET", url).status == 200
    assert [(request.path, request.headers["host"]) for request in upstream.requests] == [("/users/1", "users.test")]


def test_shop_tries_again_and_its_visitor_does_not_notice(upstream: Upstream) -> None:
    failing_once(upstream)
    with shop(upstream) as url:
        assert call("GET", url).status == 200
    assert upstream.count == 2


def test_shop_tries_again_after_a_broken_connection(upstream: Upstream) -> None:
    def break_the_first(_: Request) -> Reply:
        if upstream.count == 1:
            raise ConnectionAbortedError
        return Reply()

    upstream.respond = break_the_first
    with shop(upstream) as url:
        assert call("GET", url).status == 200


def test_brittle_shop_fails_with_its_first_call(upstream: Upstream) -> None:
    failing_once(upstream)
    with shop(upstream, "--brittle") as url:
        assert call("GET", url).status == 502
    assert upstream.count == 1


def test_retries_do_not_multiply_an_outage(upstream: Upstream) -> None:
    upstream.status = 503
    with shop(upstream) as url:
        assert {call("GET", url).status for _ in range(100)} == {502}
    # Each page is one call; beyond that, the reserve of 10 retries and one for every five pages.
    assert upstream.count <= 100 + 10 + 20
