from __future__ import annotations

import itertools

import pytest

from chaos_steps.__main__ import main
from tests.conftest import RunCommand

GOING_TOGETHER = {
    ("pass", 0),
    ("disabled", 0),
    ("fail", 1),
    ("inconclusive", 5),
    *(("invalid", code) for code in (2, 3, 4, 6, 7)),
}
WORDS = ("pass", "fail", "inconclusive", "invalid", "disabled")


@pytest.mark.parametrize(("verdict", "code"), sorted(GOING_TOGETHER))
def test_it_ends_with_the_reports_code(
    verdict: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["verdict-gate", "--verdict", verdict, "--exit-code", str(code)])
    assert main() == code
    said = capsys.readouterr()
    assert f"verdict is {verdict}" in said.err
    assert len(said.err.splitlines()) == 1
    assert said.out == ""


@pytest.mark.parametrize(
    ("verdict", "code"), sorted(set(itertools.product(WORDS, (-1, *range(9), 70, 143))) - GOING_TOGETHER)
)
def test_a_verdict_and_a_code_that_do_not_belong_together_end_with_2(
    verdict: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["verdict-gate", f"--verdict={verdict}", f"--exit-code={code}"])
    assert main() == 2


@pytest.mark.parametrize(
    ("verdict", "code"), [("", ""), ("pass", ""), ("", "0"), ("green", "0"), ("pass", "zero"), ("pass", "0.0")]
)
def test_empty_or_foreign_input_ends_with_2(run_command: RunCommand, verdict: str, code: str) -> None:
    finished = run_command("verdict-gate", env={"PARAM_VERDICT": verdict, "PARAM_EXIT_CODE": code})
    assert finished.code == 2


def test_a_task_hands_both_results_on_by_its_params(run_command: RunCommand) -> None:
    finished = run_command("verdict-gate", env={"PARAM_VERDICT": "invalid", "PARAM_EXIT_CODE": "6"})
    assert finished.code == 6
