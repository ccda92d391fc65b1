"""experiment-report: one verdict for a run, and the files that explain it."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

import click

from chaos_steps.command import Context, Result, command, option
from chaos_steps.params import NAME

if TYPE_CHECKING:
    from chaos_steps.ledger.documents import Claim
    from chaos_steps.ledger.protocol import Ledger

log = logging.getLogger(__name__)

# Seconds for a revert that runs beside the report, as Tekton's finally tasks do; a little above its own grace.
_REVERTING = 50.0


class Names(click.ParamType[tuple[str, ...]]):
    """Names with commas between them, each once."""

    name = "names"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Split and check; pass tuples through."""
        if isinstance(value, tuple):
            return value
        names = [name.strip() for name in value.split(",") if name.strip()]
        return tuple(dict.fromkeys(NAME.convert(name, param, ctx) for name in names))


class NameIf(click.ParamType[tuple[str, bool]]):
    """NAME=VALUE: the name, and whether the value is more than nothing. A value may hold anything."""

    name = "NAME=VALUE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, bool]:
        """Split at the first equals sign and check the name; pass tuples through."""
        if isinstance(value, tuple):
            return value
        name, separator, rest = value.partition("=")
        if not separator:
            self.fail(f"{value!r} is not NAME=VALUE", param, ctx)
        return NAME.convert(name, param, ctx), bool(rest)


@command(
    "experiment-report",
    results=(
        Result("verdict", "pass, fail, inconclusive, invalid or disabled"),
        Result("exit-code", "The code that verdict-gate ends with"),
    ),
    exits=(0, 2, 3),
    family="report",
    config=True,
    workspace="write",
    ledger=True,
    limits=True,
)
@option(
    "--expect", type=Names(), default=(), help="Names of the verdicts that must be there, with commas between them."
)
@option(
    "--expect-if",
    type=NameIf(),
    multiple=True,
    help="Expect the verdict NAME as well, unless VALUE is empty: for a judge that a Pipeline leaves out by an empty "
    "param; repeatable.",
)
def experiment_report(ctx: Context, *, expect: tuple[str, ...], expect_if: tuple[tuple[str, bool], ...]) -> None:
    """Join the verdicts of a run, check that its fault happened, and write the report.

    Reads what the commands of the run left in the workspace and in the ledger, and writes report/verdict.json,
    report/junit.xml, report/report.md and report/report.html there. It ends with 0 whatever the verdict is: the code
    that the run deserves is a result, for verdict-gate to end with.

    A run is invalid (7) unless its run record shows fault-active, load-started, load-done and fault-ended in this
    order, the change was in the target at every read-back, no measured dose contradicts the asked one, and all expected
    verdicts are there. A run that ended before its fault has the code of what stopped it, and 6 stands as long as a
    claim of the run is left. Every verdict of the run counts, expected or not.

    The dose is what the probe of the injector's hold counted; without one, what the load itself saw, if it went
    straight to the faulted host and a load named baseline did so before. It contradicts the asked one when the whole
    99.99 % interval of the share lies beside it, or that of the delay: the median of delayed answers less that of the
    others, which may be 10 % off (timers: at least 2 ms too short, and in a busy proxy 20 ms too long).
    """
    from chaos_steps.operate.experiment_report.client import seen_by_client  # noqa: PLC0415
    from chaos_steps.operate.experiment_report.compose import compose  # noqa: PLC0415
    from chaos_steps.operate.experiment_report.judgement import Evidence  # noqa: PLC0415
    from chaos_steps.operate.experiment_report.record import read_record  # noqa: PLC0415
    from chaos_steps.operate.experiment_report.text import printable  # noqa: PLC0415
    from chaos_steps.operate.experiment_report.writing import write  # noqa: PLC0415

    experiment = ctx.experiment()
    record = read_record(ctx.ledger.marks(ctx.run))
    expected = tuple(dict.fromkeys((*expect, *(name for name, wanted in expect_if if wanted))))
    evidence = Evidence(
        enabled=experiment is None or experiment.enabled,
        expected=expected,
        left_out=tuple(dict.fromkeys(name for name, _ in expect_if if name not in expected)),
        verdicts=ctx.workspace.verdicts(),
        # Its own record is of an earlier attempt: the fallback reports when the report failed.
        errors={name: error for name, error in ctx.workspace.errors().items() if name != ctx.name},
        record=record,
        claims=_claims_left(ctx.ledger, ctx.run),
        windows=ctx.workspace.windows(),
        client=seen_by_client(ctx.workspace, record),
        require_dose=ctx.limits.require_dose,
        require_baseline=ctx.limits.require_baseline,
    )
    composed = compose(ctx.workspace, evidence, experiment)
    page = write(ctx.workspace, composed)
    report = composed.report
    ctx.result("verdict", report.verdict)
    ctx.result("exit-code", report.exit_code)
    log.info("verdict %s, exit code %d: %s", report.verdict, report.exit_code, report.summary)
    for reason in report.reasons:
        log.info("%s: %s", printable(reason.subject), printable(reason.message))
    log.info("report: %s", page)


def _claims_left(ledger: Ledger, run: str) -> list[Claim]:
    """The claims that stay. One whose owner may still end it, or that is being reverted, gets the time for that."""
    give_up = time.monotonic() + _REVERTING
    while True:
        claims = ledger.claims(run)
        if not any(claim.reverting or claim.expires > time.time() for claim in claims) or time.monotonic() >= give_up:
            return claims
        time.sleep(0.5)
