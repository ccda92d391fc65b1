"""A real Zipkin that keeps its traces in memory."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from tests.servers.built import built
from tests.servers.call import call
from tests.servers.program import Server, find_program
from tests.waiting import wait_until

Span = Mapping[str, Any]


class Zipkin(Server):
    """Zipkin's slim server; tests tell their traces apart by service names of their own."""

    @property
    def url(self) -> str:
        """Base URL."""
        return f"http://127.0.0.1:{self.ports[0]}"

    @property
    def environment(self) -> dict[str, str]:
        """Storage in memory, and no traces of its own doing."""
        return {**super().environment, "STORAGE_TYPE": "mem", "SELF_TRACING_ENABLED": "false"}

    def arguments(self) -> list[str]:
        """Java with Zipkin's jar. Without all three armeria settings it would listen on every interface."""
        listen = {"ip": "127.0.0.1", "port": self.ports[0], "protocols[0]": "http"}
        return [
            *(str(find_program("java")), "-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"),
            *("-jar", str(built("zipkin"))),
            *(f"--armeria.ports[0].{key}={value}" for key, value in listen.items()),
        ]

    def is_ready(self) -> bool:
        """Whether its health check passes."""
        return call("GET", f"{self.url}/health").status == 200

    def post(self, spans: Iterable[Span]) -> None:
        """Report spans, as tracers do, and wait until they can be read: the server takes one report as a whole."""
        reported = list(spans)
        answer = call("POST", f"{self.url}/api/v2/spans", body=reported, timeout=60)
        assert answer.status == 202, answer
        trace_id = reported[-1]["traceId"]
        count = sum(span["traceId"] == trace_id for span in reported)
        wait_until(lambda: self._count(trace_id) >= count, f"trace {trace_id} with {count} spans")

    def _count(self, trace_id: str) -> int:
        answer = call("GET", f"{self.url}/api/v2/trace/{trace_id}")
        return len(json.loads(answer.body)) if answer.status == 200 else 0
