from __future__ import annotations

import numpy as np
import pytest

from chaos_steps.operate.experiment_report.distribution import distribution, percentiles


def test_percentiles_are_the_values_of_the_same_ranks_as_the_p99_that_judges_take() -> None:
    durations = np.arange(1, 2001) * 1000
    expected = [("p50", 1000.0), ("p75", 1500.0), ("p90", 1800.0), ("p95", 1900.0), ("p99", 1980.0), ("p99.9", 1998.0)]
    assert percentiles(durations) == dict([*expected, ("max", 2000.0)])
    assert percentiles(durations[:0]) == {}


def test_a_small_distribution_is_the_whole_staircase() -> None:
    found = distribution("client", np.array([1000, 2000, 2000, 9000]))
    assert found.slower.tolist() == [1, 0.75, 0.75, 0.5, 0.5, 0.25, 0.25, 0.125]
    assert found.latency_ms.tolist() == [1, 1, 2, 2, 2, 2, 9, 9]


@pytest.mark.parametrize("n", [1, 2, 199, 200, 201, 1_000_000])
def test_a_distribution_has_few_corners_each_a_true_one_and_its_tail_whole(n: int) -> None:
    durations = np.sort(np.random.default_rng(n).lognormal(10, 1, n)).astype(np.int64)
    found = distribution("client", durations)
    assert len(found.slower) == len(found.latency_ms) <= 400
    assert (np.diff(found.slower) <= 0).all()
    assert (np.diff(found.latency_ms) >= 0).all()
    assert (found.slower[0], found.latency_ms[-1]) == (1, durations[-1] / 1000)
    assert 0 < found.slower[-1] < 1 / n
    # Left ends of steps: the value of the rank that has so many from it on.
    ranks = n - np.rint(found.slower[::2] * n).astype(int)
    assert (durations[ranks] / 1000 == found.latency_ms[::2]).all()
    tail = min(n, 10)
    assert set(durations[-tail:] / 1000) <= set(found.latency_ms)
