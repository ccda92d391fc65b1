"""Fixtures that all tests share: the real servers, and running a command.

A server whose program is missing fails the test, and says how to get it. No test is ever skipped.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import pytest
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

from tests.running import Finished, Running, clean_environment
from tests.servers.caddy import Caddy
from tests.servers.consul import Consul
from tests.servers.kubernetes import Kubernetes
from tests.servers.nginx_waf import NginxWaf
from tests.servers.program import find_program
from tests.servers.upstream import Upstream
from tests.servers.zipkin import Zipkin

PARTED = (
    "tests/model/test_model.py",
    "tests/model/test_interleavings.py",
    "tests/inject/test_waf_inject_effects.py",
)
"""Files whose tests are so long that workers share them; they need nothing of one another."""

FIRST = ("tests/demo/test_demo.py", "tests/local/test_experiment_from_consul.py", *PARTED)
"""What takes longest, begun first, so that at the end no worker is left alone with it."""

settings.register_profile("without a deadline", deadline=None)  # Tests hold no thresholds of speed.
settings.load_profile("without a deadline")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Twice the number of cores, since most tests wait; at most 8: each has servers of its own, about a gigabyte."""
    return min(2 * len(os.sched_getaffinity(0)), 8)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """For --dist loadfile: a worker takes all tests of a file, so that what a module shares is made once."""
    if config.getoption("dist") != "loadfile":
        return None
    scheduling = LoadFileScheduling(config, log)
    file_of = scheduling._split_scope
    scheduling._split_scope = lambda nodeid: nodeid if file_of(nodeid) in PARTED else file_of(nodeid)
    return scheduling


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put first what takes longest."""
    places = {file: place for place, file in enumerate(FIRST)}
    items.sort(key=lambda item: places.get(item.nodeid.partition("::")[0], len(FIRST)))


@pytest.fixture(scope="session")
def upstream_server() -> Iterator[Upstream]:
    """The service behind the gateways, one for all tests; tests take `upstream`."""
    with Upstream() as upstream:
        yield upstream


@pytest.fixture(scope="session")
def consul_server() -> Iterator[Consul]:
    """One Consul for all tests; tests take `consul`."""
    with Consul() as consul:
        yield consul


@pytest.fixture(scope="session")
def caddy_server(upstream_server: Upstream) -> Iterator[Caddy]:
    """One Caddy for all tests; tests take `caddy`."""
    with Caddy(upstream_server.address) as caddy:
        yield caddy


@pytest.fixture(scope="session")
def nginx_waf_server(upstream_server: Upstream) -> Iterator[NginxWaf]:
    """One WAF for all tests; tests take `nginx_waf`."""
    with NginxWaf(upstream_server.address) as waf:
        yield waf


@pytest.fixture(scope="session")
def zipkin() -> Iterator[Zipkin]:
    """One Zipkin for all tests, which tell their traces apart by service names of their own."""
    with Zipkin() as zipkin:
        yield zipkin


@pytest.fixture(scope="session")
def kubernetes() -> Iterator[Kubernetes]:
    """One API server for all tests, each of which uses a namespace of its own."""
    with Kubernetes() as kubernetes:
        yield kubernetes


@pytest.fixture
def upstream(upstream_server: Upstream) -> Upstream:
    """A plain HTTP service: answers 200, counts, and does what the test says. As new."""
    upstream_server.reset()
    return upstream_server


@pytest.fixture
def consul(consul_server: Consul) -> Consul:
    """A real Consul with ACLs and no keys."""
    consul_server.delete()
    return consul_server


@pytest.fixture
def caddy(caddy_server: Caddy, upstream: Upstream) -> Caddy:
    """A real Caddy in front of `upstream`, with its first configuration."""
    caddy_server.reset()
    return caddy_server


@pytest.fixture
def nginx_waf(nginx_waf_server: NginxWaf, upstream: Upstream) -> NginxWaf:
    """A real programmable WAF in front of `upstream`, without rules."""
    nginx_waf_server.reset()
    return nginx_waf_server


@pytest.fixture(scope="session")
def k6_binary() -> Path:
    """The real k6."""
    return find_program("k6")


@pytest.fixture(scope="session")
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The caches of what commands import (fonts), made once for all tests."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def command_environment(tmp_path: Path, cache_folder: Path) -> dict[str, str]:
    """The environment that `run_command` and `start_command` give: home and state are folders of this test."""
    home, state = tmp_path / "home", tmp_path / "state"
    home.mkdir()
    return clean_environment(home, state, cache_folder)


class StartCommand(Protocol):
    """What `start_command` is: start a command, and go on while it runs."""

    def __call__(
        self,
        *arguments: str | Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: str | None = None,
    ) -> Running: ...


class RunCommand(Protocol):
    """What `run_command` is: run a command to its end."""

    def __call__(
        self,
        *arguments: str | Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: str | None = None,
        timeout: float = 180.0,
    ) -> Finished: ...


@pytest.fixture
def start_command(tmp_path: Path, command_environment: dict[str, str]) -> Iterator[StartCommand]:
    """Start `python -m chaos_steps NAME ...`; `env` is added to the clean environment. Ended after the test."""
    started: list[Running] = []
    numbers = itertools.count()

    def start(
        *arguments: str | Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: str | None = None,
    ) -> Running:
        folder = tmp_path / f"command-{next(numbers)}"
        folder.mkdir()
        texts = tuple(str(argument) for argument in arguments)
        started.append(Running(texts, {**command_environment, **(env or {})}, cwd or tmp_path, folder, stdin))
        return started[-1]

    yield start
    for running in started:
        running.kill()


@pytest.fixture
def run_command(start_command: StartCommand) -> RunCommand:
    """Run `python -m chaos_steps NAME ...` and return its exit code and output; the code must be a documented one."""

    def run(
        *arguments: str | Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: str | None = None,
        timeout: float = 180.0,
    ) -> Finished:
        return start_command(*arguments, env=env, cwd=cwd, stdin=stdin).wait(timeout)

    return run
