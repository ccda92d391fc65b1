"""`run_command` and `start_command`: what they promise to the other tests."""

from __future__ import annotations

import pytest

from tests.conftest import RunCommand
from tests.running import Finished, check_documented

EXPERIMENT = """
experimentName: shop
fault: {type: L7_HTTP_ERROR, targetHost: users, errorCode: 503, percentage: 10}
durationSeconds: 10
load: {rps: 5}
"""


def test_results_are_what_the_command_printed_as_json(run_command: RunCommand) -> None:
    finished = run_command("experiment-check", "--experiment", EXPERIMENT)
    assert (finished.code, finished.results["experiment-name"]) == (0, "shop")


def test_output_that_is_no_json_has_no_results(run_command: RunCommand) -> None:
    finished = run_command("experiment-check", "--help")
    with pytest.raises(AssertionError, match="no JSON"):
        _ = finished.results


def test_nothing_of_the_callers_environment_reaches_the_command(
    run_command: RunCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARAM_EXIT_CODE", "5")
    monkeypatch.setenv("PARAM_VERDICT", "inconclusive")
    assert run_command("verdict-gate").code == 2


def test_what_a_test_sets_reaches_the_command(run_command: RunCommand) -> None:
    environment = {"PARAM_EXIT_CODE": "5", "PARAM_VERDICT": "inconclusive"}
    assert run_command("verdict-gate", env=environment).code == 5


@pytest.mark.parametrize("code", [70, 42])
def test_an_exit_code_that_is_not_documented_fails_the_test(code: int) -> None:
    with pytest.raises(AssertionError, match="documented"):
        check_documented(("verdict-gate",), Finished(code, "", ""))
