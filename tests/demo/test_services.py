"""The demo's services, each as its own process: what they do when user-service fails."""

from __future__ import annotations

from tests.demo.services import service, shop
from tests.servers.call import call
from tests.servers.upstream import Reply, Request, Upstream


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


def test_shop_with_a_breaker_stops_calling_when_half_of_its_calls_fail(upstream: Upstream) -> None:
    upstream.respond = lambda _: Reply(503 if upstream.count % 2 else 200)
    with shop(upstream, "--brittle", "--breaker") as url:
        # The next call may be tried after two seconds: this one is made long before.
        answers = [call("GET", url) for _ in range(21)]
    assert [answer.status for answer in answers] == [502, 200] * 10 + [502]
    assert (upstream.count, answers[-1].body) == (20, b'{"error": "circuit breaker open"}')


def test_shop_with_a_fallback_answers_without_its_user(upstream: Upstream) -> None:
    upstream.status = 503
    with shop(upstream, "--brittle", "--fallback") as url:
        answer = call("GET", url)
    assert (answer.status, answer.body) == (200, b'{"page": "/", "user": {"id": null, "name": "Guest"}}')
