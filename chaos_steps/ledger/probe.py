"""The dose, measured: a few requests a second through the faulted path while the fault is there."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping

from chaos_steps.errors import ChaosError
from chaos_steps.http import Http
from chaos_steps.ledger.target import Effect

log = logging.getLogger(__name__)

INTERVAL = 0.2
"""Seconds between the starts of two requests."""

TIMEOUT = 30.0
"""Seconds for one answer; longer than any delay that makes sense."""

RUN_HEADER = "X-Chaos-Run"

Measure = Callable[[int, Mapping[str, str], float], None]


class Probe:
    """Sends requests to one URL, each once and without retries, and counts in which of them the fault was seen."""

    def __init__(self, url: str, effect: Effect, run: str) -> None:
        self.url = url
        self._effect = effect
        self._http = Http(url, headers={**effect.request_headers, RUN_HEADER: run})
        self._lock = threading.Lock()
        self._requests = self._faulted = self._unanswered = 0
        self._stopped = threading.Event()

    def start(self) -> None:
        """Begin, in threads of its own."""
        threading.Thread(target=self._pace, daemon=True).start()

    def stop(self) -> None:
        """End; answers that come later do not count."""
        self._stopped.set()

    def dose(self) -> dict[str, object]:
        """What was measured: answered requests, those with the fault, and those without an answer."""
        with self._lock:
            return {
                "source": "probe",
                "url": self.url,
                "requests": self._requests,
                "faulted": self._faulted,
                "unanswered": self._unanswered,
            }

    def _pace(self) -> None:
        start, sent = time.monotonic(), 0
        while not self._stopped.wait(max(0.0, start + sent * INTERVAL - time.monotonic())):
            sent += 1
            threading.Thread(target=self._ask, daemon=True).start()

    def _ask(self) -> None:
        begin = time.monotonic()
        try:
            answer = self._http.request("GET", "", timeout=TIMEOUT)
        except ChaosError as error:
            log.warning("probe: %s", error)
            answer = None
        took = time.monotonic() - begin
        with self._lock:
            if self._stopped.is_set():
                return
            if answer is None:
                self._unanswered += 1
                return
            self._requests += 1
            self._faulted += self._effect.seen(answer.status, answer.headers, took)
