"""What judges share. Checks and exit codes are tested through k6-slo."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos_steps.command import Context
from chaos_steps.judge.k6_slo import k6_slo
from chaos_steps.verdicts import Rule, check_success_rate, conclude


def test_notes_are_logged_and_written_and_change_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ctx = Context(k6_slo, "client", "run-1", "", {"workspace": tmp_path})
    rule = Rule(0.95, "point", "inconclusive")
    notes = ["the traces are sampled", "the baseline is short"]
    conclude(ctx, [check_success_rate(9, 10, 0.5, rule)], rule, window="client", requests=10, notes=notes)

    verdict = ctx.workspace.verdicts()["client"]
    assert (verdict.verdict, verdict.notes, verdict.message) == ("pass", tuple(notes), "success-rate 0.9 is >= 0.5")
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == ["client: the traces are sampled", "client: the baseline is short"]
