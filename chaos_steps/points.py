"""What the points of a load say: the numbers that k6-load reports and k6-slo judges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chaos_steps.stats import p99


@dataclass(frozen=True)
class Summary:
    """Counts and durations of a load's requests."""

    requests: int
    successes: int
    """Requests answered with a status of 200-399."""
    durations_us: NDArray[np.int64]
    """Microseconds of all answered requests, failed ones included, sorted upwards."""

    @property
    def unanswered(self) -> int:
        """Requests without an answer: they failed, and have no duration."""
        return self.requests - len(self.durations_us)

    @property
    def success_rate(self) -> float | None:
        """Share of all requests; None without any."""
        return self.successes / self.requests if self.requests else None

    @property
    def p99_latency_ms(self) -> float | None:
        """The ceil(0.99 n)-th smallest duration; None without answers."""
        return p99(self.durations_us) / 1000 if len(self.durations_us) else None


def summarize(points: NDArray[Any]) -> Summary:
    """Count and sort points of the type `workspace.points_dtype`."""
    status, durations = points["status"], points["duration_us"]
    answered = durations[(points["error"] == 0) & (durations >= 0)]
    return Summary(len(points), int(((status >= 200) & (status < 400)).sum()), np.sort(answered))
