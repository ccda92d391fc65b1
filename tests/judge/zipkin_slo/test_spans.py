"""Spans are read from Zipkin's answers, made whole, and told to have failed."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos_steps.judge.zipkin_slo.spans import (
    FAILED,
    Span,
    decode,
    http_status,
    merge_records,
    remote_service_of,
    service_of,
)
from chaos_steps.traces import ErrorRule
from tests.judge.zipkin_slo.making import Record, client, decoded, record, server


def merged(*records: Record) -> Span:
    (span,) = merge_records(decoded(*records))
    return span


def test_what_is_judged_is_read_and_the_rest_is_skipped() -> None:
    body = b"""[[{"traceId": "ab", "id": "2", "parentId": "1", "kind": "SERVER", "name": "get /", "timestamp": 1760,
        "duration": 25, "shared": true, "debug": true, "localEndpoint": {"serviceName": "shop", "ipv4": "10.0.0.1"},
        "remoteEndpoint": {"ipv6": "::1", "port": 80}, "annotations": [{"timestamp": 1, "value": "wr"}],
        "tags": {"http.path": "/\\u00fc", "error": "", "http.response.status_code": "503"}}], []]"""
    (span,), empty = decode(body)
    assert (span.trace_id, span.id, span.parent_id, span.kind, span.shared) == ("ab", "2", "1", "SERVER", True)
    assert (span.timestamp, span.duration) == (1760, 25)
    assert (service_of(span), remote_service_of(span), http_status(span)) == ("shop", "", 503)
    assert FAILED["tag"](span)
    assert empty == []


def test_a_span_may_say_next_to_nothing() -> None:
    ((span,),) = decode(b'[[{"traceId": "ab", "id": "2"}]]')
    assert (service_of(span), remote_service_of(span), http_status(span)) == ("", "", None)
    assert not any(failed(span) for failed in FAILED.values())


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'[{"id": "2"}]', b'[[{"id": "2"}]]', b""])
def test_what_is_no_list_of_traces_is_an_error(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(body)


def test_names_of_services_are_compared_in_lower_case() -> None:
    (span,) = decoded(record("1", service="User-Service", remote="REDIS"))
    assert (service_of(span), remote_service_of(span)) == ("user-service", "redis")


@pytest.mark.parametrize("text", ["0", "", "OK", "5xx", "5" * 5000, "²00"])
def test_a_status_that_is_no_http_status_is_none(text: str) -> None:
    (span,) = decoded(record("1", tags={"http.status_code": text}))
    assert http_status(span) is None


@pytest.mark.parametrize(
    ("error", "status", "tag", "by_status", "either"),
    [
        (None, None, False, False, False),
        (None, 200, False, False, False),
        (None, 500, False, True, True),
        ("", 200, True, False, True),
        ("false", 404, True, False, True),
        ("connection refused", None, True, True, True),
        (None, 499, False, False, False),
    ],
)
def test_the_rules_for_failures(
    error: str | None, status: int | None, tag: bool, by_status: bool, either: bool
) -> None:
    (span,) = decoded(record("1", error=error, status=status))
    rules: tuple[ErrorRule, ...] = ("tag", "status", "any")
    assert [FAILED[rule](span) for rule in rules] == [tag, by_status, either]


def test_a_trace_of_whole_spans_is_left_as_it_is() -> None:
    trace = decoded(server("1", "shop"), client("2", "shop", "1"))
    assert merge_records(trace) is trace


def test_the_parts_of_a_span_are_put_together() -> None:
    span = merged(
        server("1", "Shop", "0", duration=None, timestamp=50),
        server("1", "shop", duration=20, timestamp=60),
        server("1", "shop", duration=30, error="broken", remote="Web"),
        server("1", "shop", duration=None, status=503, shared=True),
    )
    assert (span.parent_id, span.timestamp, span.duration, span.shared) == ("0", 50, 30, True)
    assert (service_of(span), remote_service_of(span), http_status(span)) == ("shop", "web", 503)
    assert FAILED["tag"](span)


def test_the_two_sides_of_a_call_stay_apart_when_they_share_an_id() -> None:
    spans = merge_records(
        decoded(
            client("2", "shop", "1", duration=50),
            server("2", "users", "1", shared=True, duration=40, error="broken"),
            server("2", "users", "1", shared=True, duration=None),
            server("2", "gateway", "1", shared=True, duration=45),
        )
    )
    found = {(span.kind, service_of(span), span.duration, FAILED["tag"](span)) for span in spans}
    expected = {("CLIENT", "shop", 50, False), ("SERVER", "users", 40, True), ("SERVER", "gateway", 45, False)}
    assert (len(spans), found) == (3, expected)


def test_a_part_without_kind_or_service_goes_to_the_only_span_it_fits() -> None:
    whole = server("1", "shop", duration=20)
    assert merged(whole, record("1", service="shop", duration=None, error="late")).tags.error == "late"  # type: ignore[union-attr]
    assert merged(record("1", "SERVER", duration=30), whole).duration == 30
    assert len(merge_records(decoded(whole, record("1", "CLIENT", duration=30)))) == 2
    assert len(merge_records(decoded(whole, client("1", "shop"), record("1", service="shop")))) == 3


RECORDS = st.builds(
    record,
    st.sampled_from("12"),
    st.sampled_from([None, "CLIENT", "SERVER"]),
    st.sampled_from([None, "Shop", "shop", "users"]),
    st.sampled_from([None, "1", "2", "3"]),
    duration=st.none() | st.integers(0, 5),
    remote=st.sampled_from([None, "a", "B"]),
    error=st.sampled_from([None, "", "x"]),
    status=st.sampled_from([None, 200, 503]),
    shared=st.none() | st.booleans(),
    timestamp=st.none() | st.integers(0, 5),
)


@given(st.lists(RECORDS, max_size=8), st.randoms(use_true_random=False))
def test_the_order_of_records_does_not_matter(records: list[Record], rnd: random.Random) -> None:
    shuffled = rnd.sample(records, len(records))

    def spans(some: list[Record]) -> list[str]:
        return sorted(
            f"{span.id} {span.kind} {service_of(span)} {span.parent_id} {span.duration} {span.timestamp} "
            f"{bool(span.shared)} {remote_service_of(span)} {span.tags}"
            for span in merge_records(decoded(*some))
        )

    assert spans(records) == spans(shuffled)
