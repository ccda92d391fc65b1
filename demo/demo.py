"""The demo: a whole chaos experiment on this machine, without a cluster.

k6 -> shop -> gateway (Caddy, holds the fault) -> user-service. The gateway answers 503 to a tenth of the calls that
shop makes. With retries its visitors do not notice; with --brittle they do, and the experiment says so (exit code 1).
With --breaker most calls fail, shop's circuit breaker opens, and its pages do without user-service.

    demo/run [--brittle | --breaker] [--zipkin URL] [--out DIR]

With --zipkin all three report their traces there, and the experiment judges those of shop too.

Ends with the run's exit code, after a look of its own: no fault in the gateway, no claim in the ledger (else 6).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from tracing import zipkin_option

from chaos_steps.ledger import open_ledger

HERE = Path(__file__).resolve().parent
HOST = "user-service.production.svc"
STARTING_SECONDS = 20
STOPPING_SECONDS = 5
FAULT_LEFT = 6


def experiment(percentage: int) -> dict[str, object]:
    """What Consul would hold. The traces are shop's: what the gateway answers itself never reaches user-service."""
    return {
        "experimentName": "user-service-503-resilience",
        "fault": {"type": "L7_HTTP_ERROR", "targetHost": HOST, "errorCode": 503, "percentage": percentage},
        "durationSeconds": 20,
        "load": {"rps": 50},
        "slo": {"maxP99LatencyMs": 1500, "minSuccessRate": 0.95},
        "zipkin": {"serviceName": "shop"},
    }


class Variant(NamedTuple):
    """One kind of shop, and the fault that shows it."""

    shop: tuple[str, ...] = ()
    """Options of shop."""
    percentage: int = 10


RESILIENT = Variant()
BRITTLE = Variant(shop=("--brittle",))
# Half of the calls have to fail before the breaker opens.
BREAKER = Variant(shop=("--breaker", "--fallback"), percentage=60)


class Addresses(NamedTuple):
    """Base URLs of what runs."""

    shop: str
    gateway: str
    admin: str


class Stopping:
    """Notes the first SIGINT, SIGTERM or SIGHUP and hands it on to the run, once; later ones change nothing."""

    def __init__(self) -> None:
        self.requested: int | None = None
        self._runner: subprocess.Popen[bytes] | None = None
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signum, self._handle)

    def _handle(self, signum: int, _frame: FrameType | None) -> None:
        if self.requested is None:
            self.requested = signum
            if self._runner is not None:
                self._runner.send_signal(signum)

    def wait_for(self, runner: subprocess.Popen[bytes]) -> int:
        """Wait for the run's end; returns its exit code, as a shell would give it."""
        self._runner = runner
        if self.requested is not None:
            runner.send_signal(self.requested)
        code = runner.wait()
        return code if code >= 0 else 128 - code


@contextmanager
def running(name: str, *arguments: str, out: Path) -> Iterator[subprocess.Popen[bytes]]:
    """One server of the demo, in a session of its own, so that Ctrl-C does not reach it; stopped at the end."""
    with (out / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, str(HERE / f"{name}.py"), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOPPING_SECONDS)
        process.kill()
        process.wait()


def start_service(stack: ExitStack, out: Path, name: str, *arguments: str) -> str:
    """Start user-service or shop and return the URL that it prints."""
    process = stack.enter_context(running(name, *arguments, out=out))
    line = process.stdout.readline().decode() if process.stdout else ""
    if not line.startswith("listening on "):
        raise SystemExit(f"{name} did not start: see {out / name}.log")
    return line.split()[-1]


def start_gateway(stack: ExitStack, out: Path, upstream: str, tracing: Sequence[str]) -> tuple[str, str]:
    """Start Caddy on two free ports, on others if it cannot; returns the URLs of the gateway and its admin API."""
    for _ in range(2):
        ports = free_ports()
        listen, admin = (f"127.0.0.1:{port}" for port in ports)
        arguments = (
            "--listen",
            listen,
            "--admin",
            admin,
            "--host",
            HOST,
            "--upstream",
            upstream.removeprefix("http://"),
            *tracing,
        )
        process = stack.enter_context(running("gateway", *arguments, out=out))
        if became_ready(process, f"http://{listen}"):
            return f"http://{listen}", f"http://{admin}"
    raise SystemExit(f"the gateway did not start: see {out / 'gateway.log'}")


def free_ports() -> tuple[int, int]:
    """Two ports that the kernel says are free now."""
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


