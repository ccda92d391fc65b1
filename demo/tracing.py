"""Tracing for the demo's services: spans in Zipkin's format, and the headers that join them across services.

A real service would take OpenTelemetry or Brave. This is as much of them as three small services need, with nothing
but the standard library.
"""

from __future__ import annotations

import argparse
import json
import re
import secrets
import sys
import threading
import time
import urllib.request
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Literal, NamedTuple, TypeAlias

Kind: TypeAlias = Literal["SERVER", "CLIENT"]

# https://github.com/openzipkin/b3-propagation: one header. An ID of zeros only is none.
_B3 = re.compile(
    r"(?!0+-)(?P<trace>[0-9a-f]{32}|[0-9a-f]{16})-(?!0+\b)(?P<span>[0-9a-f]{16})(-(?P<sampled>[01d])(-[0-9a-f]{16})?)?"
)
# https://www.w3.org/TR/trace-context/: version, trace, span, flags; the lowest bit says whether it is sampled.
_TRACEPARENT = re.compile(r"00-(?!0+-)(?P<trace>[0-9a-f]{32})-(?!0+-)(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})")


def zipkin_option(parser: argparse.ArgumentParser) -> None:
    """Add --zipkin URL; without it nothing is traced."""
    parser.add_argument("--zipkin", type=_http_url, metavar="URL", help="report traces to this Zipkin (default: none)")


def _http_url(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError(f"{text!r} is no address like http://127.0.0.1:9411")
    return text.rstrip("/")


class Context(NamedTuple):
    """A place in a trace, as it travels in headers: lower-case hexadecimal IDs."""

    trace_id: str
    span_id: str
    sampled: bool = True

    def headers(self) -> dict[str, str]:
        """Both formats, for whoever knows only one."""
        return {
            "b3": f"{self.trace_id}-{self.span_id}-{self.sampled:d}",
            "traceparent": f"00-{self.trace_id:0>32}-{self.span_id}-{self.sampled:02d}",
        }


def context_of(headers: Mapping[str, str]) -> Context | None:
    """The caller's place: from `b3`, the `x-b3-...` headers or `traceparent`, whose names must be lower-case.

    None when there is none that can be read: a new trace begins.
    """
    several = (headers.get(f"x-b3-{name}", "") for name in ("traceid", "spanid", "sampled"))
    for text in (headers.get("b3", ""), "-".join(several).rstrip("-")):
        if found := _B3.fullmatch(text):
            return Context(found["trace"], found["span"], found["sampled"] != "0")
    if found := _TRACEPARENT.fullmatch(headers.get("traceparent", "")):
        return Context(found["trace"], found["span"], bool(int(found["flags"], 16) & 1))
    return None


@dataclass(kw_only=True)
class Span:
    """One request as one side sees it. `start_us` is epoch microseconds."""

    kind: Kind
    context: Context
    parent_id: str | None
    method: str
    path: str
    start_us: int
    remote: str | None = None
    status: int | None = None
    error: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    """What a call has to carry so that the service that is called goes on with this trace."""

    def document(self, service: str, duration_us: int) -> dict[str, object]:
        """As POST /api/v2/spans takes it."""
        tags = {"http.method": self.method, "http.path": self.path}
        if self.status is not None:
            tags["http.status_code"] = str(self.status)
        if self.error is not None:
            tags["error"] = self.error
        return {
            "traceId": self.context.trace_id,
            "id": self.context.span_id,
            **({"parentId": self.parent_id} if self.parent_id else {}),
            "kind": self.kind,
            "name": self.method.lower(),
            "timestamp": self.start_us,
            "duration": max(1, duration_us),  # Zipkin takes 0 for unknown.
            "localEndpoint": {"serviceName": service},
            **({"remoteEndpoint": {"serviceName": self.remote}} if self.remote else {}),
            "tags": tags,
        }


class Reporter:
    """Sends finished spans in batches, from a thread: a Zipkin that is away costs spans and never a request."""

    INTERVAL_SECONDS = 0.5
    TIMEOUT_SECONDS = 1.5
    MAX_WAITING = 10_000

    def __init__(self, zipkin: str) -> None:
        self._url = f"{zipkin}/api/v2/spans"
        self._waiting: deque[dict[str, object]] = deque(maxlen=self.MAX_WAITING)  # The oldest go when it is full.
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reporter", daemon=True)
        self._thread.start()

    def report(self, span: dict[str, object]) -> None:
        """Take a span; returns at once."""
        self._waiting.append(span)

    def close(self) -> None:
        """Send what is left: two requests at most, one of which may be under way."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.wait(self.INTERVAL_SECONDS):
            self._send()
        self._send()

    def _send(self) -> None:
        batch = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if not batch:
            return
        request = urllib.request.Request(
            self._url, json.dumps(batch).encode(), {"Content-Type": "application/json"}, method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=self.TIMEOUT_SECONDS):
                pass
        except (OSError, HTTPException) as error:
            print(f"{len(batch)} spans are lost, {self._url}: {error}", file=sys.stderr, flush=True)


class Tracer:
    """Makes the spans of one service. Without a Zipkin nothing is reported, and calls carry no headers."""

    def __init__(self, service: str, zipkin: str | None) -> None:
        self._service = service
        self._reporter = Reporter(zipkin) if zipkin else None

    @contextmanager
    def server(self, headers: Mapping[str, str], method: str, path: str) -> Iterator[Span]:
        """A request that this service answers in the block; the names of `headers` are lower-case."""
        with self._measured(self._span("SERVER", context_of(headers), method, path)) as span:
            yield span

    @contextmanager
    def client(self, caller: Span, remote: str, method: str, path: str) -> Iterator[Span]:
        """A call that this service makes in the block for `caller`; it failed if the block raises."""
        span = self._span("CLIENT", caller.context, method, path)
        span.remote = remote
        if self._reporter:
            span.headers = span.context.headers()
        with self._measured(span):
            yield span

    def served(
        self, headers: Mapping[str, str], method: str, path: str, *, status: int, end_us: int, duration_us: int
    ) -> None:
        """Report a request that was answered elsewhere and ended at `end_us`, epoch microseconds."""
        span = self._span("SERVER", context_of(headers), method, path)
        span.start_us, span.status = end_us - duration_us, status
        self._finish(span, duration_us)

    def close(self) -> None:
        """Send what is left."""
        if self._reporter:
            self._reporter.close()

    def _span(self, kind: Kind, parent: Context | None, method: str, path: str) -> Span:
        trace_id, sampled = (parent.trace_id, parent.sampled) if parent else (secrets.token_hex(16), True)
        return Span(
            kind=kind,
            context=Context(trace_id, secrets.token_hex(8), sampled),
            parent_id=parent.span_id if parent else None,
            method=method,
            path=path.partition("?")[0],
            start_us=time.time_ns() // 1000,
        )

    @contextmanager
    def _measured(self, span: Span) -> Iterator[Span]:
        began = time.perf_counter_ns()
        try:
            yield span
        except Exception as error:
            span.error = str(error) or repr(error)
            raise
        finally:
            self._finish(span, (time.perf_counter_ns() - began) // 1000)

    def _finish(self, span: Span, duration_us: int) -> None:
        if self._reporter and span.context.sampled:
            if span.kind == "SERVER" and span.status is not None and span.status >= 500:
                span.error = span.error or str(span.status)
            self._reporter.report(span.document(self._service, duration_us))
