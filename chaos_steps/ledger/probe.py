"""The dose, measured: a few requests a second through the faulted path while the fault is there."""

from __future__ import annotations

import logging
import threading
import time

from chaos_steps.errors import ChaosError
from chaos_steps.http import Http
from chaos_steps.ledger.target import Effect

log = logging.getLogger(__name__)

INTERVAL = 0.2
"""Seconds between the starts of two requests."""

TIMEOUT = 30.0
"""Seconds for one answer; longer than any delay that makes sense."""

SETTLE = 1.0
"""Seconds, beyond the fault's own delay, after which an answer has come that will come.

Of the last requests the quick answers are there and the slow ones are not, which would bend the share; none counts.
"""

RUN_HEADER = "X-Chaos-Run"


class Probe:
    """Sends requests to one URL, each once and without retries, and counts in which of them the fault was seen."""

    def __init__(self, url: str, effect: Effect, run: str) -> None:
        self.url = url
        self._effect = effect
        self._http = Http(url, headers={**effect.request_headers, RUN_HEADER: run}, return_redirects=True)
        self._lock = threading.Lock()
        self._answers: list[tuple[float, bool | None]] = []  # When it was asked, and whether the fault was seen.
        self._last = float("inf")
        self._stopped = threading.Event()

    def start(self) -> None:
        """Begin, in threads of its own."""
        threading.Thread(target=self._pace, daemon=True).start()

    def stop(self) -> None:
        """End; answers that come later do not count, nor do the last requests."""
        with self._lock:
            self._last = time.monotonic() - SETTLE - self._effect.delay_ms / 1000
            self._stopped.set()

    def dose(self) -> dict[str, object]:
        """What was measured: answered requests, those with the fault, and those without an answer."""
        with self._lock:
            seen = [faulted for begin, faulted in self._answers if begin <= self._last]
        return {
            "source": "probe",
            "url": self.url,
            "requests": len(seen) - seen.count(None),
            "faulted": seen.count(True),
            "unanswered": seen.count(None),
        }

    def _pace(self) -> None:
        start, sent = time.monotonic(), 0
        while not self._stopped.wait(max(0.0, start + sent * INTERVAL - time.monotonic())):
            sent += 1
            threading.Thread(target=self._ask, daemon=True).start()

    def _ask(self) -> None:
        begin = time.monotonic()
        faulted: bool | None = None
        try:
            answer = self._http.request("GET", "", timeout=TIMEOUT)
            faulted = self._effect.seen(answer.status, answer.headers, time.monotonic() - begin)
        except ChaosError as error:
            log.warning("probe: %s", error)
        with self._lock:
            if not self._stopped.is_set():
                self._answers.append((begin, faulted))
