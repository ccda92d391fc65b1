"""How the latencies of a load are spread: percentiles for a table, and the whole of them for a plot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chaos_steps.stats import quantile_rank

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PERCENTILES = {"p50": 0.5, "p75": 0.75, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99.9": 0.999, "max": 1.0}
_STEPS = 200


@dataclass(frozen=True)
class Distribution:
    """Latency against the share of answers that were slower, of one load.

    At most some hundred corners, whatever the number of answers: they are close where few answers are left, in the
    tail.
    """

    name: str
    slower: NDArray[np.float64]
    """Share of the answers, falling from 1; never 0, so that it has a logarithm."""
    latency_ms: NDArray[np.float64]


def percentiles(durations_us: NDArray[Any]) -> dict[str, float]:
    """Milliseconds by name, each the ceil(q n)-th of durations sorted upwards; empty without any."""
    n = len(durations_us)
    return {name: float(durations_us[quantile_rank(n, q) - 1]) / 1000 for name, q in PERCENTILES.items() if n}


def distribution(name: str, durations_us: NDArray[Any]) -> Distribution:
    """The staircase of the empirical distribution of durations sorted upwards, at least one.

    The value of rank r holds from a share of (n - r + 1) / n slower ones down to (n - r) / n. Of ranks that lie close
    together on the plot one is taken. The last step ends at 1 / 2n, as its true end, no slower ones, has no place.
    """
    import numpy as np  # noqa: PLC0415

    n = len(durations_us)
    left = np.unique(np.rint(np.geomspace(1, n, min(n, _STEPS))).astype(np.int64))[::-1]
    slower = np.column_stack([left, np.maximum(left - 1, 0.5)]).ravel() / n
    latency = np.repeat(durations_us[n - left], 2) / 1000
    return Distribution(name, slower, latency)
