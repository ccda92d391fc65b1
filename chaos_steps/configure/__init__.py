"""Obtain and validate the experiment."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from chaos_steps.command import Context, Result

if TYPE_CHECKING:
    from chaos_steps.experiment import Experiment, Source

RESULTS = (
    Result("experiment-name", "name of the experiment"),
    Result("enabled", "true or false; false: the run is to touch nothing"),
    Result("fault-type", "type of the fault, such as L7_HTTP_ERROR"),
    Result("modify-index", "Consul's ModifyIndex of the key; empty where Consul was not asked"),
    Result("config-sha256", "SHA-256 of the experiment's text as it was read"),
)
"""What every command of this group hands on."""

log = logging.getLogger("chaos_steps.configure")


def hand_on(ctx: Context, experiment: Experiment, source: Source) -> None:
    """Write experiment.json for the run, where there is a workspace, and set the results."""
    from chaos_steps.experiment import file_of  # noqa: PLC0415 - imports msgspec

    if ctx.has_workspace:
        path = ctx.workspace.write_json("experiment.json", file_of(experiment, run=ctx.run, source=source))
        log.info("wrote %s", path)
    ctx.result("experiment-name", experiment.experiment_name)
    ctx.result("enabled", "true" if experiment.enabled else "false")
    ctx.result("fault-type", experiment.fault.kind)
    ctx.result("modify-index", source.modify_index)
    ctx.result("config-sha256", source.sha256)
    if experiment.enabled:
        log.info("experiment %s: %s", experiment.experiment_name, experiment.fault.kind)
    else:
        log.info("experiment %s is disabled: the run will touch nothing", experiment.experiment_name)