def became_ready(process: subprocess.Popen[bytes], url: str) -> bool:
    """Wait until a server answers; False when it ended or takes too long."""
    end = time.monotonic() + STARTING_SECONDS
    while process.poll() is None and time.monotonic() < end:
        try:
            fetch(url)
        except OSError:
            time.sleep(0.02)
        else:
            return True
    return False


def fetch(url: str) -> bytes:
    """GET over a connection of its own. Raises OSError."""
    with urllib.request.urlopen(url, timeout=STARTING_SECONDS) as answer:
        body: bytes = answer.read()
        return body


def start_servers(stack: ExitStack, out: Path, variant: Variant, zipkin: str | None) -> Addresses:
    """Start all three, from the innermost outwards."""
    tracing = ["--zipkin", zipkin] if zipkin else []
    users = start_service(stack, out, "user_service", *tracing)
    gateway, admin = start_gateway(stack, out, users, tracing)
    shop = start_service(stack, out, "shop", "--upstream", gateway, "--host", HOST, *variant.shop, *tracing)
    return Addresses(shop, gateway, admin)


def run_pipeline(stopping: Stopping, addresses: Addresses, out: Path, variant: Variant, zipkin: str | None) -> int:
    """Run the shipped Pipeline with the project's own runner; returns its exit code."""
    params = {
        "experiment": json.dumps(experiment(variant.percentage)),
        "target-service-url": addresses.shop,
        "waf-driver": "caddy",
        "waf-url": addresses.admin,
        "probe-url": addresses.gateway,
        "baseline-duration": "10s",
        "recovery-duration": "10s",
        "ledger": ledger_name(out),
        "zipkin-url": zipkin or "",
    }
    arguments = [text for name, value in params.items() for text in ("-p", f"{name}={value}")]
    arguments += ["-w", f"shared-data={out}"]
    runner = subprocess.Popen(
        [sys.executable, "-m", "chaos_steps", "chaos-steps", "run", "chaos-experiment", *arguments],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    return stopping.wait_for(runner)


def ledger_name(out: Path) -> str:
    """A ledger of the demo's own: its servers are gone when it ends, so nobody else could settle its claims."""
    return f"file:{out / 'ledger'}"


def what_is_left(addresses: Addresses, before: bytes, out: Path) -> list[str]:
    """What the run has left behind, in words; nothing, if all is well."""
    left = [f"claim {claim.id}" for claim in open_ledger(ledger_name(out)).claims()]
    try:
        if fetch(f"{addresses.admin}/config/") != before:
            left.append("a change in the gateway's configuration")
    except OSError as error:
        left.append(f"what the gateway holds: it does not answer ({error})")
    return left


def tell(out: Path, left: list[str]) -> None:
    """Print the verdict, what is left, and where the report is."""
    if left:
        print(f"left behind: {', '.join(left)}")
    else:
        print("nothing is left: no chaos rule in the gateway, no claim in the ledger")
    verdict, report = out / "report/verdict.json", out / "report/report.html"
    if verdict.exists():
        document = json.loads(verdict.read_bytes())
        print(f"verdict: {document['verdict']}")
        for reason in document["reasons"]:
            print(f"  {reason['subject']}: {reason['message']}")
    if report.exists():
        print(f"report: {report}")


def main() -> int:
    """Run the demo and return its exit code."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="demo/run", description=__doc__, formatter_class=formatter)
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument(
        "--brittle",
        dest="variant",
        action="store_const",
        const=BRITTLE,
        default=RESILIENT,
        help="shop without retries: the experiment fails",
    )
    kind.add_argument(
        "--breaker",
        dest="variant",
        action="store_const",
        const=BREAKER,
        help="shop with a circuit breaker and a fallback, and most of its calls fail",
    )
    zipkin_option(parser)
    parser.add_argument("--out", type=Path, help="folder for data and report (default: a new one in demo/out)")
    arguments = parser.parse_args()
    out: Path = (arguments.out or HERE / "out" / time.strftime("%Y%m%d-%H%M%S")).absolute()
    out.mkdir(parents=True, exist_ok=True)

    stopping = Stopping()
    with ExitStack() as stack:
        addresses = start_servers(stack, out, arguments.variant, arguments.zipkin)
        for name, url in addresses._asdict().items():
            print(f"{name}: {url}", flush=True)
        before = fetch(f"{addresses.admin}/config/")
        if stopping.requested is not None:
            return 128 + stopping.requested
        code = run_pipeline(stopping, addresses, out, arguments.variant, arguments.zipkin)
        left = what_is_left(addresses, before, out)
        tell(out, left)
    return FAULT_LEFT if left else code


if __name__ == "__main__":
    raise SystemExit(main())
