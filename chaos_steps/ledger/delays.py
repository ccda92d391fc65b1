"""How a delay is told: by the durations of answers, for nothing else says that an answer was held back.

An answer counts as delayed when it took longer than the quickest one by nearly the whole asked delay. So a service may
be slow, as long as its own durations spread by less than that; where they do not, its slow answers count too. Where all
are delayed, the quickest is as well: that is the case when it took as long as the delay and hardly any stand out.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence

import msgspec

from chaos_steps import stats

CONFIDENCE = 0.99995
"""Of one median's interval: two of them, of different answers, hold together with 99.99 %."""

_CHANCE = 0.0001
_NEARLY = 0.9
"""Share of the asked delay that makes an answer a delayed one: a timer may fire early, by a tick or so."""


class Median(msgspec.Struct, frozen=True, kw_only=True):
    """The median of some durations in milliseconds, with an interval for the true one that assumes no distribution."""

    answers: int
    value: float
    low: float
    """0: too few answers to bound it."""
    high: float | None
    """Null: too few answers to bound it."""


class Delays(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Answers, taken apart."""

    faulted: int
    """Those that were delayed."""
    delayed: Median | None
    """Of these."""
    others: Median | None
    """Of the rest."""
    slower_ms: float | None
    """By how much the slowest, as many as were to be delayed, took longer than the rest; by their medians."""


def median(durations_us: stats.Ordered) -> Median | None:
    """Of microseconds sorted upwards; None without any."""
    n = len(durations_us)
    if not n:
        return None
    low, high = stats.quantile_interval(durations_us, 0.5, CONFIDENCE)
    value = durations_us[stats.quantile_rank(n, 0.5) - 1]
    return Median(answers=n, value=int(value) / 1000, low=low / 1000, high=None if math.isinf(high) else high / 1000)


def least_delayed(quickest_us: float, delay_ms: float) -> float:
    """Microseconds from which on an answer counts as delayed, if the quickest one without a delay takes so long."""
    return quickest_us + _NEARLY * 1000 * delay_ms


def take_apart(durations_us: Sequence[int], delay_ms: float, share: float) -> Delays:
    """Tell the delayed among some answers, microseconds sorted upwards, of which `share` was to be delayed."""
    first = _first_delayed(durations_us, delay_ms, share) if durations_us else 0
    rest = len(durations_us) - round(share * len(durations_us))
    slowest, quicker = median(durations_us[rest:]), median(durations_us[:rest])
    return Delays(
        faulted=len(durations_us) - first,
        delayed=median(durations_us[first:]),
        others=median(durations_us[:first]),
        slower_ms=round(slowest.value - quicker.value, 3) if slowest and quicker else None,
    )


def _first_delayed(durations_us: Sequence[int], delay_ms: float, share: float) -> int:
    """Index of the first delayed answer; 0 where all are, by the rule above."""
    n, quickest = len(durations_us), durations_us[0]
    first = bisect_left(durations_us, least_delayed(quickest, delay_ms))
    # A slow service: not all of its answers can be delayed by chance, and enough of them stand out.
    is_slow = share**n < _CHANCE and n - first >= share * n / 2
    return first if is_slow or quickest < least_delayed(0, delay_ms) else 0
