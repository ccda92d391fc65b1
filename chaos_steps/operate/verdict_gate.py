"""verdict-gate: gives a run its colour."""

from __future__ import annotations

import logging

import click

from chaos_steps.command import Context, command, option
from chaos_steps.errors import (
    Breached,
    ChaosError,
    FaultMayRemain,
    Inconclusive,
    InvalidRun,
    Refused,
    Unavailable,
    UsageError,
)

log = logging.getLogger(__name__)

_CODES: dict[str, tuple[int, ...]] = {
    "pass": (0,),
    "disabled": (0,),
    "fail": (Breached.exit_code,),
    "inconclusive": (Inconclusive.exit_code,),
    "invalid": tuple(kind.exit_code for kind in (UsageError, Unavailable, Refused, FaultMayRemain, InvalidRun)),
}
_ERRORS: dict[int, type[ChaosError]] = {
    kind.exit_code: kind
    for kind in (Breached, UsageError, Unavailable, Refused, Inconclusive, FaultMayRemain, InvalidRun)
}


@command("verdict-gate", exits=(0, 1, 2, 3, 4, 5, 6, 7))
@option("--verdict", type=click.Choice(sorted(_CODES)), required=True, help="The verdict of experiment-report.")
@option("--exit-code", type=int, required=True, help="The exit code of experiment-report.")
def verdict_gate(_ctx: Context, *, verdict: str, exit_code: int) -> None:
    """End with the exit code of a report.

    A task of its own after the report: the report succeeds, so that its results are kept, and this one gives the run
    its colour. A verdict and a code that do not belong together end with 2, never with 0.
    """
    if exit_code not in _CODES[verdict]:
        raise UsageError(
            f"verdict {verdict} does not go with exit code {exit_code}",
            hint="hand on both results of one experiment-report",
        )
    if exit_code:
        raise _ERRORS[exit_code](f"the run's verdict is {verdict}: {_ERRORS[exit_code].meaning}")
    log.info("the run's verdict is %s", verdict)
