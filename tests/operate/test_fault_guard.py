"""fault-guard: what it finds before the run does."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from chaos_steps.ledger.file import FileLedger
from tests.conftest import RunCommand
from tests.effects import run_job
from tests.places import RestPlace

EXPERIMENT = {
    "experimentName": "x",
    "fault": {"type": "L7_HTTP_ERROR", "targetHost": "a.svc", "errorCode": 503, "percentage": 10},
    "durationSeconds": 120,
    "load": {"rps": 50},
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "experiment.json"
    path.write_text(json.dumps(EXPERIMENT))
    return path


def test_an_experiment_within_everything_passes(run_command: RunCommand, config: Path) -> None:
    options = ("--fault-types", "TOXIC, L7_HTTP_ERROR", "--max-experiment-duration", "2m")
    done = run_command("fault-guard", "--config", config, *options)
    assert done.code == 0, done.stderr


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--fault-types", "TOXIC,POD_KILL"), "L7_HTTP_ERROR"),
        (("--max-experiment-duration", "119s"), "119"),
    ],
)
def test_what_the_pipeline_has_no_room_for_is_2(
    run_command: RunCommand, config: Path, options: tuple[str, ...], named: str
) -> None:
    done = run_command("fault-guard", "--config", config, *options)
    assert done.code == 2
    assert named in done.stderr


@pytest.mark.parametrize(
    ("limits", "named"),
    [("maxPercentage: 5", "percentage"), ("maxDuration: 1m", "duration"), ("allowedHosts: [b.svc]", "a.svc")],
)
def test_what_the_limits_forbid_is_4(
    run_command: RunCommand, config: Path, tmp_path: Path, limits: str, named: str
) -> None:
    (tmp_path / "limits.yaml").write_text(limits)
    done = run_command("fault-guard", "--config", config, "--limits", tmp_path)
    assert done.code == 4
    assert named in done.stderr


def test_a_closed_run_is_4(run_command: RunCommand, config: Path, tmp_path: Path) -> None:
    FileLedger(tmp_path / "ledger").mark("r-1", "closed")
    done = run_command("fault-guard", "--config", config, "--run", "r-1", "--ledger", f"file:{tmp_path}/ledger")
    assert done.code == 4
    assert "r-1" in done.stderr


def test_an_expired_claim_is_4_and_names_the_sweep(run_command: RunCommand, config: Path, place: RestPlace) -> None:
    run_job(place.inject("x", "apply", "--duration", "1m"), place.folder / "apply")
    ledger = place.ledger("x")
    options = ("--config", config, "--ledger", ledger.describe())
    assert run_command("fault-guard", *options).code == 0
    ledger.renew(ledger.claims()[0], time.time() - 1)
    done = run_command("fault-guard", *options)
    assert done.code == 4
    assert "run-x" in done.stderr
    assert f"fault-sweep --ledger {ledger.describe()}" in done.stderr


def test_without_an_experiment_it_is_2(run_command: RunCommand) -> None:
    done = run_command("fault-guard")
    assert done.code == 2
    assert "--config" in done.stderr
