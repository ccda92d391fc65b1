"""Our exact statistics against scipy's, and the properties that make them safe to decide by."""

from __future__ import annotations

import itertools
import math
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from chaos_steps import stats
from chaos_steps.stats import Share

CONFIDENCES = st.sampled_from([0.8, 0.9, 0.95, 0.99, 0.9999])
SHARES = st.integers(1, 20_000).flatmap(lambda n: st.builds(Share, st.integers(0, n), st.just(n)))
# Of any form: few and many values, ties, zeros.
DURATIONS = st.builds(
    lambda seed, n, spread: np.sort(np.int64(np.random.default_rng(seed).lognormal(5, spread, n))),
    st.integers(0, 1000),
    st.integers(1, 3000),
    st.sampled_from([0, 0.5, 3]),
)


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


def test_a_decision_that_takes_just_under_ten_million_requests_is_foretold() -> None:
    further = stats.further_for_share(900_181, 1_000_000, 0.9, 0.95)

    assert further is not None
    assert 2**23 < further <= 10_000_000


@given(SHARES, SHARES, CONFIDENCES)
def test_a_drops_interval_joins_scipys_exact_intervals_at_their_worst_ends(
    now: Share, before: Share, confidence: float
) -> None:
    intervals = [
        scipy_stats.binomtest(*share).proportion_ci(math.sqrt(confidence), method="exact") for share in (now, before)
    ]
    expected = intervals[1].low - intervals[0].high, intervals[1].high - intervals[0].low

    assert stats.drop_interval(now, before, confidence) == pytest.approx(expected, abs=1e-9)


@given(DURATIONS, DURATIONS, st.sampled_from([0.5, 0.9, 0.99]), CONFIDENCES)
def test_an_increases_interval_joins_the_order_statistics_of_scipys_ranks_at_their_worst_ends(
    now: stats.Ordered, before: stats.Ordered, q: float, confidence: float
) -> None:
    assume(before[stats.quantile_rank(len(before), q) - 1] > 0)
    tail = (1 - math.sqrt(confidence)) / 2

    def ends(ordered: stats.Ordered) -> tuple[float, float]:
        lower, upper = (int(scipy_stats.binom.ppf(end, len(ordered), q)) for end in (tail, 1 - tail))
        return ordered[lower - 1] if lower else 0, ordered[upper] if upper < len(ordered) else math.inf

    (low, high), (low_before, high_before) = ends(now), ends(before)
    low_ratio = low / high_before
    high_ratio = high / low_before if low_before else math.inf
    found = stats.increase_interval(now, before, q, confidence)

    assert found == pytest.approx((100 * (low_ratio - 1), 100 * (high_ratio - 1)))


@pytest.mark.parametrize(("n", "baseline_n"), [(1, 1), (8, 30), (30, 8)])
def test_a_drops_interval_covers_the_true_drop_at_least_as_often_as_it_promises(n: int, baseline_n: int) -> None:
    # No simulation: all outcomes, each with its probability.
    outcomes = [(Share(a, n), Share(b, baseline_n)) for a in range(n + 1) for b in range(baseline_n + 1)]
    intervals = np.array([stats.drop_interval(now, before, 0.9) for now, before in outcomes])
    for rate, baseline_rate in itertools.product([0.01, 0.5, 0.9, 0.99, 1], repeat=2):
        likely = scipy_stats.binom.pmf([now.successes for now, _ in outcomes], n, rate)
        likely *= scipy_stats.binom.pmf([before.successes for _, before in outcomes], baseline_n, baseline_rate)
        true = baseline_rate - rate
        covered = (intervals[:, 0] <= true + 1e-12) & (true - 1e-12 <= intervals[:, 1])

        assert likely[covered].sum() >= 0.9


@pytest.mark.parametrize(("n", "baseline_n"), [(60, 2000), (1000, 300), (1500, 1500)])
def test_an_increases_interval_covers_the_true_increase_at_least_as_often_as_it_promises(
    n: int, baseline_n: int
) -> None:
    generator = np.random.default_rng(2)
    slower = 1.3  # The true P99 is this many times the baseline's.

    covered = 0
    for _ in range(300):
        before = np.sort(generator.lognormal(10, 1, baseline_n).astype(int))
        now = np.sort((slower * generator.lognormal(10, 1, n)).astype(int))
        low, high = stats.increase_interval(now, before, 0.99, 0.8)
        covered += low <= 30 <= high

    assert covered >= 0.8 * 300


@given(SHARES, SHARES, CONFIDENCES)
def test_swapping_the_samples_of_a_drop_changes_its_sign(now: Share, before: Share, confidence: float) -> None:
    low, high = stats.drop_interval(now, before, confidence)

    assert stats.drop_interval(before, now, confidence) == (-high, -low)
    assert stats.drop(before, now) == -stats.drop(now, before)
    assert low <= stats.drop(now, before) <= high


