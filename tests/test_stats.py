"""Our exact statistics against scipy's, and the properties that make them safe to decide by."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from chaos_steps import stats

CONFIDENCES = st.sampled_from([0.8, 0.9, 0.95, 0.99, 0.9999])


@given(st.integers(1, 20_000), st.data(), CONFIDENCES)
def test_clopper_pearson_equals_scipys_exact_interval(n: int, data: st.DataObject, confidence: float) -> None:
    successes = data.draw(st.integers(0, n))
    expected = scipy_stats.binomtest(successes, n).proportion_ci(confidence, method="exact")

    assert stats.clopper_pearson(successes, n, confidence) == pytest.approx((expected.low, expected.high), abs=1e-9)


@pytest.mark.parametrize("successes", [0, 1, 900_000, 999_999, 1_000_000])
def test_clopper_pearson_is_exact_for_a_million_requests(successes: int) -> None:
    expected = scipy_stats.binomtest(successes, 1_000_000).proportion_ci(0.95, method="exact")

    assert stats.clopper_pearson(successes, 1_000_000, 0.95) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_without_requests_the_share_can_be_anything() -> None:
    assert stats.clopper_pearson(0, 0, 0.95) == (0.0, 1.0)


@given(st.integers(1, 100_000), st.data(), st.floats(0.0001, 0.9999))
def test_binomial_tail_equals_scipys(n: int, data: st.DataObject, p: float) -> None:
    k = data.draw(st.integers(-1, n + 1))

    assert stats.binomial_cdf(k, n, p) == pytest.approx(scipy_stats.binom.cdf(k, n, p), abs=1e-9)


@given(st.integers(1, 50_000), st.sampled_from([0.5, 0.9, 0.95, 0.99]), CONFIDENCES)
def test_ranks_of_a_quantile_are_the_tightest_that_keep_each_tail(n: int, q: float, confidence: float) -> None:
    lower, upper = stats.order_statistic_interval(n, q, confidence)
    tail, slack = (1 - confidence) / 2, 1e-9

    def cdf(k: int) -> float:
        return float(scipy_stats.binom.cdf(k, n, q))

    low = lower or 0
    assert cdf(low - 1) <= tail + slack
    assert cdf(low) > tail - slack
    high = n + 1 if upper is None else upper
    assert high == n + 1 or cdf(high - 1) >= 1 - tail - slack
    assert cdf(high - 2) < 1 - tail + slack


def test_a_p99_has_no_upper_bound_below_368_requests_at_95_percent() -> None:
    # All of n values lie below the quantile with probability 0.99^n, which must not exceed 0.025.
    assert stats.order_statistic_interval(367, 0.99, 0.95)[1] is None
    assert stats.order_statistic_interval(368, 0.99, 0.95)[1] == 368


def test_the_interval_of_the_p99_covers_the_true_value_as_often_as_it_promises() -> None:
    generator = random.Random(1)
    true = -math.log(0.01)  # of the exponential distribution
    lower, upper = stats.order_statistic_interval(1000, 0.99, 0.9)
    assert lower is not None
    assert upper is not None

    covered = 0
    for _ in range(300):
        values = sorted(generator.expovariate(1) for _ in range(1000))
        covered += values[lower - 1] <= true <= values[upper - 1]

    assert covered >= 0.85 * 300


@given(st.integers(1, 100_000))
def test_the_p99_is_the_smallest_value_with_99_percent_at_or_below_it(n: int) -> None:
    rank = stats.quantile_rank(n, 0.99)

    assert 100 * rank >= 99 * n
    assert 100 * (rank - 1) < 99 * n


@pytest.mark.parametrize(("n", "expected"), [(1, 1), (100, 99), (101, 100), (200, 198), (700, 693), (1000, 990)])
def test_p99_of_the_numbers_from_one_upwards(n: int, expected: int) -> None:
    assert stats.p99(range(1, n + 1)) == expected


@pytest.mark.parametrize(
    ("low", "high", "better", "expected"),
    [
        (1, 10, "<=", "pass"),  # touching the limit is within it
        (10.1, 12, "<=", "fail"),
        (10, 12, "<=", "inconclusive"),
        (9, math.inf, "<=", "inconclusive"),
        (10, 12, ">=", "pass"),
        (1, 9.9, ">=", "fail"),
        (1, 10, ">=", "inconclusive"),
    ],
)
def test_only_an_interval_wholly_on_one_side_of_the_limit_decides(
    low: float, high: float, better: stats.Comparison, expected: stats.Decision
) -> None:
    assert stats.decide(low, high, 10, better) == expected


@given(st.integers(1, 2000), st.data(), st.sampled_from([0.5, 0.9, 0.99]))
def test_as_many_further_requests_as_named_do_decide_a_share(n: int, data: st.DataObject, limit: float) -> None:
    successes = data.draw(st.integers(0, n))
    further = stats.further_for_share(successes, n, limit, 0.95)

    if further is None:
        assert successes / n == pytest.approx(limit, abs=1e-3)
        return
    low, high = stats.clopper_pearson(round((n + further) * successes / n), n + further, 0.95)
    assert stats.decide(low, high, limit, ">=") != "inconclusive"


def test_a_share_at_its_limit_is_never_decided() -> None:
    assert stats.further_for_share(90, 100, 0.9, 0.95) is None


def test_a_share_of_one_is_never_shown() -> None:
    assert stats.further_for_share(100, 100, 1.0, 0.95) is None


def test_a_p99_all_within_its_limit_takes_368_requests() -> None:
    assert stats.further_for_quantile(100, 100, 0.99, 0.95) == 268


def test_a_p99_far_over_its_limit_is_soon_shown() -> None:
    further = stats.further_for_quantile(1, 2, 0.99, 0.95)

    assert further is not None
    assert further < 20
