"""Retries, timeouts, calls cut short and fallbacks are counted by edge, below the judged service."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos_steps.judge.zipkin_slo.patterns import Patterns, check_attempts
from chaos_steps.judge.zipkin_slo.spans import Span, Trace, merge_records, service_of
from chaos_steps.traces import Edge, ErrorRule
from tests.judge.zipkin_slo.making import Record, client, decoded, record, server


def edges(*traces: list[Record], subject: str = "shop", rule: ErrorRule = "tag") -> tuple[Edge, ...]:
    patterns = Patterns(subject, rule)
    for trace in traces:
        patterns.add(merge_records(decoded(*trace)))
    return patterns.edges()


def edge(*traces: list[Record], subject: str = "shop", rule: ErrorRule = "tag") -> Edge:
    (only,) = edges(*traces, subject=subject, rule=rule)
    return only


def call(*answers: Record, **fields: object) -> list[Record]:
    """A request of shop with one call to users."""
    return [server("1", "shop"), client("2", "shop", "1", remote="users", **fields), *answers]


def test_retries_are_calls_beside_each_other() -> None:
    retried = [
        server("1", "shop"),
        client("2", "shop", "1", remote="users", error="503", status=503),
        client("3", "shop", "1", remote="users", error="503", status=503),
        client("4", "shop", "1", remote="users", status=200),
    ]
    found = edge(retried, call(status=200), [server("1", "shop")])
    assert found == Edge(caller="shop", callee="users", requests=3, calling=2, calls=4, errors=2)
    assert found.attempts_per_request == pytest.approx(4 / 3)


def test_retries_are_as_many_as_the_share_of_failures_predicts() -> None:
    rnd = random.Random(4)
    traces, attempts = [], 0
    for _ in range(500):
        trace = [server("0", "shop")]
        for number in range(1, 4):
            failed = rnd.random() < 0.3
            trace.append(client(str(number), "shop", "0", remote="users", error="503" if failed else None))
            attempts += 1
            if not failed:
                break
        traces.append(trace)
    found = edge(*traces)
    assert (found.requests, found.calls) == (500, attempts)
    assert found.attempts_per_request == pytest.approx(1 + 0.3 + 0.3**2, abs=0.1)


def test_a_call_belongs_to_the_request_above_it_with_anything_local_in_between() -> None:
    trace = [
        server("1", "shop"),
        record("2", None, "shop", "1"),
        record("3", None, None, "2"),
        client("4", "Shop", "3", remote="USERS"),
    ]
    assert edge(trace) == Edge(caller="shop", callee="users", requests=1, calling=1, calls=1)


def test_a_call_belongs_to_the_nearest_request_of_its_service() -> None:
    trace = [
        server("1", "shop"),
        client("2", "shop", "1", remote="shop"),
        server("3", "shop", "2"),
        client("4", "shop", "3", remote="users", error="lost"),
        client("5", "shop", "1", remote="users"),
    ]
    to_shop, to_users = edges(trace)
    assert to_shop == Edge(caller="shop", callee="shop", requests=2, calling=1, calls=1)
    assert (to_users.requests, to_users.calling, to_users.lost) == (2, 2, 1)


def test_both_sides_of_a_call_may_share_an_id() -> None:
    trace = [
        server("1", "shop", shared=True),
        client("2", "shop", "1", error="reset", duration=10),
        server("2", "users", shared=True, duration=5),
        client("3", "users", "2", remote="db"),
    ]
    shop, users = edges(trace)
    assert (shop.callee, shop.errors, shop.timeouts, shop.cut_short) == ("users", 1, 0, 0)
    assert users == Edge(caller="users", callee="db", requests=1, calling=1, calls=1)


def test_a_service_that_calls_itself_may_share_an_id_too() -> None:
    trace = [server("1", "shop"), client("2", "shop", "1"), server("2", "shop", "1", shared=True)]
    assert edge(trace) == Edge(caller="shop", callee="shop", requests=2, calling=1, calls=1)


@pytest.mark.parametrize(
    ("answers", "callee"),
    [
        ([], "unknown"),
        ([server("3", "users", "2")], "users"),
        ([server("3", None, "2")], "unknown"),
        ([server("3", None, "2", duration=90), server("4", "users", "2", duration=80)], "users"),
        ([server("3", "a-service", "2", duration=80), server("4", "gateway", "2", duration=90)], "gateway"),
        ([server("2", "gateway", shared=True, duration=90), server("4", "a-service", "2", duration=80)], "gateway"),
        ([client("3", "proxy", "2", remote="users"), server("3", "users", "2", shared=True)], "unknown"),
    ],
)
def test_without_a_name_the_callee_is_who_answered(answers: list[Record], callee: str) -> None:
    trace = [server("1", "shop"), client("2", "shop", "1", duration=100), *answers]
    assert edge(trace).callee == callee
    trace[1] = client("2", "shop", "1", remote="Named")
    assert edge(trace).callee == "named"


@pytest.mark.parametrize(
    "text",
    [
        *("timeout", "Read timed out", "ETIMEDOUT", "java.net.SocketTimeoutException", "context deadline exceeded"),
        *("DEADLINE_EXCEEDED", "time-out", "UPSTREAM_TIMED_OUT"),
    ],
)
def test_a_call_that_says_it_timed_out_is_a_timeout(text: str) -> None:
    found = edge(call(error=text), call(server("3", "users", "2"), error=text), call(error=text, status=500))
    assert (found.errors, found.timeouts, found.cut_short) == (3, 3, 0)


@pytest.mark.parametrize(("status", "timeouts"), [(408, 1), (504, 1), (503, 0), (200, 0)])
def test_a_status_may_say_that_a_call_timed_out(status: int, timeouts: int) -> None:
    found = edge(call(error=str(status), status=status))
    assert (found.errors, found.timeouts, found.cut_short) == (1, timeouts, 0)


def test_a_call_whose_callee_went_on_for_longer_is_a_timeout() -> None:
    found = edge(
        call(server("3", "users", "2", duration=101), error="canceled", duration=100),
        call(server("2", "users", "1", duration=101, shared=True), error="canceled", duration=100),
        call(server("3", "gateway", "2", duration=99), server("4", "users", "2", duration=101), error="", duration=100),
    )
    assert (found.errors, found.timeouts, found.cut_short) == (3, 3, 0)


def test_a_call_that_got_its_answer_or_ended_last_is_no_timeout() -> None:
    found = edge(
        call(server("3", "users", "2", duration=101), error="500", status=500, duration=100),
        call(server("3", "users", "2", duration=100), error="reset", duration=100),
        call(server("3", "users", "2", duration=None), error="reset", duration=100),
        call(server("3", "users", "2", duration=100), error="reset", duration=None),
        call(server("3", "users", "2", duration=101), duration=100),
    )
    assert (found.calls, found.errors, found.timeouts, found.cut_short) == (5, 4, 0, 0)


def test_a_failed_call_that_nobody_answered_was_cut_short() -> None:
    found = edge(
        call(error="circuit breaker is open"),
        call(error="circuit breaker is open", tags={"error": "open", "http.status_code": "0"}),
        call(client("3", "users", "2"), error="circuit breaker is open"),
        call(server("3", "users", "2"), error="reset"),
        call(error="503", status=503),
        call(),
    )
    assert (found.calls, found.errors, found.cut_short) == (6, 5, 3)


def test_a_call_without_an_answer_fails_under_every_rule() -> None:
    for rule in ("tag", "status", "any"):
        found = edge(call(error="circuit breaker is open"), rule=rule)
        assert (found.errors, found.cut_short, found.lost) == (1, 1, 1)


def test_the_rule_decides_which_answers_are_failures() -> None:
    traces = call(error="404", status=404), call(status=503)
    assert [edge(*traces, rule=rule).errors for rule in ("tag", "status", "any")] == [1, 1, 2]


def test_requests_without_a_successful_call_are_lost_unless_they_fall_back() -> None:
    def request(*outcomes: bool, error: str | None = None) -> list[Record]:
        calls = [
            client(f"c{number}", "shop", "1", remote="users", error=None if succeeded else "503")
            for number, succeeded in enumerate(outcomes)
        ]
        return [server("1", "shop", error=error), *calls]

    found = edge(
        request(False, True),
        request(True, False),
        request(False, False),
        request(False),
        request(False, error="500"),
        request(True, error="500"),
        request(),
    )
    assert (found.requests, found.calling, found.lost, found.fallbacks) == (7, 6, 3, 2)


def test_one_request_may_lose_one_callee_and_reach_another() -> None:
    trace = [*call(), client("3", "shop", "1", remote="ads", error="reset")]
    ads, users = edges(trace)
    assert (ads.callee, ads.lost, ads.fallbacks) == ("ads", 1, 1)
    assert (users.callee, users.lost, users.fallbacks) == ("users", 0, 0)


def chain(*services: str) -> list[Record]:
    """Each service calls the next one."""
    found = [server("s0", services[0])]
    for number, (caller, callee) in enumerate(itertools.pairwise(services)):
        found += [
            client(f"c{number}", caller, f"s{number}", remote=callee),
            server(f"s{number + 1}", callee, f"c{number}"),
        ]
    return found


def ends(found: tuple[Edge, ...]) -> list[tuple[str, str]]:
    return [(edge.caller, edge.callee) for edge in found]


def test_callers_above_the_judged_service_are_not_counted() -> None:
    trace = chain("web", "shop", "users", "db")
    assert ends(edges(trace, subject="web")) == [("shop", "users"), ("users", "db"), ("web", "shop")]
    assert ends(edges(trace, subject="Shop")) == [("shop", "users"), ("users", "db")]
    assert ends(edges(trace, subject="db")) == []


def test_what_is_beside_the_judged_service_is_not_counted() -> None:
    ads = [client("c", "web", "s0", remote="ads"), server("s", "ads", "c"), client("d", "ads", "s", remote="users")]
    assert ends(edges([*chain("web", "shop", "users"), *ads])) == [("shop", "users")]


def test_a_caller_that_is_above_and_below_counts_only_where_it_is_below() -> None:
    found = {(each.caller, each.callee): each for each in edges(chain("users", "shop", "users", "db"))}
    assert set(found) == {("shop", "users"), ("users", "db")}
    assert found["users", "db"].requests == 1


def test_what_hangs_below_a_lost_span_counts_only_under_the_judged_service() -> None:
    def without(lost: str) -> list[Record]:
        return [each for each in chain("web", "shop", "users", "db") if each["id"] != lost]

    both = [("shop", "users"), ("users", "db")]
    assert ends(edges(without("s0"))) == ends(edges(without("c0"))) == both
    assert ends(edges(without("c1"))) == ends(edges(without("s1"))) == []
    assert ends(edges(without("s2"))) == [("shop", "users")]


def test_calls_without_a_request_are_not_counted() -> None:
    assert edges([client("1", "shop", remote="users"), server("2", "users", "1")]) == ()


def test_messages_are_no_calls() -> None:
    trace = [
        server("1", "shop"),
        record("2", "PRODUCER", "shop", "1", remote="broker", error="reset"),
        record("3", "CONSUMER", "mail", "2"),
        client("4", "mail", "3", remote="smtp"),
    ]
    assert edges(trace) == ()


def test_spans_that_name_no_service_are_nobodys() -> None:
    trace = [server("1", "shop"), server("2", None, "1"), client("3", None, "2", remote="users")]
    assert edges(trace) == ()


def test_a_span_that_was_reported_twice_counts_once() -> None:
    trace = call(error="503", status=503)
    assert edge([*trace, *trace, client("2", "Shop", duration=None)]) == edge(trace)


def test_spans_that_are_their_own_ancestors_are_left_out() -> None:
    circle = [server("1", "shop", "3"), client("2", "shop", "1", remote="users"), server("3", "users", "2")]
    assert edges(circle) == ()
    assert ends(edges([*circle, server("4", "shop", "4"), client("5", "shop", "4", remote="ads")])) == [("shop", "ads")]


@pytest.mark.parametrize("shape", ["deep", "wide"])
def test_a_huge_trace_is_counted(shape: str) -> None:
    count = 30_000
    trace = [server("0", "shop")]
    for number in range(1, count):
        parent = str(number - 1 if shape == "deep" else 0)
        trace.append(client(str(number), "shop", parent, remote="users", error="reset"))
    assert edge(trace).calls == count - 1


def test_the_callers_own_requests_are_counted_once_for_all_its_edges() -> None:
    trace = [*call(), client("3", "shop", "1", remote="ads")]
    assert [each.requests for each in edges(trace, [server("1", "shop")])] == [2, 2]


def test_an_edge_that_is_used_no_more_is_told_if_it_is_known() -> None:
    before = Patterns("shop", "tag")
    before.add(decoded(*call()))
    during = Patterns("shop", "tag")
    assert during.edges(before.edges()) == ()
    during.add(decoded(server("1", "shop")))
    assert during.edges() == ()
    assert during.edges(before.edges()) == (Edge(caller="shop", callee="users", requests=1, calling=0, calls=0),)
    during.add(decoded(*call()))
    assert during.edges(before.edges()) == during.edges()


IDS = "0123456"
RECORDS = st.builds(
    record,
    st.sampled_from(IDS),
    st.sampled_from(["CLIENT", "SERVER", "SERVER", "CLIENT", None, "PRODUCER"]),
    st.sampled_from(["shop", "Shop", "users", "users", None]),
    st.none() | st.sampled_from(IDS + "x"),
    duration=st.none() | st.integers(1, 3),
    remote=st.sampled_from([None, "users", "DB"]),
    error=st.sampled_from([None, None, "", "timeout"]),
    status=st.sampled_from([None, None, 503]),
    timestamp=st.none() | st.integers(1, 5),
)


@given(st.lists(RECORDS, max_size=14), st.randoms(use_true_random=False))
def test_the_order_of_spans_does_not_matter(records: list[Record], rnd: random.Random) -> None:
    assert edges(records) == edges(rnd.sample(records, len(records)))


@given(st.lists(RECORDS, max_size=14))
def test_counts_are_parts_of_one_another(records: list[Record]) -> None:
    for each in edges(records):
        assert each.fallbacks <= each.lost <= each.calling <= each.requests
        assert each.calling <= each.calls
        assert each.timeouts + each.cut_short <= each.errors <= each.calls
        assert each.lost <= each.errors


@given(st.lists(RECORDS, max_size=14, unique_by=lambda each: str(each["id"])))
def test_calls_and_requests_are_those_found_by_walking_up(records: list[Record]) -> None:
    requests, calls = Counter[str](), Counter[str]()
    for span, above in walked_up(decoded(*records)):
        services = [service_of(each) for each in above]
        service = service_of(span)
        if span.kind == "SERVER" and "shop" in [service, *services]:
            requests[service] += 1
        if span.kind == "CLIENT" and service and service in services:
            calls[service] += "shop" in services[services.index(service) :]
    found = edges(records)
    assert {each.caller: each.requests for each in found} == {each.caller: requests[each.caller] for each in found}
    counted = Counter[str]()
    for each in found:
        counted[each.caller] += each.calls
    assert counted == +calls


def walked_up(trace: Trace) -> Iterator[tuple[Span, list[Span]]]:
    """Each span that is not in or below a circle, with the SERVER spans above it, the nearest first."""
    by_id = {span.id: span for span in trace}
    for span in trace:
        above, seen = [], {span.id}
        parent = by_id.get(span.parent_id or "")
        while parent and parent.id not in seen:
            seen.add(parent.id)
            above.append(parent)
            parent = by_id.get(parent.parent_id or "")
        if parent is None or parent is (above or [span])[-1]:
            yield span, [each for each in above if each.kind == "SERVER"]


def test_the_worst_edge_is_checked_against_the_limit() -> None:
    retried = [server("1", "shop"), *(client(number, "shop", "1", remote="users") for number in "234")]
    found = edges(retried, [server("1", "shop"), client("2", "shop", "1", remote="ads")])
    check = check_attempts(found, 1.2)
    assert (check.metric, check.comparison, check.limit) == ("attempts-per-request", "<=", 1.2)
    assert (check.decision, check.value) == ("fail", 1.5)
    assert check.message == "attempts-per-request 1.5, from shop to users, is not <= 1.2"
    assert check_attempts(found, 1.5).decision == "pass"
    assert check_attempts(found, 1.5).message == "attempts-per-request 1.5, from shop to users, is <= 1.5"


def test_without_an_edge_attempts_are_inconclusive() -> None:
    check = check_attempts((), 1.2)
    assert (check.decision, check.value) == ("inconclusive", None)
    assert check.message == "attempts-per-request has no data: no request made a call"
