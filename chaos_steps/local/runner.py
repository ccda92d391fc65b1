"""From a plan to an exit code."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from chaos_steps import signals
from chaos_steps.errors import ChaosError, FaultMayRemain, InvalidRun, Unavailable
from chaos_steps.ledger import open_ledger
from chaos_steps.local.console import say, write
from chaos_steps.local.execution import Execution, Node
from chaos_steps.local.plan import Plan


def run_plan(plan: Plan, limits: Path | None) -> int:
    """Run it, tell the results, and return the exit code.

    Raises FaultMayRemain while a claim of the run is left, else Stopped after a signal.
    """
    _make_folders(plan)
    with signals.deferred():
        say(f"run {plan.uid} of {plan.name}")
        execution = Execution(plan, limits)
        execution.run()
        results = execution.results()
        _tell(plan, results)
        _require_no_claims(plan)
    return _exit_code(results, execution.failures)


def _make_folders(plan: Plan) -> None:
    for folder in plan.workspaces.values():
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Unavailable(f"cannot make the folder {folder}: {error.strerror}") from error


def _tell(plan: Plan, results: dict[str, str]) -> None:
    report = _report(plan)
    told = {**results, "run": plan.uid, **({"report": str(report)} if report else {})}
    for name, value in told.items():
        say(f"{name}: {value}")
    write(json.dumps(told), sys.stdout)


def _report(plan: Plan) -> Path | None:
    """The report that this run has written to one of its workspaces."""
    for folder in plan.workspaces.values():
        try:
            verdict = json.loads((folder / "report" / "verdict.json").read_text())
        except (OSError, ValueError):
            continue
        if isinstance(verdict, dict) and verdict.get("run") == plan.uid:
            return folder / "report" / "report.html"
    return None


def _require_no_claims(plan: Plan) -> None:
    """Whatever the tasks said: no claim may be left. A Pipeline names its ledger by a param of that name."""
    hint = f"run fault-revert --run {plan.uid}"
    try:
        ledger = open_ledger(plan.params.get("ledger") or None)
        claims = ledger.claims(plan.uid)
    except ChaosError as error:
        raise FaultMayRemain(f"the ledger cannot be read: {error}", hint=hint) from error
    if claims:
        left = ", ".join(str(claim) for claim in claims)
        raise FaultMayRemain(f"left behind: {left}", hint=f"{hint} --ledger {ledger.describe()}")


def _exit_code(results: dict[str, str], failures: list[Node]) -> int:
    """What the report says; a run that failed is never 0."""
    said = results.get("exit-code", "")
    if said.isdigit() and int(said):
        return int(said)
    return _code_of(failures[0]) if failures else 0


def _code_of(node: Node) -> int:
    """A task that was killed, or had no time, tells nothing about the service: the run is invalid."""
    code = node.exit_code or 0
    lost = node.timed_out or code > 128
    return InvalidRun.exit_code if lost and code != FaultMayRemain.exit_code else code
