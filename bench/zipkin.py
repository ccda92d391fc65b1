"""zipkin-slo over 50,000 traces of 170 MB.

Against a real Zipkin at most 1.2 times what curl takes for the same slices, plus 0.5 s. Against a local server that
sends stored bytes at least 5 times faster than jq computes the same numbers, in at most 150 MB, and with 4 times the
traces at most a fifth more.
"""

from __future__ import annotations

import contextlib
import json
import math
import mmap
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.servers.call import call
from tests.servers.unreliable import Unreliable
from tests.servers.zipkin import Zipkin

TRACES = 50_000
START_MS = 1_700_000_000_000
APART_US = 2400  # 50,000 traces in 2 minutes.
SERVICE = "user-service"
ROUNDS = 3
ROOT = Path(__file__).parent.parent
JQ = f"""
[.[][] | select(.kind == "SERVER" and .localEndpoint.serviceName == "{SERVICE}")] as $requests
| ($requests | length) as $n
| {{
    "requests": $n,
    "success-rate": ([$requests[] | select(.tags | has("error") | not)] | length / $n),
    "p99-latency-ms": ([$requests[].duration] | sort | .[(0.99 * $n | ceil) - 1] / 1000)
  }}
"""


def run() -> bool:
    """Both servers, one after the other."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = Store.made(folder / "traces", TRACES)
        kept = _against_curl(store)
        kept &= _against_jq(store, folder)
        return _memory(store, Store.made(folder / "more", 4 * TRACES)) and kept


@dataclass(frozen=True)
class Store:
    """Traces as the text of a JSON array without its brackets, in the order of their roots."""

    path: Path
    starts_us: array[int]
    offsets: array[int]
    """Where each trace begins; at last, where one more would."""

    @classmethod
    def made(cls, path: Path, count: int) -> Store:
        """Write so many traces of 3.4 kB each."""
        numbers = random.Random(1)
        starts, offsets = array("q"), array("q", [0])
        with path.open("wb") as file:
            for number in range(count):
                starts.append(START_MS * 1000 + number * APART_US)
                offsets.append(offsets[-1] + file.write(_trace(number, starts[-1], numbers) + b","))
        return cls(path, starts, offsets)

    @property
    def end_ms(self) -> int:
        """A millisecond after the last root."""
        return self.starts_us[-1] // 1000 + 1


def _trace(number: int, start_us: int, numbers: random.Random) -> bytes:
    """A request through a gateway and a shop to the service, which asks a database; some fail."""
    trace_id = f"{numbers.getrandbits(64):016x}{number + 1:016x}"
    took = int(numbers.lognormvariate(9, 0.5)) + 1
    failed = numbers.random() < 0.02
    chain = ("gateway", "shop", "inventory", SERVICE, "database")
    spans: list[dict[str, object]] = []
    parent = None
    for depth, (caller, callee) in enumerate(zip(("browser", *chain), chain, strict=False)):
        for kind, local, remote in (("CLIENT", caller, callee), ("SERVER", callee, caller)):
            if local != "browser":
                span_id = f"{len(spans) + 1:08x}{number + 1:08x}"
                spans.append(
                    {
                        "traceId": trace_id,
                        **({"parentId": parent} if parent else {}),
                        "id": span_id,
                        "kind": kind,
                        "name": "get /users/{id}",
                        "timestamp": start_us + 150 * len(spans),
                        "duration": took + 1000 * (len(chain) - depth),
                        "localEndpoint": {"serviceName": local, "ipv4": "10.0.12.34"},
                        "remoteEndpoint": {"serviceName": remote, "port": 8080},
                        "tags": {
                            "http.method": "GET",
                            "http.path": f"/api/v1/users/{number}",
                            "http.status_code": "503" if failed else "200",
                            **({"error": "503"} if failed else {}),
                        },
                    }
                )
                parent = span_id
    numbers.shuffle(spans)  # The storage in memory gives them out as they came.
    return json.dumps(spans, separators=(",", ":")).encode()


@dataclass(frozen=True)
class Run:
    """What one zipkin-slo took and found."""

    seconds: float
    megabytes: float
    results: dict[str, float]


def _judge(url: str, store: Store) -> Run:
    arguments = ["--zipkin-url", url, "--service-name", SERVICE, "--settle", "0s", "--max-p99-latency-ms", "100000"]
    arguments += ["--start-ms", str(START_MS), "--end-ms", str(store.end_ms), "--min-success-rate", "0.5"]
    began = time.perf_counter()
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "chaos_steps", "zipkin-slo", *arguments],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"]},
            stdout=output,
            stderr=log,
        )
        kilobytes = 0
        while process.poll() is None:
            kilobytes = max(kilobytes, _peak(process.pid))
            time.sleep(0.01)
        seconds = time.perf_counter() - began
        output.seek(0)
        log.seek(0)
        if process.returncode:
            raise SystemExit(f"zipkin-slo ended {process.returncode}: {log.read().decode()}")
        found = json.load(output)
    return Run(seconds, kilobytes / 1024, {name: float(found[name]) for name in found if name != "verdict"})


def _peak(pid: int) -> int:
    """Peak memory of a process in kB; 0 once it has ended. What wait4 says begins with the memory of the parent."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")), 0)


