"""chaos-steps: the script for people and CI, beside the commands that are Tasks."""

from __future__ import annotations

from pathlib import Path

import click

from chaos_steps import __version__
from chaos_steps.errors import UsageError


@click.group("chaos-steps", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="chaos-steps")
def chaos_steps() -> None:
    """Run chaos experiments where there is no cluster."""


class _Pair(click.ParamType[tuple[str, str]]):
    """NAME=VALUE."""

    name = "pair"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Split at the first equals sign."""
        name, separator, rest = str(value).partition("=")
        if not name or not separator:
            self.fail(f"{value!r} is not NAME=VALUE", param, ctx)
        return name, rest


@chaos_steps.command("run")
@click.argument("pipeline")
@click.option(
    "-p", "--param", "params", type=_Pair(), multiple=True, metavar="NAME=VALUE", help="A param of the Pipeline."
)
@click.option(
    "-w", "--workspace", "workspaces", type=_Pair(), multiple=True, metavar="NAME=DIR", help="A folder for a workspace."
)
@click.option(
    "--limits",
    type=click.Path(path_type=Path),
    envvar="CHAOS_LIMITS",
    show_envvar=True,
    help="limits.yaml, or the folder that may hold it, for the Tasks that mount one.",
)
@click.option(
    "--tekton-dir",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Folder with pipelines/ and tasks/ to use instead of the shipped ones.",
)
def run(
    pipeline: str,
    params: tuple[tuple[str, str], ...],
    workspaces: tuple[tuple[str, str], ...],
    limits: Path | None,
    tekton_dir: Path | None,
) -> int:
    """Run a shipped Pipeline on this machine, its commands as processes.

    Params, results, `when`, parallel tasks, timeouts, retries and `finally` mean what they mean in Tekton; a field
    that is not known is refused (2) before anything starts. SIGTERM or Ctrl-C stops what runs, `finally` follows, and
    the run ends with 143 or 130. Commands get the environment that their Tasks declare and nothing else of yours.

    What happens is told on stderr; stdout gets one JSON object: the Pipeline's results, run, and report where one was
    written. The exit code is the Pipeline's result exit-code, or that of the first task that failed, or 6 while a
    claim of the run is left in the ledger.
    """
    from chaos_steps.local.plan import make_plan, shipped_folder  # noqa: PLC0415
    from chaos_steps.local.runner import run_plan  # noqa: PLC0415

    folders = {name: Path(_not_empty(name, folder)) for name, folder in workspaces}
    plan = make_plan(tekton_dir or shipped_folder(), pipeline, dict(params), folders)
    return run_plan(plan, limits.absolute() if limits else None)


def _not_empty(name: str, folder: str) -> str:
    if not folder:
        raise UsageError(f"workspace {name} names no folder")
    return folder
