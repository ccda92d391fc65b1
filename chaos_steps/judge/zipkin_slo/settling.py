"""Waiting until the spans of a window have come in: tracers report them late, and in batches."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

from chaos_steps.errors import TooLarge
from chaos_steps.judge.zipkin_slo.api import Api, Query
from chaos_steps.judge.zipkin_slo.slices import LIMIT, halves

# OpenTelemetry's tracers send what they have every 5 s, Brave's every second.
_REST_SECONDS = 6.0
_LOOK_SECONDS = 1.0
_MOST_BYTES = 4 * 1024 * 1024


def settle(api: Api, interval: Query, seconds: float) -> bool:
    """Wait until no more spans come in at the end of an interval; at most until `seconds` after that end.

    False if they still come in then. An interval whose end is long past is not even looked at. Raises Unavailable.
    """
    deadline = min(interval.end_ms / 1000, time.time()) + seconds
    if time.time() >= deadline:
        return True
    # What began earlier than this and is reported after the end took so long that it would come too late anyway.
    tail = replace(interval, start_ms=max(interval.start_ms, interval.end_ms - math.ceil(1000 * seconds)))
    known, changed, since = _count(api, tail), False, time.time()
    while time.time() < deadline and time.time() - since < _REST_SECONDS:
        time.sleep(max(0.0, min(_LOOK_SECONDS, deadline - time.time())))
        found = _count(api, known.part)
        if found != known:
            known, changed, since = found, True, time.time()
    return not changed or time.time() - since >= _REST_SECONDS


@dataclass(frozen=True)
class _Count:
    """The later part of an interval that is small enough to be read often, and how many spans it has."""

    part: Query
    spans: int


def _count(api: Api, part: Query) -> _Count:
    while True:
        try:
            response = api.traces(part, limit=LIMIT, max_body=_MOST_BYTES)
        except TooLarge:
            both = halves(part)
            if both is None:
                raise
            part = both[1]
        else:
            return _Count(part, sum(map(len, api.decoded(response))))
