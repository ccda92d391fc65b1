"""Notes say which calls stopped, and which clearly fail more often than before."""

from __future__ import annotations

from chaos_steps.judge.zipkin_slo.changes import changed_links, stopped_calls
from chaos_steps.traces import Edge, Link


def edge(callee: str, calling: int, requests: int = 200) -> Edge:
    return Edge(caller="shop", callee=callee, requests=requests, calling=calling, calls=calling)


def link(child: str, before: tuple[int, int], during: tuple[int, int]) -> Link:
    """Calls and errors of shop's calls, before and during."""
    return Link(
        parent="shop", child=child, calls_before=before[0], errors_before=before[1], calls=during[0], errors=during[1]
    )


def test_an_edge_that_clearly_fewer_requests_use_is_named() -> None:
    before = edge("ads", 100), edge("db", 200), edge("users", 200)
    during = edge("ads", 95), edge("db", 0), edge("users", 131)
    assert stopped_calls(before, during, 0.95) == [
        "clearly fewer requests make a call: from shop to db (0 %, before 100 %), "
        "from shop to users (65.5 %, before 100 %)"
    ]


def test_fewer_requests_are_no_fewer_calls() -> None:
    assert stopped_calls([edge("users", 200)], [edge("users", 3, requests=3)], 0.95) == []
    assert stopped_calls([edge("users", 200)], [], 0.95) == []


def test_an_edge_that_is_new_or_used_more_is_not_named() -> None:
    assert stopped_calls([edge("users", 10)], [edge("ads", 5), edge("users", 200)], 0.95) == []


def test_a_higher_confidence_takes_more_requests() -> None:
    before, during = [edge("users", 200)], [edge("users", 190)]
    assert stopped_calls(before, during, 0.95)
    assert stopped_calls(before, during, 0.99999) == []


def test_links_that_vanished_and_links_that_fail_are_named() -> None:
    links = [
        link("ads", (4, 0), (0, 0)),
        link("cache", (0, 0), (80, 80)),
        link("db", (500, 1), (500, 2)),
        link("mail", (90, 0), (0, 0)),
        link("old", (0, 0), (0, 0)),
        link("users", (400, 2), (410, 41)),
    ]
    assert changed_links(links, 0.95) == [
        "Zipkin's dependencies have no call any more: from shop to mail (90 before), from shop to ads (4 before)",
        "in Zipkin's dependencies clearly more calls fail: from shop to users (10 %, before 0.5 %)",
    ]


def test_links_that_are_as_they_were_are_not_worth_a_note() -> None:
    assert changed_links([link("users", (100, 50), (100, 10)), link("db", (7, 0), (7, 1))], 0.95) == []


def test_more_errors_than_calls_are_no_more_than_all() -> None:
    assert changed_links([link("users", (100, 0), (100, 130))], 0.95) == [
        "in Zipkin's dependencies clearly more calls fail: from shop to users (100 %, before 0 %)"
    ]


def test_only_the_busiest_edges_are_named() -> None:
    links = [link(f"s{number}", (number, 0), (0, 0)) for number in range(1, 9)]
    (note,) = changed_links(links, 0.95)
    assert note.startswith("Zipkin's dependencies have no call any more: from shop to s8 (8 before), from shop to s7")
    assert note.endswith("from shop to s4 (4 before) and 3 more")
