"""Command and Injector: the two kinds of Click command.

A command is a function of a `Context` and its options. What this module adds to Click is the contract that all commands
share: where an option's value comes from, results, error records, exit codes. The generator reads the same objects.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import traceback
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
from click.core import ParameterSource

from chaos_steps import __version__, logs, signals
from chaos_steps.errors import BUG, ChaosError, FaultMayRemain, Unavailable, UsageError
from chaos_steps.params import NAME, RUN_ID, format_number

if TYPE_CHECKING:
    from chaos_steps.experiment import Experiment
    from chaos_steps.ledger.protocol import Ledger
    from chaos_steps.limits import Limits
    from chaos_steps.workspace import Workspace

log = logging.getLogger(__name__)

# What a program that a command starts gets of the environment, unless the command adds to it.
_CHILD_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "SSL_CERT_FILE")

# Codes whose reason is in the results or the verdict; every other one leaves an error record.
_CODES_WITHOUT_RECORD = (0, 1, 5)


@dataclass(frozen=True)
class Result:
    """One named value that a command hands on: a Tekton result, or a key of the JSON object on stdout."""

    name: str
    help: str

    @property
    def variable(self) -> str:
        """The environment variable that holds the path of the result's file."""
        return f"RESULT_{self.name.upper().replace('-', '_')}"


