"""fault-sweep: take out the faults whose owners are gone."""

from __future__ import annotations

import logging

from chaos_steps import signals
from chaos_steps.command import Context, Result, command
from chaos_steps.errors import FaultMayRemain, Unavailable

log = logging.getLogger(__name__)


@command(
    "fault-sweep",
    results=(
        Result("reverted", "Number of expired claims that were settled."),
        Result("remaining", "Number of expired claims that could not be settled."),
    ),
    exits=(0, 2, 6, 143),
    ledger=True,
    run="none",
    limits=True,
    credentials=True,
    defers_signals=True,
)
def fault_sweep(ctx: Context) -> None:
    """Revert the faults whose claims are past their deadline, and nothing else.

    Run it every minute, by a CronJob: it is what ends a fault whose owner was killed. Records of runs that were closed
    more than seven days ago are removed.
    """
    from chaos_steps.ledger.faults import target_of  # noqa: PLC0415
    from chaos_steps.ledger.reversion import SWEEP_GRACE, Reversion  # noqa: PLC0415

    try:
        outcome = Reversion(ctx.ledger, target_of, ctx.limits, SWEEP_GRACE, by="fault-sweep").expired()
    except Unavailable as error:
        raise FaultMayRemain(f"what has expired cannot be told: {error}") from error
    ctx.result("reverted", len(outcome.reverted))
    ctx.result("remaining", len(outcome.remaining))
    outcome.check()
    log.info("reverted %d, remaining 0", len(outcome.reverted))
    signals.check()
