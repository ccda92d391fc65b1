"""Exact intervals for a share and for a quantile, and the three-valued decision.

Everything rests on the binomial distribution, so nothing is assumed about how durations are spread:

- a share (the success rate): Clopper and Pearson's interval (Biometrika 26, 1934);
- a quantile (the P99): order statistics. The number of n values at or below the true q-quantile is binomial (n, q),
  which gives two ranks between whose values the quantile lies (David and Nagaraja, Order Statistics, 3rd ed., section
  7.1). With ties, as in whole microseconds, the interval covers at least what it promises;
- a difference between two samples: each has its own interval at the square root of the confidence. The samples are
  independent, so both intervals hold at once with the whole confidence, and then the difference lies between their ends
  combined at their worst. It covers at least what it promises, at any size of either sample.

Plain Python: judges that read no points need no numpy.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Literal, NamedTuple, Protocol

Decision = Literal["pass", "fail", "inconclusive"]
Comparison = Literal["<=", ">="]


class Ordered(Protocol):
    """Whole numbers sorted upwards: a list, a range, a numpy array."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


class Share(NamedTuple):
    """So many successes among n requests."""

    successes: int
    n: int


_MOST_FURTHER_REQUESTS = 10_000_000


def binomial_cdf(k: int, n: int, p: float) -> float:
    """P(X <= k) for X binomial (n, p)."""
    if k < 0:
        return 0.0
    if k >= n:
        return 1.0
    return _beta_share(1 - p, n - k, k + 1)


def clopper_pearson(successes: int, n: int, confidence: float) -> tuple[float, float]:
    """The exact two-sided interval of a share; (0, 1) when n is 0."""
    tail = (1 - confidence) / 2
    low = 0.0 if successes == 0 else _solve(lambda p: 1 - binomial_cdf(successes - 1, n, p), tail)
    high = 1.0 if successes == n else _solve(lambda p: -binomial_cdf(successes, n, p), -tail)
    return low, high


def quantile_rank(n: int, q: float) -> int:
    """Rank, from 1, of the q-quantile among n sorted values: ceil(q n), computed without rounding errors."""
    return max(1, math.ceil(Fraction(str(q)) * n))


def p99(ordered: Ordered) -> int:
    """The ceil(0.99 n)-th smallest of values sorted upwards; n is at least 1."""
    return int(ordered[quantile_rank(len(ordered), 0.99) - 1])


def count_up_to(ordered: Ordered, limit: float) -> int:
    """How many of values sorted upwards are at most `limit`."""
    return _first(len(ordered) + 1, lambda rank: bool(ordered[rank - 1] > limit)) - 1


def order_statistic_interval(n: int, q: float, confidence: float) -> tuple[int | None, int | None]:
    """Ranks, from 1, of the two values between which the true q-quantile lies.

    None stands for an open end: n is too small to bound the quantile on that side.
    """
    tail = (1 - confidence) / 2
    # P(value of rank r > quantile) = P(X <= r - 1) may be at most `tail`; the largest such r.
    lower = _first(n + 1, lambda r: binomial_cdf(r - 1, n, q) > tail) - 1
    # P(value of rank r < quantile) = P(X >= r) may be at most `tail`; the smallest such r.
    upper = _first(n + 1, lambda r: binomial_cdf(r - 1, n, q) >= 1 - tail)
    return lower or None, upper if upper <= n else None


def quantile_interval(ordered: Ordered, q: float, confidence: float) -> tuple[float, float]:
    """The values between which the true q-quantile of durations lies; (0, infinity) are its open ends."""
    return _expected_quantile_interval(ordered, len(ordered), q, confidence)


def increase(now: float, before: float) -> float:
    """By how many percent `now` lies above `before`; infinite above 0. Whole numbers are rounded once."""
    if before == 0 or math.isinf(now):
        return math.inf
    return -100.0 if math.isinf(before) else 100 * (now - before) / before


def increase_interval(now: Ordered, before: Ordered, q: float, confidence: float) -> tuple[float, float]:
    """By how many percent the q-quantile of durations lies above the one before; (-100, infinity) are its open ends."""
    return _expected_increase_interval(now, before, 0, q, confidence)


def drop(now: Share, before: Share) -> float:
    """How far a share lies below the one before; negative above it. Rounded once."""
    return (before.successes * now.n - now.successes * before.n) / (before.n * now.n)


def drop_interval(now: Share, before: Share, confidence: float) -> tuple[float, float]:
    """How far the true share lies below the one before."""
    low, high = clopper_pearson(*now, math.sqrt(confidence))
    low_before, high_before = clopper_pearson(*before, math.sqrt(confidence))
    return low_before - high, high_before - low


def decide(low: float, high: float, limit: float, better: Comparison) -> Decision:
    """Pass when the whole interval is on the good side of the limit, fail when it is on the bad side."""
    if better == "<=":
        return "pass" if high <= limit else "fail" if low > limit else "inconclusive"
    return "pass" if low >= limit else "fail" if high < limit else "inconclusive"