class Option(click.Option):
    """An option that also reads PARAM_<NAME>, a well-known variable and the experiment file; empty means unset.

    `env` is the well-known variable, `experiment` the dotted path in the experiment file, `common` says that many
    commands have the option.
    """

    def __init__(
        self, *args: Any, env: str | None = None, experiment: str | None = None, common: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.env = env
        self.experiment = experiment
        self.common = common
        self.envvar = [self.param_variable, *([env] if env else [])]

    @property
    def flag(self) -> str:
        """The option as it is written, such as `--delay-ms`."""
        return max(self.opts, key=len)

    @property
    def param_variable(self) -> str:
        """The variable that a Task sets from its param."""
        return f"PARAM_{self.flag.lstrip('-').upper().replace('-', '_')}"

    def consume_value(self, ctx: click.Context, opts: Mapping[str, Any]) -> tuple[Any, ParameterSource]:
        """Look in the order option, PARAM_ variable, well-known variable, experiment file, default."""
        given = opts.get(self.name or "")
        if given == "" or (isinstance(given, list) and not any(given)):
            opts = {key: value for key, value in opts.items() if key != self.name}
        value, source = super().consume_value(ctx, opts)
        if source is ParameterSource.DEFAULT and self.experiment:
            found = _from_experiment(ctx, self.experiment)
            if found is not None:
                return found, ParameterSource.DEFAULT_MAP
        return value, source

    def value_from_envvar(self, ctx: click.Context) -> Any:
        """A repeatable option has one value a line in its variable: values may hold blanks."""
        raw = self.resolve_envvar_value(ctx)
        if self.multiple and raw is not None:
            return [line for line in raw.splitlines() if line] or None
        return super().value_from_envvar(ctx)


def option(*declarations: str, **kwargs: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare an option of a command; takes what `click.option` and `Option` take."""
    return click.option(*declarations, cls=Option, **kwargs)


@dataclass
class Context:
    """What a command's function gets besides its options."""

    command: Command
    name: str
    run: str
    task_run: str
    parameters: Mapping[str, Any]
    results: dict[str, str] = field(default_factory=dict)

    @cached_property
    def workspace(self) -> Workspace:
        """The shared folder. Raises UsageError when none was named."""
        from chaos_steps.workspace import Workspace  # noqa: PLC0415

        root: Path | None = self.parameters.get("workspace")
        if root is None:
            raise UsageError("no workspace", hint="give --workspace DIR")
        return Workspace(root, self.run)

    @property
    def has_workspace(self) -> bool:
        """Whether a shared folder was named."""
        return self.parameters.get("workspace") is not None

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger that --ledger names, or the default one."""
        from chaos_steps.ledger import open_ledger  # noqa: PLC0415

        return open_ledger(self.parameters.get("ledger"))

    @cached_property
    def limits(self) -> Limits:
        """The administrator's limits."""
        from chaos_steps.limits import load_limits  # noqa: PLC0415

        return load_limits(self.parameters.get("limits"))

    @property
    def run_is_given(self) -> bool:
        """Whether somebody named the run; the id of the own TaskRun, which Tasks set as the default, names none."""
        source = click.get_current_context().get_parameter_source("run")
        return source is ParameterSource.COMMANDLINE or bool(os.environ.get("PARAM_RUN"))

    def experiment(self) -> Experiment | None:
        """The experiment of --config or of the workspace, or None."""
        return _experiment(click.get_current_context())

    def result(self, name: str, value: str | float | None) -> None:
        """Set a declared result; a number becomes a plain decimal, None an empty text."""
        if name not in {result.name for result in self.command.results}:
            raise KeyError(f"{self.command.name} declares no result {name!r}")
        self.results[name] = "" if value is None else value if isinstance(value, str) else format_number(value)

    @staticmethod
    def child_environment(*more: str, **values: str) -> dict[str, str]:
        """A minimal environment for a program that the command starts; `more` names further variables to hand on."""
        kept = {name: os.environ[name] for name in (*_CHILD_VARIABLES, *more) if name in os.environ}
        return {**kept, **values}


class Command(click.Command):
    """A console script, its Task, its image and its page of documentation in one object."""

    def __init__(
        self,
        *args: Any,
        results: tuple[Result, ...] = (),
        exits: tuple[int, ...] = (0,),
        family: str = "base",
        config: bool = False,
        workspace: str = "none",
        ledger: bool = False,
        credentials: bool = False,
        limits: bool = False,
        takes_command: bool = False,
        defers_signals: bool = False,
        run: Literal["new", "given", "none"] = "new",
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.results = results
        self.exits = exits
        self.family = family
        self.config = config
        self.workspace = workspace
        self.ledger = ledger
        self.credentials = credentials
        self.limits = limits
        self.takes_command = takes_command
        self.defers_signals = defers_signals
        self.run = run
        self.params += _common_options(self)
        click.version_option(__version__, prog_name=self.name)(self)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse as Click does; a mistake is recorded like any other failure."""
        logs.configure(ctx.info_name or "", _log_format(args))  # For the mistakes that parsing finds.
        try:
            return super().parse_args(ctx, args)
        except (click.UsageError, ChaosError) as error:
            _finish(self._context(_parsed(ctx)), _as_chaos_error(error))
            raise

    def invoke(self, ctx: click.Context) -> int:
        """Call the function; returns the exit code."""
        logs.configure(ctx.info_name or "", ctx.params.get("log_format"))
        context = self._context(ctx.params)
        own = {key: value for key, value in ctx.params.items() if key not in _COMMON_NAMES}
        with signals.deferred():  # From here to the exit code: a signal must not put 143 in the place of a 6.
            failure = self._attempt(ctx, context, own)
            signals.settle()
            _finish(context, failure)
            if failure is not None:
                raise failure
        return 0

    def _attempt(self, ctx: click.Context, context: Context, own: dict[str, Any]) -> Exception | None:
        try:
            with contextlib.nullcontext() if self.defers_signals else signals.interruptible():
                ctx.invoke(self._function, context, **own)
        except Exception as error:  # noqa: BLE001 - raised again after the results are written
            return error
        return None

    @property
    def _function(self) -> Callable[..., Any]:
        if self.callback is None:
            raise TypeError(f"{self.name} has no function")
        return self.callback

    def _context(self, params: Mapping[str, Any]) -> Context:
        name = params.get("name") or self.name or ""
        return Context(self, name, params.get("run") or "", os.environ.get("CHAOS_TASKRUN_UID", ""), params)


def command(name: str, **kwargs: Any) -> Callable[[Callable[..., None]], Command]:
    """Make a function of (Context, options...) a command; keyword arguments are those of `Command`."""
    return click.command(name, cls=Command, **kwargs)


def execute(target: click.Command, name: str, arguments: list[str]) -> int:
    """Run a command and return its exit code; errors that are not bugs come out as ChaosError."""
    try:
        code = target.main(arguments, prog_name=name, standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return UsageError.exit_code
    except click.UsageError as error:
        raise _as_chaos_error(error) from error
    return code if isinstance(code, int) else 0


def _log_format(arguments: list[str]) -> str | None:
    """The format that the arguments ask for, before anything else of them is looked at."""
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=False):
        if argument == "--log-format":
            return following
        if argument.startswith("--log-format="):
            return argument.partition("=")[2]
    return os.environ.get("PARAM_LOG_FORMAT")


def _as_chaos_error(error: click.UsageError | ChaosError) -> ChaosError:
    if isinstance(error, ChaosError):
        return error
    return UsageError(error.format_message().rstrip("."), hint="see --help")


_COMMON_NAMES = ("workspace", "run", "name", "config", "ledger", "limits", "log_format")


def _common_options(command: Command) -> list[click.Parameter]:
    """The options that the command's flags ask for. Those that others depend on are eager: parsed first."""
    wanted: list[click.Parameter] = []
    if command.workspace != "none":
        wanted.append(
            Option(
                ["--workspace"],
                type=click.Path(path_type=Path, file_okay=False),
                is_eager=True,
                common=True,
                help="Folder that the commands of a run share.",
            )
        )
        wanted.append(
            Option(
                ["--name"],
                type=NAME,
                default=command.name,
                show_default=True,
                is_eager=True,
                common=True,
                help="Name of what this command writes to the workspace.",
            )
        )
    if command.run == "given":
        wanted.append(Option(["--run"], type=RUN_ID, required=True, common=True, help="Id of the run."))
    elif command.run == "new" and (command.workspace != "none" or command.ledger):
        wanted.append(
            Option(
                ["--run"],
                type=RUN_ID,
                env="CHAOS_TASKRUN_UID",
                default=lambda: str(uuid.uuid4()),
                show_default="a new one",
                is_eager=True,
                common=True,
                help="Id of the run.",
            )
        )
    if command.config:
        wanted.append(
            Option(
                ["--config"],
                type=click.Path(path_type=Path, dir_okay=False),
                is_eager=True,
                common=True,
                show_default="experiment.json in the workspace, when it is there",
                help="Experiment file.",
            )
        )
    if command.ledger:
        wanted.append(
            Option(
                ["--ledger"],
                env="CHAOS_LEDGER",
                common=True,
                show_default="in a pod kube: of $CHAOS_LEDGER_NAMESPACE or its own; else a folder in $XDG_STATE_HOME",
                help="Where claims and run records are: file:DIR or kube:NAMESPACE, one for all commands of a run.",
            )
        )
    if command.limits:
        wanted.append(
            Option(
                ["--limits"],
                type=click.Path(path_type=Path),
                env="CHAOS_LIMITS",
                common=True,
                help="limits.yaml, or the folder that may hold it.",
            )
        )
    wanted.append(
        Option(
            ["--log-format"],
            type=click.Choice(["json", "text"]),
            common=True,
            show_default="text on a terminal",
            help="Form of the log lines on stderr.",
        )
    )
    return wanted


def _experiment(ctx: click.Context) -> Experiment | None:
    """The parsed experiment, once per invocation.

    A file of another run counts as missing; one without a run is the user's own.
    """
    if "experiment" not in ctx.meta:
        known = _parsed(ctx)
        ctx.meta["experiment"] = _read_experiment(known.get("config"), known.get("workspace"), known.get("run"))
    found: Experiment | None = ctx.meta["experiment"]
    return found


def _read_experiment(config: Path | None, workspace: Path | None, run: str | None) -> Experiment | None:
    from chaos_steps.experiment import ExperimentFile, parse_file  # noqa: PLC0415

    path = config or (workspace / "experiment.json" if workspace else None)
    if path is None or (config is None and not path.exists()):
        return None
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the experiment {path}: {error.strerror}") from error
    experiment = parse_file(content, where=str(path))
    if isinstance(experiment, ExperimentFile) and experiment.run and experiment.run != run:
        if config is not None:
            raise UsageError(f"{path} belongs to run {experiment.run}, this is run {run}")
        return None
    return experiment


def _parsed(ctx: click.Context) -> dict[str, Any]:
    """The options parsed so far; Click marks those without a value by an object of its own."""
    return {key: value for key, value in ctx.params.items() if value.__class__.__name__ != "Sentinel"}


def _from_experiment(ctx: click.Context, path: str) -> Any:
    import msgspec  # noqa: PLC0415

    experiment = _experiment(ctx)
    value: Any = None if experiment is None else msgspec.to_builtins(experiment)
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _finish(context: Context, failure: BaseException | None) -> None:
    """Write results and, where the code asks for one, the error record. Both come before the error is raised on."""
    try:
        _write_results(context)
    except OSError as error:
        _drop_stdout()
        if failure is None:
            kind = FaultMayRemain if context.results.get("state") == "active" else Unavailable
            raise kind(f"cannot write the results: {error}") from error
    code = 0 if failure is None else failure.code if isinstance(failure, ChaosError) else BUG
    if code in _CODES_WITHOUT_RECORD or not context.has_workspace or not context.run:
        return
    from chaos_steps.workspace import ErrorRecord  # noqa: PLC0415

    message = (
        str(failure) if isinstance(failure, ChaosError) else "".join(traceback.format_exception_only(failure)).strip()
    )
    with contextlib.suppress(ChaosError):  # The error itself matters more than its record.
        context.workspace.write_error(ErrorRecord(run=context.run, name=context.name, exit_code=code, message=message))


def _write_results(context: Context) -> None:
    """Write every declared result to its file, without trailing newline; with no file named, all as JSON on stdout."""
    values = {result.name: context.results.get(result.name, "") for result in context.command.results}
    files = list(_result_files(context.command))
    for result, path in files:
        path.write_text(values[result.name])
    if not files and values:
        print(json.dumps(values), file=sys.stdout, flush=True)


def _drop_stdout() -> None:
    """What could not be written is still in the buffer; trying again when Python ends would change the exit code."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _result_files(command: Command) -> Iterator[tuple[Result, Path]]:
    for result in command.results:
        path = os.environ.get(result.variable)
        if path:
            yield result, Path(path)