@given(DURATIONS, DURATIONS, CONFIDENCES)
def test_swapping_the_samples_of_an_increase_inverts_the_ratio(
    now: stats.Ordered, before: stats.Ordered, confidence: float
) -> None:
    assume(stats.p99(now) > 0)
    assume(stats.p99(before) > 0)
    low, high = (1 + percent / 100 for percent in stats.increase_interval(now, before, 0.99, confidence))
    swapped = [1 + percent / 100 for percent in stats.increase_interval(before, now, 0.99, confidence)]

    assert swapped[0] * high == pytest.approx(1) or (swapped[0], high) == (0, math.inf)
    assert swapped[1] * low == pytest.approx(1) or (swapped[1], low) == (math.inf, 0)
    assert low <= stats.p99(now) / stats.p99(before) <= high


@given(SHARES, SHARES, st.data(), CONFIDENCES)
def test_fewer_successes_never_lessen_a_drop(now: Share, before: Share, data: st.DataObject, confidence: float) -> None:
    worse = now._replace(successes=data.draw(st.integers(0, now.successes)))

    for end, end_of_worse in zip(
        stats.drop_interval(now, before, confidence), stats.drop_interval(worse, before, confidence), strict=True
    ):
        assert end_of_worse >= end - 1e-12


@given(DURATIONS, DURATIONS, st.integers(0, 1000), CONFIDENCES)
def test_longer_durations_never_lessen_an_increase(now: Any, before: Any, longer: int, confidence: float) -> None:
    assume(stats.p99(before) > 0)

    for end, end_of_longer in zip(
        stats.increase_interval(now, before, 0.99, confidence),
        stats.increase_interval(now + longer, before, 0.99, confidence),
        strict=True,
    ):
        assert end_of_longer >= end


@given(DURATIONS, DURATIONS, SHARES, SHARES)
def test_more_confidence_takes_a_wider_interval(
    durations: stats.Ordered, durations_before: stats.Ordered, share: Share, share_before: Share
) -> None:
    assume(stats.p99(durations_before) > 0)
    increases = [stats.increase_interval(durations, durations_before, 0.99, confidence) for confidence in (0.9, 0.99)]
    drops = [stats.drop_interval(share, share_before, confidence) for confidence in (0.9, 0.99)]

    for (low, high), (lower, higher) in (increases, drops):
        assert lower <= low
        assert high <= higher


def test_a_difference_of_decimals_is_not_blurred_by_binary_fractions() -> None:
    assert stats.drop(Share(94, 100), Share(99, 100)) == 0.05  # 0.99 - 0.94 is 0.050000000000000044
    assert stats.increase(110, 100) == 10  # 110 / 100 - 1 is 0.10000000000000009


@settings(max_examples=30)  # Up to ten million requests are tried, in 40 steps.
@given(SHARES, SHARES, st.sampled_from([0.001, 0.01, 0.05, 0.3]))
def test_as_many_further_requests_as_named_do_decide_a_drop(now: Share, before: Share, limit: float) -> None:
    further = stats.further_for_drop(now, before, limit, 0.95)

    if further is None:
        assert stats.drop(now, before) == pytest.approx(limit, abs=2e-3)
        return
    grown = [Share(round((n + further) * successes / n), n + further) for successes, n in (now, before)]
    assert stats.decide(*stats.drop_interval(grown[0], grown[1], 0.95), limit, "<=") != "inconclusive"


@pytest.mark.parametrize("limit", [5, 20, 28, 32, 50])
def test_about_as_many_further_requests_as_named_decide_an_increase(limit: float) -> None:
    def sample(slower: float, n: int) -> Any:
        return (slower * scipy_stats.lognorm.ppf((np.arange(n) + 0.5) / n, 0.5)).astype(int)

    def decided(more: int) -> bool:
        interval = stats.increase_interval(sample(1.3e6, 500 + more), sample(1e6, 700 + more), 0.99, 0.95)
        return stats.decide(*interval, limit, "<=") != "inconclusive"

    further = stats.further_for_increase(sample(1.3e6, 500), sample(1e6, 700), 0.99, limit, 0.95)

    assert further is not None
    assert decided(3 * further)
    assert not decided(further // 3)


def test_no_drop_and_no_increase_take_the_requests_that_bound_a_perfect_share_and_a_p99() -> None:
    # Each tail is (1 - sqrt(0.95)) / 2 = 0.01266, and 0.99^435 is the first power of 0.99 that is not above it.
    assert stats.further_for_drop(Share(100, 100), Share(100, 100), 0.01, 0.95) == 335
    assert stats.further_for_increase([10] * 100, [10] * 100, 0.99, 5, 0.95) == 335


def test_a_difference_at_its_limit_is_never_decided() -> None:
    assert stats.further_for_drop(Share(80, 100), Share(90, 100), 0.1, 0.95) is None
