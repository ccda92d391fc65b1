"""The whole command, on real workspaces and real ledgers."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from chaos_steps import __version__
from chaos_steps.ledger import open_ledger
from chaos_steps.ledger.protocol import Ledger
from chaos_steps.operate.experiment_report.document import Report
from chaos_steps.workspace import Workspace
from tests.conftest import RunCommand
from tests.operate.experiment_report.runs import (
    ACTIVE,
    ENDED,
    EXPECTED,
    RUN,
    claim,
    error,
    experiment,
    fill_workspace,
    verdict,
)
from tests.running import Finished

FILES = ("junit.xml", "report.html", "report.md", "verdict.json")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """A ledger with the run record of a run that happened."""
    found = open_ledger(f"file:{tmp_path / 'ledger'}")
    found.mark(RUN, "load-ready")
    found.mark(RUN, "fault-active", reason="503 for 10 %", details=ACTIVE)
    found.mark(RUN, "load-started")
    found.mark(RUN, "load-done")
    found.mark(RUN, "fault-ended", reason="the load is done", details=ENDED)
    return found


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """The workspace of a run that passed."""
    return fill_workspace(tmp_path / "workspace")


class Reporter:
    """Runs experiment-report on one workspace and ledger."""

    def __init__(self, run_command: RunCommand, workspace: Workspace, ledger: Ledger) -> None:
        self._run_command, self._workspace, self._ledger = run_command, workspace, ledger

    def __call__(self, *more: str, run: str = RUN, expect: str = "steady-state,client,recovery") -> Finished:
        fixed = ("--workspace", str(self._workspace.root), "--ledger", self._ledger.describe(), "--run", run)
        return self._run_command("experiment-report", *fixed, "--expect", expect, *more)

    @property
    def report(self) -> Report:
        """verdict.json, which must be a document of its published form."""
        return msgspec.json.decode((self._workspace.root / "report/verdict.json").read_bytes(), type=Report)


@pytest.fixture
def reporter(run_command: RunCommand, workspace: Workspace, ledger: Ledger) -> Reporter:
    return Reporter(run_command, workspace, ledger)


def test_a_run_that_passed_has_four_files_and_two_results(reporter: Reporter, workspace: Workspace) -> None:
    finished = reporter()
    assert (finished.code, finished.results) == (0, {"verdict": "pass", "exit-code": "0"})
    assert sorted(path.name for path in (workspace.root / "report").iterdir()) == list(FILES)
    report = reporter.report
    assert (report.run, report.verdict, report.exit_code, report.reasons) == (RUN, "pass", 0, ())
    assert [window.name for window in report.windows] == ["baseline", "client", "recovery"]
    assert [mark.name for mark in report.marks][1] == "fault-active"
    assert report.fault is not None
    assert report.fault.end_ms is not None
    assert report.fault.start_ms <= report.fault.end_ms
    assert report.experiment is not None
    assert report.experiment["source"]["modifyIndex"] == 4711
    assert str(workspace.root / "report/report.html") in finished.stderr


def test_the_windows_numbers_are_those_of_the_points(reporter: Reporter, workspace: Workspace) -> None:
    assert reporter().code == 0
    client = reporter.report.windows[1]
    points = workspace.read_points("client")
    assert points is not None
    durations = sorted(int(each) for each in points["duration_us"])
    assert client.p99_latency_ms == durations[-(-99 * len(durations) // 100) - 1] / 1000
    failures = sum(not 200 <= status < 400 for status in points["status"])
    assert (client.failures, client.success_rate) == (failures, 1 - failures / len(points))
    assert client.statuses == {"200": len(points) - failures, "503": failures}


def test_the_report_names_the_versions_of_all_that_made_the_loads(reporter: Reporter, workspace: Workspace) -> None:
    for name, version in (("baseline", "v1.1.0"), ("client", "v1.2.0"), ("recovery", "v1.1.0")):
        window = workspace.read_window(name)
        assert window is not None
        workspace.write_window(msgspec.structs.replace(window, versions={"k6": version}))
    assert reporter().code == 0
    assert reporter.report.versions == {
        "chaos-steps": __version__,
        "python": platform.python_version(),
        "k6": "v1.1.0 and v1.2.0",
    }
    assert "k6 v1.1.0 and v1.2.0" in (workspace.root / "report/report.html").read_text()


def test_a_red_verdict_is_a_result_and_the_report_itself_succeeds(reporter: Reporter, workspace: Workspace) -> None:
    workspace.write_json("verdicts/client.json", verdict("client", "fail", message="too slow"))
    finished = reporter()
    assert (finished.code, finished.results) == (0, {"verdict": "fail", "exit-code": "1"})
    assert "client: too slow" in finished.stderr


def test_results_go_to_tektons_files_without_a_line_break(
    run_command: RunCommand, tmp_path: Path, workspace: Workspace, ledger: Ledger
) -> None:
    finished = run_command(
        "experiment-report",
        env={
            "PARAM_WORKSPACE": str(workspace.root),
            "PARAM_RUN": RUN,
            "PARAM_EXPECT": "steady-state,client,recovery,traces",
            "CHAOS_LEDGER": ledger.describe(),
            "RESULT_VERDICT": str(tmp_path / "verdict"),
            "RESULT_EXIT_CODE": str(tmp_path / "code"),
        },
    )
    assert (finished.code, finished.stdout) == (0, "")
    assert ((tmp_path / "verdict").read_text(), (tmp_path / "code").read_text()) == ("invalid", "7")


def test_the_same_run_gives_the_same_bytes(reporter: Reporter, workspace: Workspace) -> None:
    reporter()
    first = {name: (workspace.root / "report" / name).read_bytes() for name in FILES}
    reporter()
    assert {name: (workspace.root / "report" / name).read_bytes() for name in FILES} == first


def test_files_of_another_run_count_as_missing(reporter: Reporter) -> None:
    finished = reporter(run="run-2")
    assert finished.results == {"verdict": "invalid", "exit-code": "7"}
    report = reporter.report
    assert (report.run, report.verdicts, report.windows, report.marks, report.experiment) == ("run-2", (), (), (), None)


@pytest.mark.parametrize("kind", ["verdict", "error"])
def test_a_stale_file_of_another_run_neither_helps_nor_harms(
    reporter: Reporter, workspace: Workspace, kind: str
) -> None:
    stale = Workspace(workspace.root, "run-0")
    if kind == "verdict":
        document = msgspec.structs.replace(verdict("recovery"), run="run-0")
        stale.write_json("verdicts/recovery.json", document)
        expected = {"verdict": "invalid", "exit-code": "7"}
    else:
        stale.write_error(msgspec.structs.replace(error("waf-inject", 6), run="run-0"))
        expected = {"verdict": "pass", "exit-code": "0"}
    assert reporter().results == expected


def test_points_that_their_window_does_not_vouch_for_are_not_shown(reporter: Reporter, workspace: Workspace) -> None:
    path = workspace.points_path("client")
    path.write_bytes(path.read_bytes()[:-1] + b"\x07")
    assert reporter().code == 0
    client = reporter.report.windows[1]
    assert (client.points, client.failures, client.p99_latency_ms) == (False, None, None)


def test_a_claim_that_is_left_is_6_and_one_of_another_run_is_not(reporter: Reporter, ledger: Ledger) -> None:
    ledger.claim(claim("run-2"))
    assert reporter().results["exit-code"] == "0"
    ledger.remove(claim("run-2"))
    ledger.claim(claim())
    assert reporter().results == {"verdict": "invalid", "exit-code": "6"}
    assert "fault-revert --run run-1" in reporter.report.reasons[0].message


def test_a_disabled_experiment_is_green_and_says_so(run_command: RunCommand, tmp_path: Path, ledger: Ledger) -> None:
    workspace = Workspace(tmp_path / "new", "run-9")
    config = msgspec.structs.replace(experiment(), run="run-9", enabled=False)
    workspace.write_json("experiment.json", config)
    finished = Reporter(run_command, workspace, ledger)(run="run-9")
    assert (finished.code, finished.results) == (0, {"verdict": "disabled", "exit-code": "0"})
    for name in ("report.md", "report.html"):
        assert "disabled" in (workspace.root / "report" / name).read_text()


def test_a_run_that_was_stopped_before_the_fault_has_the_code_of_what_stopped_it(
    run_command: RunCommand, tmp_path: Path, ledger: Ledger
) -> None:
    workspace = Workspace(tmp_path / "new", "run-9")
    workspace.write_error(msgspec.structs.replace(error("consul-fetch", 3, "Consul is gone"), run="run-9"))
    finished = Reporter(run_command, workspace, ledger)(run="run-9")
    assert (finished.code, finished.results) == (0, {"verdict": "invalid", "exit-code": "3"})
    assert "Consul is gone" in (workspace.root / "report/report.md").read_text()


def test_the_fallback_does_not_count_the_error_of_the_report_that_failed(
    reporter: Reporter, workspace: Workspace
) -> None:
    workspace.write_error(error("experiment-report", 3))
    assert reporter().results["verdict"] == "pass"


@pytest.mark.parametrize(("limit", "code"), [("requireDose", "7"), ("requireBaseline", "0")])
def test_limits_of_the_administrator_count(
    reporter: Reporter, ledger: Ledger, tmp_path: Path, limit: str, code: str
) -> None:
    ledger.forget_run(RUN)
    for name, details in (("fault-active", ACTIVE), ("load-started", {}), ("load-done", {})):
        ledger.mark(RUN, name, details=details)  # type: ignore[arg-type]
    ledger.mark(RUN, "fault-ended", details={**ENDED, "dose": None})
    limits = tmp_path / "limits.yaml"
    assert reporter().results["exit-code"] == "0"
    limits.write_text(f"{limit}: true\n")
    assert reporter("--limits", str(limits)).results["exit-code"] == code


@pytest.mark.parametrize("expect", ["a b", "../x", "client,<b>"])
def test_an_expected_name_that_no_verdict_can_have_is_a_usage_error(reporter: Reporter, expect: str) -> None:
    finished = reporter(expect=expect)
    assert finished.code == 2
    assert finished.results == {"verdict": "", "exit-code": ""}


@pytest.mark.parametrize(
    ("conditions", "names", "left_out"),
    [
        (["traces=http://zipkin:9411/?a=b,c"], [*EXPECTED, "traces"], []),
        (["traces="], EXPECTED, ["traces"]),
        (["traces=", "metrics=", "traces="], EXPECTED, ["traces", "metrics"]),
        (["traces=", "traces=x"], [*EXPECTED, "traces"], []),
        (["client="], EXPECTED, []),
        (["client=x"], EXPECTED, []),
    ],
)
def test_a_verdict_is_expected_unless_its_value_is_empty_and_the_report_says_what_was_left_out(
    reporter: Reporter, workspace: Workspace, conditions: list[str], names: Sequence[str], left_out: list[str]
) -> None:
    if "traces" in names:
        workspace.write_verdict(verdict("traces"))
    given = [word for condition in conditions for word in ("--expect-if", condition)]
    assert reporter(*given).results["verdict"] == "pass"
    assert list(reporter.report.expected) == list(names)
    found = re.findall("The judge (.+) was left out", "\n".join(reporter.report.notes))
    assert found == left_out
    for name in ("report.md", "report.html"):
        text = (workspace.root / "report" / name).read_text()
        assert all(f"The judge {each} was left out" in text for each in left_out)


def test_what_is_expected_because_of_its_value_must_be_there(reporter: Reporter) -> None:
    assert reporter("--expect-if", "traces=x").results == {"verdict": "invalid", "exit-code": "7"}
    assert reporter.report.reasons[0].subject == "traces"
    assert not any("left out" in note for note in reporter.report.notes)


def test_a_verdict_that_is_there_counts_even_if_its_judge_was_left_out(
    reporter: Reporter, workspace: Workspace
) -> None:
    workspace.write_verdict(verdict("traces", "fail", message="too slow"))
    assert reporter("--expect-if", "traces=").results["exit-code"] == "1"
    assert [note for note in reporter.report.notes if "traces" in note] == [
        "The verdict traces was not expected; it counts all the same."
    ]


def test_a_task_gives_one_condition_a_line(run_command: RunCommand, workspace: Workspace, ledger: Ledger) -> None:
    fixed = {"PARAM_WORKSPACE": str(workspace.root), "PARAM_RUN": RUN, "CHAOS_LEDGER": ledger.describe()}
    finished = run_command("experiment-report", env={**fixed, "PARAM_EXPECT_IF": "client=x\ntraces=\nmetrics=y z"})
    assert finished.results["exit-code"] == "7"
    report = msgspec.json.decode((workspace.root / "report/verdict.json").read_bytes(), type=Report)
    assert report.expected == ("client", "metrics")
    assert any("The judge traces was left out" in note for note in report.notes)


@pytest.mark.parametrize("condition", ["traces", "=x", "../x=y", "a b="])
def test_a_condition_without_a_name_and_a_value_is_a_usage_error(reporter: Reporter, condition: str) -> None:
    finished = reporter("--expect-if", condition)
    assert finished.code == 2
    assert "--expect-if" in finished.stderr


def test_a_report_that_cannot_be_written_ends_with_3(reporter: Reporter, workspace: Workspace) -> None:
    (workspace.root / "report").write_text("a file where the folder should be")
    assert reporter().code == 3


def test_verdict_json_fits_its_published_schema(reporter: Reporter, workspace: Workspace) -> None:
    reporter()
    found: Any = json.loads((workspace.root / "report/verdict.json").read_text())
    jsonschema.validate(found, msgspec.json.schema(Report))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**found, "verdict": "green"}, msgspec.json.schema(Report))
