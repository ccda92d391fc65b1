"""fault-revert: take out every fault of a run, from anywhere."""

from __future__ import annotations

import logging

from chaos_steps import signals
from chaos_steps.command import Context, Result, command, option
from chaos_steps.errors import FaultMayRemain, Unavailable
from chaos_steps.params import DURATION

log = logging.getLogger(__name__)


@command(
    "fault-revert",
    results=(
        Result("reverted", "Number of claims that were settled: their targets are as they were before."),
        Result("remaining", "Number of claims that could not be settled."),
    ),
    exits=(0, 2, 6, 143),
    ledger=True,
    run="given",
    limits=True,
    credentials=True,
    defers_signals=True,
)
@option(
    "--grace",
    type=DURATION,
    default="45s",
    show_default=True,
    help="How long to wait for an owner that may still write to its target.",
)
def fault_revert(ctx: Context, *, grace: float) -> None:
    """Close a run and revert every fault that it has in the ledger.

    Nothing of that run can be injected afterwards. Each target is brought back to what was recorded before the change,
    and that is read back; a target that somebody else has changed meanwhile is left alone and reported. It may be run
    any number of times, also twice at once.
    """
    from chaos_steps.ledger.faults import target_of  # noqa: PLC0415
    from chaos_steps.ledger.reversion import Reversion  # noqa: PLC0415

    try:
        known = bool(ctx.ledger.marks(ctx.run) or ctx.ledger.claims(ctx.run))
        outcome = Reversion(ctx.ledger, target_of, ctx.limits, grace, by="fault-revert").run(ctx.run)
        if not known:
            others = ", ".join(map(str, ctx.ledger.claims())) or "none"
            log.warning("ledger %s knows nothing of run %s; its claims: %s", ctx.ledger.describe(), ctx.run, others)
    except Unavailable as error:
        raise FaultMayRemain(f"what run {ctx.run} has left cannot be told: {error}") from error
    ctx.result("reverted", len(outcome.reverted))
    ctx.result("remaining", len(outcome.remaining))
    outcome.check()
    log.info("reverted %d, remaining 0", len(outcome.reverted))
    signals.check()
