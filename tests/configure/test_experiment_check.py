"""experiment-check: an experiment in a file or inline."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import jsonschema
import pytest

from chaos_steps.experiment import json_schema
from tests.conftest import RunCommand

JSON = """{"experimentName": "e", "fault": {"type": "POD_KILL", "namespace": "n", "selector": "a=b", "count": 1},
  "durationSeconds": 60, "load": {"rps": 5}}"""
YAML = """
experimentName: e
fault: {type: POD_KILL, namespace: n, selector: a=b, count: 1}
durationSeconds: 60
load: {rps: 5}
"""


def expected(text: str, enabled: str = "true") -> dict[str, str]:
    return {
        "experiment-name": "e",
        "enabled": enabled,
        "fault-type": "POD_KILL",
        "modify-index": "",
        "config-sha256": hashlib.sha256(text.encode()).hexdigest(),
    }


@pytest.mark.parametrize("text", [JSON, YAML], ids=["JSON", "YAML"])
def test_an_inline_experiment_is_handed_on(text: str, tmp_path: Path, run_command: RunCommand) -> None:
    finished = run_command(
        *("experiment-check", "--workspace", tmp_path, "--run", "run-1"), env={"PARAM_EXPERIMENT": text}
    )
    assert finished.code == 0, finished.stderr
    assert finished.results == expected(text)
    document = json.loads((tmp_path / "experiment.json").read_bytes())
    assert (document["run"], document["fault"]["count"]) == ("run-1", 1)
    assert document["source"]["sha256"] == expected(text)["config-sha256"]


@pytest.mark.parametrize("text", [JSON, YAML], ids=["JSON", "YAML"])
def test_a_file_is_checked(text: str, tmp_path: Path, run_command: RunCommand) -> None:
    file = tmp_path / "e.yaml"
    file.write_text(text)
    assert run_command("experiment-check", "--config", file).results == expected(text)


def test_a_disabled_experiment_is_fine(run_command: RunCommand) -> None:
    text = f"{YAML}enabled: false\n"
    finished = run_command("experiment-check", "--experiment", text)
    assert (finished.code, finished.results) == (0, expected(text, "false"))
    assert "the run will touch nothing" in finished.stderr


def test_an_inline_mistake_is_named_by_its_path_and_nothing_is_written(tmp_path: Path, run_command: RunCommand) -> None:
    finished = run_command("experiment-check", "--experiment", f"{YAML}lode: 1\n", "--workspace", tmp_path)
    assert finished.code == 2
    assert "--experiment: $.lode is not a known field; did you mean load?" in finished.stderr
    assert not (tmp_path / "experiment.json").exists()


def test_a_mistake_in_a_file_names_the_file(tmp_path: Path, run_command: RunCommand) -> None:
    file = tmp_path / "e.json"
    file.write_text(JSON.replace("60", "-1"))
    finished = run_command("experiment-check", "--config", file)
    assert finished.code == 2
    assert f"{file}: $.durationSeconds: expected a number > 0, got -1" in finished.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "no experiment"),
        (("--experiment", JSON, "--config", "e.json"), "both --experiment and --config"),
        (("--config", "missing.json"), "cannot read the experiment missing.json: No such file"),
        (("--workspace", "."), "cannot read the experiment experiment.json: No such file"),
    ],
)
def test_without_one_experiment_it_is_a_usage_error(
    run_command: RunCommand, arguments: tuple[str, ...], message: str
) -> None:
    finished = run_command("experiment-check", *arguments)
    assert finished.code == 2
    assert message in finished.stderr


def test_the_schema_is_printed_and_nothing_else(run_command: RunCommand) -> None:
    finished = run_command("experiment-check", "--print-schema")
    assert finished.code == 0
    schema = json.loads(finished.stdout)
    assert schema == json_schema()
    jsonschema.validate(json.loads(JSON), schema)
