"""Delayed answers are told from others by their durations, whatever the service's own are."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from chaos_steps.ledger.delays import Delays, median, take_apart

Own = Callable[[random.Random], float]

OWN: dict[str, Own] = {
    "quick": lambda source: source.lognormvariate(1.2, 0.4),
    "slow but even": lambda source: source.gauss(250, 15),
    "uneven": lambda source: source.uniform(5, 160),
}
"""Milliseconds of a service without a fault."""


def answers(own: Own, delay_ms: float, share: float, n: int = 600, seed: int = 1) -> list[int]:
    source = random.Random(seed)
    delayed = {number for number in range(n) if source.random() < share}
    return sorted(round(1000 * (own(source) + delay_ms * (number in delayed))) for number in range(n))


@pytest.mark.parametrize("own", OWN.values(), ids=OWN)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_delayed_answers_are_counted_and_timed_whatever_the_service_takes_itself(own: Own, share: float) -> None:
    found = take_apart(answers(own, 200, share), 200, share)
    # The durations are drawn with the same seed, so that the delayed are those that a far longer delay sets apart.
    assert found.faulted == sum(duration > 9e6 for duration in answers(own, 10_000, share))
    assert found.delayed is not None
    assert found.others is not None
    assert found.delayed.answers == found.faulted
    assert found.others.answers == 600 - found.faulted
    assert found.delayed.high is not None
    assert found.delayed.low - (found.others.high or 0) < 200 < found.delayed.high - found.others.low


def test_where_all_answers_are_delayed_there_are_no_others() -> None:
    found = take_apart(answers(OWN["quick"], 200, 1), 200, 1)
    assert (found.faulted, found.others, found.slower_ms) == (600, None, None)
    assert found.delayed is not None
    assert 200 < found.delayed.value < 210


def test_all_are_delayed_too_where_only_some_were_to_be() -> None:
    # A few stand out by themselves, as they do anywhere.
    assert take_apart([*answers(OWN["quick"], 200, 1), 900_000, 950_000], 200, 0.1).faulted == 602


def test_few_answers_may_all_be_delayed_where_nearly_all_are_to_be() -> None:
    assert take_apart(answers(OWN["quick"], 200, 1, n=20), 200, 0.99).faulted == 20


@pytest.mark.parametrize("own", OWN.values(), ids=OWN)
def test_without_a_delay_none_is_delayed(own: Own) -> None:
    # A service that is as slow as the delay cannot be told from one whose every answer is delayed.
    delay = 400 if own is OWN["slow but even"] else 200
    found = take_apart(answers(own, 0, 0), delay, 0.1)
    assert (found.faulted, found.delayed) == (0, None)


@pytest.mark.parametrize("own", [OWN["quick"], OWN["slow but even"]], ids=["quick", "slow but even"])
def test_half_the_delay_is_none_and_its_size_is_told(own: Own) -> None:
    found = take_apart(answers(own, 150, 0.3), 300, 0.3)
    assert found.faulted == 0
    assert found.slower_ms is not None
    assert 130 < found.slower_ms < 170


def test_a_timer_that_fires_a_little_early_still_delays() -> None:
    assert take_apart([5_000] * 50 + [198_000] * 50, 200, 0.5).faulted == 50


def test_no_answers_tell_nothing() -> None:
    assert take_apart([], 200, 0.5) == Delays(faulted=0, delayed=None, others=None, slower_ms=None)


@pytest.mark.parametrize(("n", "bounded"), [(1, False), (15, False), (16, True), (600, True)])
def test_a_median_is_bounded_from_as_many_answers_on_as_its_confidence_takes(n: int, bounded: bool) -> None:
    # Half of all samples of 1 lie above the median, 1 in 2 ** n of n: beyond 15 less often than 2.5 times in 100,000.
    found = median([1_000 * number for number in range(1, n + 1)])
    assert found is not None
    assert (found.answers, found.value) == (n, -(-n // 2))
    assert (found.low > 0, found.high is not None) == (bounded, bounded)
    assert found.low <= found.value <= (found.high or found.value)
