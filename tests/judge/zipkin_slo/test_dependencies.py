"""Zipkin's own graph is read for two windows, and never stands in the way of a verdict."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from chaos_steps.judge.zipkin_slo.api import Api, Query
from chaos_steps.judge.zipkin_slo.dependencies import compare, read_links
from chaos_steps.traces import Link
from tests.judge.zipkin_slo.making import Record, client, server
from tests.servers.upstream import Reply, Upstream
from tests.servers.zipkin import Zipkin

DAY_MS = 24 * 60 * 60 * 1000
# Times that no other test has.
BEFORE = Query("any", 915_148_800_000, 915_148_860_000)
DURING = Query("any", BEFORE.start_ms + 10 * DAY_MS, BEFORE.end_ms + 10 * DAY_MS)
EMPTY = Query("any", BEFORE.start_ms - 10 * DAY_MS, BEFORE.end_ms - 10 * DAY_MS)

_numbers = itertools.count(0xD000_0001)


def calls(callee: str, count: int, window: Query, *, errors: int = 0) -> Iterator[Record]:
    """Traces of shop calling a service; so many of the calls fail."""
    for number in range(count):
        more: dict[str, Any] = {
            "traceId": f"{next(_numbers):016x}",
            "timestamp": (window.start_ms + number) * 1000,
            "error": "503" if number < errors else None,
        }
        yield server("0000000000000001", "d-shop", **more)
        yield client("0000000000000002", "d-shop", "0000000000000001", **more)
        yield server("0000000000000003", callee, "0000000000000002", **more)


@pytest.fixture(scope="module")
def api(zipkin: Zipkin) -> Api:
    """A real Zipkin with traces in two windows."""
    zipkin.post(
        [
            *calls("d-users", 60, BEFORE, errors=1),
            *calls("D-Ads", 4, BEFORE),
            *calls("d-users", 50, DURING, errors=40),
            *calls("d-cache", 2, DURING),
        ]
    )
    return Api(zipkin.url)


def test_the_graphs_of_both_windows_are_joined(api: Api) -> None:
    def link(child: str, *counts: int) -> Link:
        calls_before, errors_before, calls, errors = counts
        return Link(
            parent="d-shop",
            child=child,
            calls_before=calls_before,
            errors_before=errors_before,
            calls=calls,
            errors=errors,
        )

    expected = link("d-ads", 4, 0, 0, 0), link("d-cache", 0, 0, 2, 0), link("d-users", 60, 1, 50, 40)
    assert read_links(api, BEFORE, DURING) == expected


def test_what_became_of_the_edges_is_a_note(api: Api) -> None:
    links, notes = compare(api, BEFORE, DURING, 0.95)
    assert len(links) == 3
    assert notes == [
        "Zipkin's dependencies have no call any more: from d-shop to d-ads (4 before)",
        "in Zipkin's dependencies clearly more calls fail: from d-shop to d-users (80 %, before 1.67 %)",
    ]


def test_a_zipkin_that_knows_no_dependencies_is_no_error(api: Api) -> None:
    assert compare(api, EMPTY, EMPTY, 0.95) == ((), [])


def test_a_window_of_one_millisecond_can_be_asked_for(api: Api) -> None:
    moment = Query("any", BEFORE.start_ms, BEFORE.start_ms)
    assert [link.calls for link in read_links(api, EMPTY, moment)] == [1, 1]


@pytest.mark.parametrize(
    "reply",
    [
        Reply(500, b"no index found"),
        Reply(404, b"<html>"),
        Reply(200, b"<html>"),
        Reply(200, b'{"error": "none"}'),
        Reply(200, b'[{"parent": "a", "child": "b", "callCount": -1}]'),
        Reply(401, b"who are you"),
    ],
    ids=str,
)
def test_what_cannot_be_read_is_a_note(upstream: Upstream, reply: Reply) -> None:
    upstream.respond = lambda _request: reply
    links, (note,) = compare(Api(upstream.url), BEFORE, DURING, 0.95)
    assert links == ()
    assert note.startswith(f"Zipkin's dependencies could not be read: {upstream.url}/api/v2/dependencies answered ")
