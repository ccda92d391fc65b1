"""What an answer was cut by, and the trace that is known to be there."""

from __future__ import annotations

import pytest

from chaos_steps.judge.zipkin_slo.api import Query
from chaos_steps.judge.zipkin_slo.slices import Size, Trusted
from chaos_steps.judge.zipkin_slo.suspects import Landmark, suspected_cause

CUT = Size(traces=100, spans=500, size=10_000, milliseconds=1000)


@pytest.mark.parametrize(
    ("cut", "seen", "trusted"),
    [
        (CUT, [CUT], Trusted(traces=50, spans=250)),
        # As large as the other ones: where an answer ends depends on its traces.
        (CUT, [CUT, Size(180, 900, 20_000, 1000)], Trusted(traces=50, spans=250)),
        (CUT, [CUT, Size(201, 1001, 20_000, 1000)], Trusted(milliseconds=500)),
        (Size(9, 99, 1000, 1000), [], Trusted(milliseconds=500)),
        (Size(9, 1000, 100_000, 1000), [], Trusted(traces=4.5, spans=500)),
        (Size(0, 0, 2, 1), [], Trusted(milliseconds=2)),
    ],
)
def test_smaller_answers_are_trusted_after_a_cut(cut: Size, seen: list[Size], trusted: Trusted) -> None:
    assert Trusted().after_cut(**suspected_cause(cut, seen)) == trusted


def test_a_trace_that_lasts_longer_than_the_slice_is_no_landmark() -> None:
    landmark = Landmark("1", Query("users", 0, 100), earliest_us=50_500, latest_us=90_000)
    assert landmark.at_the_beginning(40) == Query("users", 50, 90)
    assert landmark.at_the_beginning(39) is None
