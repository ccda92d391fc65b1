"""The dose, measured: a few requests a second through the faulted path while the fault is there."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from dataclasses import dataclass
from typing import Any

import msgspec

from chaos_steps.errors import ChaosError
from chaos_steps.http import Http
from chaos_steps.ledger.delays import take_apart
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


@dataclass
class _Request:
    """One request. `begin` is of the monotonic clock."""

    begin: float
    is_over: bool = False
    seconds: float | None = None
    """Until its answer; None: there was none, or none yet."""
    is_faulted: bool = False
    """Whether the fault was seen in the answer."""


class Probe:
    """Sends requests to one URL, each once and without retries, and tells in which of the answers the fault was."""

    def __init__(self, url: str, effect: Effect, run: str) -> None:
        self.url = url
        self._effect = effect
        headers = {RUN_HEADER: run} | ({"Host": effect.host} if effect.host else {})
        self._http = Http(url, headers=headers, return_redirects=True)
        self._lock = threading.Lock()
        self._requests: list[_Request] = []
        self._end = 0.0
        self._stopped = threading.Event()

    def start(self) -> None:
        """Begin, in threads of its own."""
        threading.Thread(target=self._pace, daemon=True).start()

    def stop(self) -> None:
        """End; answers that come later do not count, nor do the last requests."""
        with self._lock:
            self._end = time.monotonic()
            self._stopped.set()

    def dose(self) -> dict[str, Any]:
        """What was measured: answers, those with the fault, requests without an answer; of a delay also how long."""
        last = self._end - SETTLE - self._effect.delay_ms / 1000
        with self._lock:
            sent = [request for request in self._requests if request.begin <= last]
        counted = self._count(sent) if self._effect.seen else self._time(sent)
        return {
            "source": "marker" if self._effect.marked else "probe",
            "url": self.url,
            "unanswered": sum(request.is_over and request.seconds is None for request in sent),
            **counted,
        }

    @staticmethod
    def _count(sent: list[_Request]) -> dict[str, Any]:
        answered = [request for request in sent if request.seconds is not None]
        return {"requests": len(answered), "faulted": sum(request.is_faulted for request in answered)}

    def _time(self, sent: list[_Request]) -> dict[str, Any]:
        """Tell by the durations; an answer that has not come yet took as long as it was waited for, at least."""
        waited = [request.seconds if request.is_over else self._end - request.begin for request in sent]
        durations = sorted(round(seconds * 1e6) for seconds in waited if seconds is not None)
        delays = take_apart(durations, self._effect.delay_ms, self._effect.share)
        return {"requests": len(durations), **msgspec.to_builtins(delays)}

    def _pace(self) -> None:
        start, sent = time.monotonic(), 0
        while not self._stopped.wait(max(0.0, start + sent * INTERVAL - time.monotonic())):
            sent += 1
            threading.Thread(target=self._ask, daemon=True).start()

    def _ask(self) -> None:
        request = _Request(time.monotonic())
        with self._lock:
            self._requests.append(request)
        seconds, is_faulted = None, False
        try:
            answer = self._http.request("GET", "", headers=_untraced(), timeout=TIMEOUT)
            seconds = answer.elapsed
            is_faulted = self._effect.seen is not None and self._effect.seen(answer.status, answer.headers)
        except ChaosError as error:
            log.warning("probe: %s", error)
        with self._lock:
            if not self._stopped.is_set():
                request.is_over, request.seconds, request.is_faulted = True, seconds, is_faulted


def _untraced() -> dict[str, str]:
    """Asks the services on the way, by W3C's and Zipkin's headers, not to report a request that no user has made."""
    trace, span = secrets.token_hex(16), secrets.token_hex(8)
    return {"traceparent": f"00-{trace}-{span}-00", "b3": f"{trace}-{span}-0"}
