"""docs/traces.md: its commands print what it says they print."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from chaos_steps.stats import order_statistic_interval
from tests.conftest import RunCommand
from tests.judge.zipkin_slo.traffic import Traffic
from tests.servers.zipkin import Zipkin

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs" / "traces.md").read_text()
URL = "http://localhost:9411"


def shop_behind_a_gateway() -> Traffic:
    """1000 requests to a shop that calls a user service through a gateway, which answers each tenth call with 503.

    The shop calls once more, and gives up when that fails too. All of it two hours ago, where no other test looks.
    """
    made = Traffic(service="shop")
    made.start_ms -= 2 * 3600 * 1000
    for number in range(1000):
        at_ms = 60 * number
        trace_id, root_id, _ = made.ids()
        aborted = (number % 10 == 0) + (number % 100 == 0)  # Calls; each tenth of the second calls is aborted too.
        outcomes = [False] * aborted + [True] * (aborted < 2)
        duration = 20_000 + 40 * number
        failed = outcomes[-1] is False
        made.spans.append(made.span(trace_id, root_id, "SERVER", at_ms, duration, failed=failed))
        for call, answered in enumerate(outcomes):
            _, call_id, span_id = made.ids()
            call_ms, call_us = at_ms + 1 + 4 * call, duration // 2 if answered else 3000
            status: dict[str, Any] = {} if answered else {"tags": {"error": "503", "http.status_code": "503"}}
            remote: dict[str, Any] = {"remoteEndpoint": {"serviceName": "user-service"}, "parentId": root_id}
            made.spans.append(made.span(trace_id, call_id, "CLIENT", call_ms, call_us, **remote, **status))
            if answered:
                behind: dict[str, Any] = {"service": "user-service", "parentId": call_id}
                made.spans.append(made.span(trace_id, span_id, "SERVER", call_ms + 1, call_us - 2000, **behind))
    return made


def consoles() -> list[tuple[str, str]]:
    """Each command of the guide with what it printed."""
    blocks = re.findall(r"^    \$ ((?:.*\\\n)*.*)\n((?:    .*\n)*)", GUIDE, re.MULTILINE)
    return [(command, re.sub("^    ", "", printed, flags=re.MULTILINE)) for command, printed in blocks]


def test_its_commands_print_what_it_says(zipkin: Zipkin, run_command: RunCommand, tmp_path: Path) -> None:
    made = shop_behind_a_gateway()
    zipkin.post(made.spans)
    example = re.search(r'^    \{"experimentName".*?\}\}$', (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert example
    (tmp_path / "experiment.json").write_text(example[0])
    start, end = made.window[1::2]
    seen = []
    for command, printed in consoles():
        words = shlex.split(
            command.replace("\\\n", "").replace(URL, zipkin.url).replace("$START", start).replace("$END", end)
        )
        finished = run_command(*words, env={"PARAM_LOG_FORMAT": "text"}, cwd=tmp_path)
        log = re.sub(r"^\d\d:\d\d:\d\d ", "", finished.stderr, flags=re.MULTILINE)
        *lines, results, code = printed.splitlines()
        assert " ".join(log.split()).endswith(" ".join(" ".join(lines).split()))
        assert finished.results == json.loads(results)
        assert code == f"exit code {finished.code}"
        seen.append(finished.code)
    assert seen == [0, 5, 1, 0]


def test_its_options_are_those_of_the_command(run_command: RunCommand) -> None:
    options = set(re.findall(r"--[a-z][a-z\d-]+", re.sub("`docker.*?`", "", GUIDE)))
    shown = set(re.findall(r"--[a-z][a-z\d-]+", run_command("zipkin-slo", "--help").stdout))
    assert {"--side", "--max-success-drop"} <= options <= shown


@pytest.mark.parametrize("more", [0, -1])
def test_a_p99_below_its_limit_takes_as_many_requests_as_it_says(more: int) -> None:
    said = re.search(r"at least (\d+) requests", GUIDE)
    assert said
    _, upper = order_statistic_interval(int(said[1]) + more, 0.99, 0.95)
    assert (upper is None) == (more < 0)
