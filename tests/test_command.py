"""What all commands share: where an option's value comes from, results, error records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunCommand
from tests.servers.nginx_waf import NginxWaf

GUARD = ("fault-guard", "--max-experiment-duration", "10m")


def experiment(tmp_path: Path, name: str = "experiment.json", **changes: Any) -> Path:
    path = tmp_path / name
    document = {
        "experimentName": "x",
        "fault": {"type": "L7_HTTP_ERROR", "targetHost": "file.svc", "errorCode": 503, "percentage": 10},
        "durationSeconds": 60,
        "load": {"rps": 50},
        **changes,
    }
    path.write_text(json.dumps(document))
    return path


@pytest.fixture
def waf_environment(nginx_waf: NginxWaf) -> dict[str, str]:
    return {"WAF_ADMIN_API_URL": nginx_waf.admin_url, "WAF_ADMIN_API_TOKEN": nginx_waf.token}


def host_of(nginx_waf: NginxWaf) -> str:
    (rule,) = nginx_waf.rules().values()
    host: str = rule["match"]["host"]
    return host


@pytest.mark.parametrize(
    ("option", "parameter", "expected"),
    [
        ("option.svc", "param.svc", "option.svc"),
        (None, "param.svc", "param.svc"),
        (None, None, "file.svc"),
        (None, "", "file.svc"),
        ("", "param.svc", "param.svc"),
        ("", "", "file.svc"),
    ],
)
def test_an_option_comes_before_its_param_variable_and_that_before_the_experiment_and_empty_is_unset(
    run_command: RunCommand,
    nginx_waf: NginxWaf,
    waf_environment: dict[str, str],
    tmp_path: Path,
    option: str | None,
    parameter: str | None,
    expected: str,
) -> None:
    options = () if option is None else ("--target-host", option)
    env = waf_environment if parameter is None else {**waf_environment, "PARAM_TARGET_HOST": parameter}
    done = run_command("waf-inject", "--config", experiment(tmp_path), *options, env=env)
    assert done.code == 0, done.stderr
    assert host_of(nginx_waf) == expected


def test_a_param_variable_comes_before_a_well_known_one(
    run_command: RunCommand, nginx_waf: NginxWaf, waf_environment: dict[str, str], tmp_path: Path
) -> None:
    env = {**waf_environment, "PARAM_WAF_URL": "http://127.0.0.1:9"}
    done = run_command("waf-inject", "--config", experiment(tmp_path), env=env)
    assert done.code == 3
    assert "127.0.0.1:9" in done.stderr


def test_the_experiment_is_found_in_the_workspace_unless_a_file_is_named(
    run_command: RunCommand, nginx_waf: NginxWaf, waf_environment: dict[str, str], tmp_path: Path
) -> None:
    experiment(tmp_path)
    fault = {"type": "L7_HTTP_ERROR", "targetHost": "named.svc", "errorCode": 503, "percentage": 10}
    named = experiment(tmp_path, "other.json", fault=fault)
    for options, host in (((), "file.svc"), (("--config", named), "named.svc")):
        done = run_command("waf-inject", "--workspace", tmp_path, *options, env=waf_environment)
        assert done.code == 0, done.stderr
        assert host_of(nginx_waf) == host
        nginx_waf.reset()


def test_the_experiment_of_another_run_counts_as_missing_and_is_an_error_when_it_was_named(
    run_command: RunCommand, tmp_path: Path
) -> None:
    path = experiment(tmp_path, run="other")
    missing = run_command(*GUARD, "--workspace", tmp_path, "--run", "mine")
    assert missing.code == 2
    assert "no experiment" in missing.stderr
    named = run_command(*GUARD, "--config", path, "--run", "mine")
    assert named.code == 2
    assert "other" in named.stderr
    assert run_command(*GUARD, "--config", path, "--run", "other").code == 0


@pytest.mark.parametrize(
    ("content", "named"), [("{", "experiment.json"), ('{"experimentName": 1}', "experimentName"), (None, "cannot read")]
)
def test_an_experiment_that_cannot_be_used_is_2(
    run_command: RunCommand, tmp_path: Path, content: str | None, named: str
) -> None:
    path = tmp_path / "experiment.json"
    if content is not None:
        path.write_text(content)
    done = run_command(*GUARD, "--config", path)
    assert done.code == 2
    assert named in done.stderr


@pytest.mark.parametrize("source", ["option", "param", "taskrun", "none"])
def test_the_run_is_the_option_or_the_param_or_the_taskrun_or_a_new_one(run_command: RunCommand, source: str) -> None:
    env = {"CHAOS_TASKRUN_UID": "of-taskrun"} if source != "none" else {}
    if source in ("option", "param"):
        env["PARAM_RUN"] = "of-param"
    done = run_command(
        *("waf-inject", "--target-host", "x", "--status-code", "503", "--percentage", "1", "--ttl", "1m"),
        *("--waf-url", "http://127.0.0.1:9"),
        *(("--run", "of-option") if source == "option" else ()),
        env=env,
    )
    assert done.code == 3
    run = done.results["run"]
    assert run == f"of-{source}" if source != "none" else len(run) == 36


def test_results_go_to_their_files_without_newline_and_stdout_stays_empty(
    run_command: RunCommand, tmp_path: Path
) -> None:
    env = {"RESULT_REVERTED": str(tmp_path / "reverted"), "RESULT_REMAINING": str(tmp_path / "remaining")}
    done = run_command("fault-revert", "--run", "r-1", env=env)
    assert (done.code, done.stdout) == (0, "")
    assert {name: (tmp_path / name).read_text() for name in ("reverted", "remaining")} == {
        "reverted": "0",
        "remaining": "0",
    }


def test_without_files_results_are_one_json_object_of_texts_on_stdout(run_command: RunCommand) -> None:
    done = run_command("fault-revert", "--run", "r-1")
    assert done.stdout == '{"reverted": "0", "remaining": "0"}\n'


@pytest.mark.parametrize("options", [("--run", "r-1"), ("--no-such-option",), ("--run", "a/b")])
def test_results_are_written_on_failure_too(run_command: RunCommand, tmp_path: Path, options: tuple[str, ...]) -> None:
    env = {"RESULT_STATE": str(tmp_path / "state"), "RESULT_RUN": str(tmp_path / "run")}
    assert run_command("waf-inject", *options, env=env).code == 2
    assert (tmp_path / "state").read_text() == ""
    assert (tmp_path / "run").exists()


def test_a_failure_leaves_a_record_in_the_workspace(run_command: RunCommand, tmp_path: Path) -> None:
    done = run_command(*GUARD, "--workspace", tmp_path, "--run", "r-1", "--name", "early")
    assert done.code == 2
    record = json.loads((tmp_path / "errors" / "early.json").read_text())
    assert (record["run"], record["name"], record["exitCode"]) == ("r-1", "early", 2)
    assert "no experiment" in record["message"]


def test_a_mistake_in_the_options_leaves_a_record_too(run_command: RunCommand, tmp_path: Path) -> None:
    done = run_command("fault-guard", "--workspace", tmp_path, "--run", "r-1", "--max-experiment-duration", "soon")
    assert done.code == 2
    assert "soon" in json.loads((tmp_path / "errors" / "fault-guard.json").read_text())["message"]


def test_success_leaves_no_record(run_command: RunCommand, tmp_path: Path) -> None:
    experiment(tmp_path)
    assert run_command(*GUARD, "--workspace", tmp_path, "--run", "r-1").code == 0
    assert not (tmp_path / "errors").exists()


def test_logs_are_json_lines_where_there_is_no_terminal_and_text_when_asked(run_command: RunCommand) -> None:
    lines = run_command("fault-revert", "--run", "r-1").stderr.splitlines()
    parsed = [json.loads(line) for line in lines]
    assert parsed
    assert all({"time", "level", "command", "message"} <= set(line) for line in parsed)
    text = run_command("fault-revert", "--run", "r-1", "--log-format", "text").stderr
    assert "warning: ledger" in text or "remaining 0" in text
    assert "{" not in text
