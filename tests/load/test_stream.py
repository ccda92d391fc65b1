"""k6's JSON lines, as k6 1.1 writes them, become records."""

from __future__ import annotations

import itertools
import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from chaos_steps.load.k6_load.stream import Stream

END = "2026-11-21T09:56:15.102192759Z"
END_US = 1795254975102193  # to the nearest microsecond


def line(metric: str, value: float, **tags: str) -> bytes:
    data = {"time": END, "value": value, "tags": {"scenario": "load", **tags}}
    return json.dumps({"metric": metric, "type": "Point", "data": data}, separators=(",", ":")).encode() + b"\n"


def records(content: bytes, **arguments: int) -> list[tuple[int, int, int, int]]:
    stream = Stream(**arguments)
    stream.feed(content)
    return [tuple(record) for record in stream.points.tolist()]


def test_a_request_starts_its_duration_before_its_time() -> None:
    assert records(line("http_req_duration", 1.201923, status="200")) == [(END_US - 1202, 1202, 200, 0)]


def test_an_error_status_is_an_answer() -> None:
    content = line("http_req_duration", 2, status="503", error_code="1503")

    assert records(content) == [(END_US - 2000, 2000, 503, 0)]


def test_a_request_without_an_answer_has_no_duration() -> None:
    content = line("http_req_duration", 0, status="0", error_code="1212")

    assert records(content) == [(END_US, -1, 0, 1)]


def test_a_request_that_timed_out_while_connecting_started_the_timeout_earlier() -> None:
    # k6 reports 0 ms for it: the time of connecting is no part of a request's duration.
    content = line("http_req_duration", 0, status="0", error_code="1050")

    assert records(content, request_timeout_us=10_000_000) == [(END_US - 10_000_000, -1, 0, 1)]


def test_a_request_that_timed_out_while_waiting_started_its_duration_earlier() -> None:
    content = line("http_req_duration", 1500, status="0", error_code="1050")

    assert records(content) == [(END_US - 1_500_000, -1, 0, 1)]


def test_times_in_another_zone_and_with_fewer_digits_are_understood() -> None:
    content = line("http_req_duration", 1, status="200")
    elsewhere = content.replace(END.encode(), b"2026-11-21T11:56:15.1+02:00")

    assert records(elsewhere)[0][0] == 1795254975100000 - 1000


def test_requests_of_setup_and_other_metrics_are_left_out() -> None:
    of_setup = line("http_req_duration", 1, status="200").replace(b'"scenario":"load",', b"")
    definition = b'{"type":"Metric","data":{"name":"http_req_duration"},"metric":"http_req_duration"}\n'
    others = line("http_req_waiting", 1, status="200") + line("http_reqs", 1, status="200")

    assert records(of_setup + definition + others) == []


def test_iterations_and_dropped_iterations_are_counted() -> None:
    stream = Stream()
    stream.feed(line("iterations", 1) * 3 + line("dropped_iterations", 2) + line("dropped_iterations", 1))

    assert (stream.iterations, stream.dropped) == (3, 3)


@given(st.lists(st.integers(0, 400), max_size=20))
def test_it_does_not_matter_where_the_pieces_are_cut(cuts: list[int]) -> None:
    content = b"".join(line("http_req_duration", n, status="200") for n in range(1, 4)) + line("iterations", 1)
    whole, cut = Stream(), Stream()
    whole.feed(content)
    positions = [0, *sorted(cuts), len(content)]
    for start, end in itertools.pairwise(positions):
        cut.feed(content[start:end])

    assert np.array_equal(whole.points, cut.points)
    assert cut.iterations == 1


def test_more_requests_than_expected_are_all_kept() -> None:
    stream = Stream(expected=1)
    for number in range(1, 5001):
        stream.feed(line("http_req_duration", number, status="200"))

    assert stream.points["duration_us"].tolist() == [1000 * number for number in range(1, 5001)]