def _against_curl(store: Store) -> bool:
    """The slices are those that zipkin-slo asks for, in the same order, by one curl after the other."""
    with LargeZipkin() as zipkin:
        _fill(zipkin, store)
        with Unreliable(zipkin.url) as recorder:
            _judge(recorder.url, store)
            slices = [zipkin.url + request.path for request in recorder.requests]
        rounds = [(_curl(slices), _judge(zipkin.url, store).seconds) for _ in range(ROUNDS)]
    yardstick, taken = (statistics.median(times) for times in zip(*rounds, strict=True))
    print(
        f"real Zipkin     {taken:.1f} s; curl of the same {len(slices)} slices {yardstick:.1f} s: "
        f"{(taken - 0.5) / yardstick:.2f} x and 0.5 s (of 1.2 x and 0.5 s)"
    )
    return bool(taken <= 1.2 * yardstick + 0.5)


def _fill(zipkin: Zipkin, store: Store) -> None:
    with store.path.open("rb") as file:
        for first in range(0, TRACES, 1000):
            size = store.offsets[min(first + 1000, TRACES)] - store.offsets[first]
            # What is stored are traces; what is reported are spans.
            spans = file.read(size).rstrip(b",").replace(b"],[", b",")
            answer = call("POST", f"{zipkin.url}/api/v2/spans", body=spans, timeout=60)
            if answer.status != 202:
                raise SystemExit(f"Zipkin answered {answer.status}")


def _curl(urls: list[str]) -> float:
    began = time.perf_counter()
    for url in urls:
        subprocess.run(["curl", "-sfo", "/dev/null", url], check=True)
    return time.perf_counter() - began


def _against_jq(store: Store, folder: Path) -> bool:
    """jq reads a file; zipkin-slo has to fetch what it reads."""
    whole = folder / "whole.json"
    with whole.open("wb") as file:
        file.write(b"[" + store.path.read_bytes()[:-1] + b"]")
    ours, theirs = [], []
    with _stored(store) as url:
        for _ in range(ROUNDS):
            ours.append(_judge(url, store))
            began = time.perf_counter()
            output = subprocess.run(["jq", JQ, whole], check=True, capture_output=True).stdout
            theirs.append(time.perf_counter() - began)
    expected = json.loads(output)
    same = all(math.isclose(ours[0].results[name], expected[name], abs_tol=1e-6) for name in expected)
    taken, yardstick = statistics.median(run.seconds for run in ours), statistics.median(theirs)
    print(
        f"jq              {yardstick:.1f} s, {yardstick / taken:.1f} x the {taken:.2f} s of zipkin-slo (of 5); "
        f"the numbers are {'the same' if same else f'NOT the same: {expected} and {ours[0].results}'}"
    )
    return same and yardstick >= 5 * taken


def _memory(store: Store, larger: Store) -> bool:
    sizes = []
    for each in (store, larger):
        with _stored(each) as url:
            sizes.append(_judge(url, each).megabytes)
    print(f"peak memory     {sizes[0]:.0f} MB, with 4 x the traces {sizes[1]:.0f} MB (of 150)")
    return max(sizes) <= 150 and sizes[1] <= 1.2 * sizes[0]


class LargeZipkin(Zipkin):
    """With room for half a million spans of this size."""

    @property
    def environment(self) -> dict[str, str]:
        """Zipkin drops the oldest traces beyond this number of spans."""
        return {**super().environment, "MEM_MAX_SPANS": "1000000"}

    def arguments(self) -> list[str]:
        """With a larger heap."""
        return ["-Xmx3g" if argument.startswith("-Xmx") else argument for argument in super().arguments()]


@contextmanager
def _stored(store: Store) -> Iterator[str]:
    """The base URL of a server that answers Zipkin's query for traces from a store, as fast as it can be sent."""
    with store.path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        view = memoryview(content)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                query = parse_qs(urlsplit(self.path).query)
                end, lookback, limit = (int(query[name][0]) for name in ("endTs", "lookback", "limit"))
                last = bisect_right(store.starts_us, end * 1000)
                first = max(bisect_left(store.starts_us, (end - lookback) * 1000), last - limit)
                text = view[store.offsets[first] : max(store.offsets[first], store.offsets[last] - 1)]
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text) + 2))
                self.end_headers()
                # Whoever asks for too much hangs up.
                with contextlib.suppress(ConnectionError), text:
                    for part in (b"[", text, b"]"):
                        self.wfile.write(part)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
            view.release()
