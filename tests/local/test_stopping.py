"""SIGTERM and Ctrl-C: what runs is stopped once, `finally` follows whatever happens."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from tests.local.tekton_folder import TektonFolder, gate, probe
from tests.running import Running
from tests.servers.upstream import Reply, Request, Upstream
from tests.waiting import wait_until

Start = Callable[..., Running]


@pytest.fixture
def gateway(upstream: Upstream) -> Iterator[threading.Event]:
    """Requests to /last are answered when this is set."""
    opened = threading.Event()

    def answer(request: Request) -> Reply:
        if request.path == "/last":
            opened.wait(20)
        return Reply()

    upstream.respond = answer
    yield opened
    opened.set()


def asked(upstream: Upstream, path: str) -> int:
    """How often a path was asked for."""
    return sum(request.path == path for request in upstream.requests)


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 143)])
def test_a_signal_stops_what_runs_and_finally_follows(
    folder: TektonFolder, start_small: Start, upstream: Upstream, signum: int, code: int
) -> None:
    folder.pipeline(
        probe("long", f"{upstream.url}/long", checks=100_000, retries=2),
        gate("after", runAfter=["long"]),
        final=(probe("last", f"{upstream.url}/last"),),
    )
    running = start_small()
    wait_until(lambda: asked(upstream, "/long"), "the first request")
    # As a terminal does it: to the whole group of the runner.
    running.signal_group(signum)
    finished = running.wait()
    assert finished.code == code
    assert re.search(r"^long: Failed .*exit code 143$", finished.stderr, re.MULTILINE), finished.stderr
    assert "after: skipped" in finished.stderr
    assert asked(upstream, "/last") == 1


def test_a_second_signal_does_not_reach_finally(
    folder: TektonFolder, start_small: Start, upstream: Upstream, gateway: threading.Event
) -> None:
    last = {**probe("last", f"{upstream.url}/last", params={"timeout-ms": "20000"})}
    folder.pipeline(probe("long", f"{upstream.url}/long", checks=100_000), final=(last,))
    running = start_small()
    wait_until(lambda: asked(upstream, "/long"), "the first request")
    running.signal_group(signal.SIGINT)
    wait_until(lambda: asked(upstream, "/last"), "the request of finally")
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        running.signal_group(signum)
    gateway.set()
    finished = running.wait()
    assert finished.code == 130
    assert "last: Succeeded" in finished.stderr


def test_a_signal_during_finally_lets_it_come_to_its_end(
    folder: TektonFolder, start_small: Start, upstream: Upstream, gateway: threading.Event
) -> None:
    last = {**probe("last", f"{upstream.url}/last", params={"timeout-ms": "20000"})}
    folder.pipeline(gate("good"), final=(last,))
    running = start_small()
    wait_until(lambda: asked(upstream, "/last"), "the request of finally")
    running.signal_group(signal.SIGTERM)
    gateway.set()
    finished = running.wait()
    assert finished.code == 143
    assert "last: Succeeded" in finished.stderr


def test_finally_runs_although_nobody_listens_any_more(
    folder: TektonFolder, command_environment: dict[str, str], upstream: Upstream
) -> None:
    folder.pipeline(probe("long", f"{upstream.url}/long", checks=40), final=(probe("last", f"{upstream.url}/last"),))
    process = subprocess.Popen(
        [sys.executable, "-m", "chaos_steps", "chaos-steps", "run", "small", "--tekton-dir", str(folder.path)],
        env=command_environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    wait_until(lambda: asked(upstream, "/long"), "the first request")
    for pipe in (process.stdout, process.stderr):
        assert pipe is not None
        pipe.close()
    assert process.wait(120) == 0
    assert asked(upstream, "/last") == 1
