"""Driver caddy while others change Caddy too: nobody else's route is taken for ours, or deleted in its place."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from chaos_steps.errors import Unavailable
from chaos_steps.inject.waf_inject.caddy import CaddyDriver
from chaos_steps.inject.waf_inject.wanted import Wanted, rule_id
from tests.servers.caddy import Caddy
from tests.servers.call import call
from tests.servers.unreliable import Unreliable
from tests.servers.upstream import Reply, Request
from tests.waiting import wait_until

CHANGE = CaddyDriver.change(Wanted("r-1", Caddy.host, None, 503, None, 10.0))
ID = f"/id/{rule_id(Caddy.host)}"


def driver_at(url: str) -> CaddyDriver:
    return CaddyDriver(url, Caddy.host, None)


@pytest.fixture
def proxy(caddy: Caddy) -> Iterator[Unreliable]:
    with Unreliable(caddy.admin_url) as proxy:
        yield proxy


@pytest.fixture
def faulted(caddy: Caddy) -> Caddy:
    """Caddy with our route."""
    driver_at(caddy.admin_url).write(CHANGE)
    assert caddy.faults() == [CHANGE]
    return caddy


def as_far_as_caddy_answers(act: Callable[[], object]) -> None:
    """Do something; at each change Caddy resets connections that come just then."""
    with contextlib.suppress(Unavailable, OSError):
        act()


def test_many_that_remove_our_route_at_once_remove_nothing_else(caddy: Caddy) -> None:
    # Other changes make the removals wait for one another inside Caddy, between its look for the id and its deletion.
    setting = f"{caddy.admin_url}/config/apps/http/servers/gateway/idle_timeout"

    def write() -> bool:
        as_far_as_caddy_answers(lambda: driver_at(caddy.admin_url).write(CHANGE))
        return caddy.faults() == [CHANGE]

    def remove() -> bool:
        as_far_as_caddy_answers(driver_at(caddy.admin_url).remove)
        return not caddy.faults()

    def change_something_else(number: int) -> None:
        as_far_as_caddy_answers(lambda: call("POST", setting, body=10**9 + number))

    seen: list[Any] = []

    def read() -> None:
        as_far_as_caddy_answers(lambda: seen.append(driver_at(caddy.admin_url).read()))

    own = caddy.routes()
    with ThreadPoolExecutor(10) as pool:
        for number in range(20):
            wait_until(write, "our route")
            for other in range(4):
                pool.submit(change_something_else, 10 * number + other)
            acts: list[Callable[[], object]] = [remove, remove, remove, read, read]
            for done in [pool.submit(act) for act in acts]:
                done.result()
            wait_until(remove, "our route to be gone")
            assert caddy.routes() == own
    assert [route for route in seen if route not in (None, CHANGE)] == []


def test_a_route_that_went_between_our_look_and_our_deletion_is_not_deleted_in_its_place(
    faulted: Caddy, proxy: Unreliable
) -> None:
    pass_on = proxy.respond
    assert pass_on is not None

    def another_is_faster(request: Request) -> Reply:
        if request.method == "DELETE" and faulted.faults():
            assert call("DELETE", faulted.admin_url + ID).status == 200
            faulted.config()  # Until Caddy answers again.
        return pass_on(request)

    proxy.respond = another_is_faster
    driver_at(proxy.url).remove()
    assert [request.method for request in proxy.requests] == ["GET", "DELETE", "GET"]
    assert faulted.routes() == faulted.initial_config["apps"]["http"]["servers"]["gateway"]["routes"]


def test_another_route_that_comes_for_our_id_is_not_taken_for_ours(faulted: Caddy, proxy: Unreliable) -> None:
    other = json.dumps(faulted.routes()[1]).encode()
    proxy.misbehave_at(1, reply=Reply(200, other))
    assert driver_at(proxy.url).read() == CHANGE
    proxy.misbehave("GET", reply=Reply(200, other))
    with pytest.raises(Unavailable, match="no object with this @id"):
        driver_at(proxy.url).read()


def test_without_an_etag_nothing_is_put_in(caddy: Caddy, proxy: Unreliable) -> None:
    pass_on = proxy.respond
    assert pass_on is not None

    def without_etag(request: Request) -> Reply:
        answer = pass_on(request)
        return Reply(answer.status, answer.body)

    proxy.respond = without_etag
    with pytest.raises(Unavailable, match="without an Etag"):
        driver_at(proxy.url).write(CHANGE)
    assert caddy.faults() == []