def further_for_share(successes: int, n: int, limit: float, confidence: float) -> int | None:
    """About how many more requests decide `share >= limit` if the share stays as it is; None: not within 10 million."""
    return _further(lambda more: _separates(_grown(successes, n, more), n + more, limit, confidence))


def further_for_quantile(within: int, n: int, q: float, confidence: float) -> int | None:
    """About how many more requests decide `quantile <= limit` when `within` of n values kept to it; None as above.

    The value of rank r is within the limit exactly if r values are: which values the others have plays no part, and the
    quantile is within the limit exactly if a share of at least q is.
    """
    return _further(lambda more: _separates(_grown(within, n, more), n + more, q, confidence))


def further_for_increase(now: Ordered, before: Ordered, q: float, limit: float, confidence: float) -> int | None:
    """About how many more requests in each sample decide `increase <= limit`, in percent, if both stay as they are."""

    def decided(more: int) -> bool:
        return decide(*_expected_increase_interval(now, before, more, q, confidence), limit, "<=") != "inconclusive"

    return _further(decided)


def further_for_drop(now: Share, before: Share, limit: float, confidence: float) -> int | None:
    """About how many more requests in each sample decide `drop <= limit` if both shares stay as they are."""

    def decided(more: int) -> bool:
        expected = [Share(_grown(*each, more), each.n + more) for each in (now, before)]
        return decide(*drop_interval(expected[0], expected[1], confidence), limit, "<=") != "inconclusive"

    return _further(decided)


def _grown(part: int, n: int, more: int) -> int:
    """How many of n + more there will be if their share stays as it is."""
    return round((n + more) * part / n)


def _separates(successes: int, n: int, share: float, confidence: float) -> bool:
    """Whether the interval of Clopper and Pearson leaves a share out, without computing its ends."""
    tail = (1 - confidence) / 2
    return 1 - binomial_cdf(successes - 1, n, share) <= tail or binomial_cdf(successes, n, share) <= tail


def _expected_increase_interval(
    now: Ordered, before: Ordered, more: int, q: float, confidence: float
) -> tuple[float, float]:
    """The interval of the increase that `more` values in each sample would give."""
    each = math.sqrt(confidence)
    low, high = _expected_quantile_interval(now, len(now) + more, q, each)
    low_before, high_before = _expected_quantile_interval(before, len(before) + more, q, each)
    return increase(low, high_before), increase(high, low_before)


def _expected_quantile_interval(ordered: Ordered, total: int, q: float, confidence: float) -> tuple[float, float]:
    """The interval that `total` values spread like these would give."""
    lower, upper = order_statistic_interval(total, q, confidence)
    low = 0.0 if lower is None else _expected_value(ordered, lower, total, q)
    high = math.inf if upper is None else _expected_value(ordered, upper, total, q)
    return low, high


def _expected_value(ordered: Ordered, rank: int, total: int, q: float) -> float:
    """The value of a rank near the q-quantile of `total` values spread like these: as far from it, and between two."""
    n = len(ordered)
    position = quantile_rank(n, q) + (rank - quantile_rank(total, q)) * n / total
    position = min(max(position, 1), n)
    below, above = (int(ordered[whole(position) - 1]) for whole in (math.floor, math.ceil))
    return below + (position % 1) * (above - below)


def _further(decided: Callable[[int], bool]) -> int | None:
    """Doubling, then halving: rounding makes `decided` jump a little around the answer, hence "about"."""
    more = 1
    while not decided(more):
        if more == _MOST_FURTHER_REQUESTS:
            return None
        more = min(2 * more, _MOST_FURTHER_REQUESTS)
    return _first(more, lambda count: count > more // 2 and decided(count))


def _first(high: int, holds: Callable[[int], bool]) -> int:
    """The first of 1..high at which `holds` turns true; `high` itself is taken to hold."""
    low = 1
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low


def _solve(rising: Callable[[float], float], target: float) -> float:
    """The p in (0, 1) at which a rising function reaches the target, by halving down to the last bit or so."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if rising(middle) < target:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _beta_share(x: float, a: int, b: int) -> float:
    """The regularised incomplete beta function I_x(a, b), by its continued fraction (DLMF 8.17.22)."""
    if x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    if x > (a + 1) / (a + b + 2):  # Past this point the mirrored fraction converges, and far faster.
        return 1 - _beta_share_below(1 - x, b, a)
    return _beta_share_below(x, a, b)


def _beta_share_below(x: float, a: int, b: int) -> float:
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x) - math.log(a)
    )
    return front * _continued_fraction(x, a, b)


def _continued_fraction(x: float, a: int, b: int) -> float:
    """Lentz's method; it needs about sqrt(a + b) rounds."""
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, 100 + 20 * math.isqrt(a + b)):
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / (1 + numerator * d)
            c = 1 + numerator / c
            value *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return value
