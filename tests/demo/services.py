"""Starting the demo's services, each as its own process, and reading the traces that they report."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.servers.call import call
from tests.servers.program import Gateway
from tests.servers.upstream import Upstream
from tests.servers.zipkin import Zipkin
from tests.waiting import wait_until

DEMO = Path(__file__).parents[2] / "demo"

Span = dict[str, Any]


@contextmanager
def service(name: str, *arguments: str) -> Iterator[str]:
    """user_service or shop at the URL that is given; it ends well at SIGTERM."""
    command = [sys.executable, str(DEMO / f"{name}.py"), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()
    assert process.returncode == 0


@contextmanager
def shop(upstream: Upstream, *arguments: str) -> Iterator[str]:
    """A shop whose user-service is `upstream`."""
    with service("shop", "--upstream", upstream.url, "--host", "users.test", *arguments) as url:
        yield url


class DemoGateway(Gateway):
    """The demo's gateway in front of one upstream; traced with a Zipkin's URL."""

    def __init__(self, upstream: str, zipkin: str | None = None) -> None:
        super().__init__(upstream)
        self._zipkin = zipkin

    def arguments(self) -> list[str]:
        """gateway.py with Caddy on two free ports."""
        listen, admin = (f"127.0.0.1:{port}" for port in self.ports)
        return [
            *(sys.executable, str(DEMO / "gateway.py"), "--listen", listen, "--admin", admin),
            *("--host", self.host, "--upstream", self.upstream),
            *(("--zipkin", self._zipkin) if self._zipkin else ()),
        ]

    def is_ready(self) -> bool:
        """It answers a host that it does not know."""
        return call("GET", self.url).status == 200

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """gateway.py, or the Caddy that it has become."""
        assert self._process is not None
        return self._process


def descendants(pid: int) -> set[int]:
    """A process and all that descend from it."""
    parents = {int(entry.name): _parent_of(entry) for entry in Path("/proc").iterdir() if entry.name.isdigit()}
    found = {pid}
    while more := {process for process, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def _parent_of(entry: Path) -> int | None:
    """The parent of a process, by its folder in /proc; None when it is gone."""
    try:
        # pid (name) state parent ...: the name may hold anything, so count from its closing bracket.
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


class Visit:
    """A trace that a visitor has begun, as k6-load begins one."""

    def __init__(self, *, sampled: bool = True) -> None:
        self.trace_id, self.span_id = secrets.token_hex(16), secrets.token_hex(8)
        self.headers = {"b3": f"{self.trace_id}-{self.span_id}-{sampled:d}"}

    def spans(self, zipkin: Zipkin, count: int) -> list[Span]:
        """Its spans in Zipkin, in the order in which they began; waits until there are `count`, and allows no more."""

        def read() -> list[Span] | None:
            answer = call("GET", f"{zipkin.url}/api/v2/trace/{self.trace_id}")
            found: list[Span] = json.loads(answer.body) if answer.status == 200 else []
            return sorted(found, key=lambda span: span["timestamp"]) if len(found) >= count else None

        spans = wait_until(read, f"{count} spans of trace {self.trace_id}")
        assert len(spans) == count, spans
        return spans
