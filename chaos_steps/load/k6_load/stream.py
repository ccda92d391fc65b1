"""k6's JSON output as it comes, reduced to one record a request.

What k6 writes (`--out json`, checked against 1.1): a line a sample, about 13 lines a request,

    {"metric":"http_req_duration","type":"Point","data":{"time":"2026-01-02T03:04:05.123456789Z","value":1.234,
     "tags":{"scenario":"load","status":"200","error_code":"1503"}}}

`value` is milliseconds of sending, waiting and receiving: looking up the name and connecting are not in it. `time` is
the request's END. A request without a full answer (refused, reset, cut off, timed out) has status "0"; one that timed
out before it was connected has value 0 as well. Requests of setup() and teardown() carry no scenario. Requests that k6
itself cuts off, on a signal, leave no sample.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from chaos_steps.workspace import points_dtype

_DURATION = b'{"metric":"http_req_duration","type":"Point"'
_ITERATIONS = b'{"metric":"iterations","type":"Point"'
_DROPPED = b'{"metric":"dropped_iterations","type":"Point"'
_WANTED = (_DURATION, _ITERATIONS, _DROPPED)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_TIMED_OUT = "1050"


class _Tags(msgspec.Struct):
    scenario: str = ""
    status: str = "0"
    error_code: str = ""


class _Data(msgspec.Struct):
    time: datetime
    value: float
    tags: _Tags


class _Sample(msgspec.Struct):
    metric: str
    data: _Data


class Stream:
    """Eats the output in pieces of any size; keeps 19 bytes a request.

    `request_timeout_us` is what the script gives a request, 0 if that is not known; `expected` the likely number of
    requests.
    """

    def __init__(self, request_timeout_us: int = 0, expected: int = 0) -> None:
        self.iterations = 0
        """Iterations that came to their end."""
        self.dropped = 0
        """Iterations that k6 could not start in time."""
        self._timeout = request_timeout_us
        self._points = np.zeros(max(expected + expected // 10, 1024), points_dtype())
        self._count = 0
        self._rest = b""
        self._decode = msgspec.json.Decoder(_Sample).decode

    @property
    def points(self) -> NDArray[Any]:
        """The requests in the order of their ends, see `points_dtype`."""
        return self._points[: self._count]

    def feed(self, piece: bytes) -> None:
        """Take the next piece."""
        lines = (self._rest + piece).split(b"\n")
        self._rest = lines.pop()
        rows = []
        for line in lines:
            # Told apart by their first bytes: decoding all of them would cost ten times as much.
            if line.startswith(_WANTED):
                sample = self._decode(line)
                if not sample.data.tags.scenario:
                    continue
                if sample.metric == "http_req_duration":
                    rows.append(self._row(sample.data))
                elif sample.metric == "iterations":
                    self.iterations += round(sample.data.value)
                else:
                    self.dropped += round(sample.data.value)
        self._append(rows)

    def _row(self, data: _Data) -> tuple[int, int, int, int]:
        end, took = (data.time - _EPOCH) // _MICROSECOND, round(data.value * 1000)
        status = int(data.tags.status)
        if status:
            return end - took, took, status, 0
        if data.tags.error_code == _TIMED_OUT:
            took = max(took, self._timeout)
        return end - took, -1, 0, 1

    def _append(self, rows: list[tuple[int, int, int, int]]) -> None:
        count = self._count + len(rows)
        if count > len(self._points):
            self._points = np.concatenate([self._points, np.zeros(count, points_dtype())])
        self._points[self._count : count] = rows
        self._count = count
