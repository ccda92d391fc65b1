"""experiment-check: an experiment in a file or in the option itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from chaos_steps.command import Context, command, option
from chaos_steps.configure import RESULTS, hand_on
from chaos_steps.errors import UsageError


def _print_schema(ctx: click.Context, _param: click.Parameter, wanted: Any) -> None:
    if wanted:
        from chaos_steps.experiment import json_schema  # noqa: PLC0415

        click.echo(json.dumps(json_schema(), indent=2))
        ctx.exit()


@command("experiment-check", results=RESULTS, exits=(0, 2, 3), config=True, workspace="write")
@option("--experiment", help="The experiment itself, in JSON or YAML, in place of a file.")
@option(
    "--print-schema",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_schema,
    help="Print the JSON Schema of the experiment file and exit.",
)
def experiment_check(ctx: Context, *, experiment: str | None) -> None:
    """Check an experiment and write it to the workspace, if there is one.

    An unknown field, a wrong type, a value out of its range or a field given twice is exit code 2, with the path of the
    mistake.
    """
    import hashlib  # noqa: PLC0415

    from chaos_steps.experiment import Source, parse, parse_file  # noqa: PLC0415

    config: Path | None = ctx.parameters["config"]
    if experiment is not None and config is not None:
        raise UsageError("both --experiment and --config are given", hint="give one of them")
    if experiment is not None:
        raw = experiment.encode()
        found = parse(raw, where="--experiment")
    else:
        path = config or _workspace_file(ctx)
        raw = _content(path)
        found = parse_file(raw, where=str(path))
    hand_on(ctx, found, Source(sha256=hashlib.sha256(raw).hexdigest()))


def _workspace_file(ctx: Context) -> Path:
    if not ctx.has_workspace:
        raise UsageError("no experiment", hint="give --experiment TEXT or --config FILE")
    return ctx.workspace.root / "experiment.json"


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"cannot read the experiment {path}: {error.strerror}", hint="give --experiment TEXT or --config FILE"
        ) from None
