"""fault-guard: say early what would stop the run later."""

from __future__ import annotations

import logging

from chaos_steps.command import Context, command, option
from chaos_steps.errors import Refused, UsageError
from chaos_steps.params import DURATION, format_number
from chaos_steps.scope import Scope

log = logging.getLogger(__name__)


@command(
    "fault-guard",
    exits=(0, 2, 3, 4),
    config=True,
    workspace="read",
    ledger=True,
    limits=True,
)
@option("--fault-types", help="Fault types that the Pipeline has a branch for, separated by commas.")
@option(
    "--max-experiment-duration",
    type=DURATION,
    help="Longest fault that the Pipeline's task timeouts leave room for.",
)
def fault_guard(ctx: Context, *, fault_types: str | None, max_experiment_duration: float | None) -> None:
    """Check the experiment against the Pipeline, the limits and the ledger before anything is injected.

    It only reports early: every injector enforces the limits itself. It refuses a fault type that the Pipeline has no
    branch for, a duration that its task timeouts cut off, a closed run, what limits.yaml forbids, and a ledger with
    expired claims, which mean that a fault was left behind and no sweep runs.
    """
    import time  # noqa: PLC0415

    experiment = ctx.experiment()
    if experiment is None:
        raise UsageError("no experiment", hint="give --config FILE, or a workspace with experiment.json")
    fault_type = experiment.fault.kind
    known = [name.strip() for name in (fault_types or "").split(",") if name.strip()]
    if known and fault_type not in known:
        raise UsageError(f"this Pipeline has no branch for fault type {fault_type}; it has {', '.join(known)}")
    duration = experiment.duration_seconds
    if max_experiment_duration is not None and duration > max_experiment_duration:
        raise UsageError(
            f"durationSeconds {format_number(duration)} is above the {format_number(max_experiment_duration)} s that "
            "this Pipeline's task timeouts leave",
            hint="shorten the experiment, or use a Pipeline with longer timeouts",
        )
    fault = experiment.fault
    scope = Scope(
        percentage=getattr(fault, "percentage", None),
        host=getattr(fault, "target_host", None),
        namespace=getattr(fault, "namespace", None),
    )
    ctx.limits.check(scope, duration=duration)
    if "closed" in ctx.ledger.marks(ctx.run):
        raise Refused(f"run {ctx.run} is closed", hint="start a new run")
    expired = [claim for claim in ctx.ledger.claims() if claim.expires < time.time()]
    if expired:
        raise Refused(
            f"the ledger has expired claims: {', '.join(map(str, expired))}",
            hint=f"fault-sweep --ledger {ctx.ledger.describe()}",
        )
    log.info("%s for %s s is within the limits", fault_type, format_number(duration))
