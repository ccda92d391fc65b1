"""The one entry point of all scripts: finds the command by its name, runs it, and turns errors into exit codes."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import sys
import traceback
from pathlib import Path

from chaos_steps import logs, signals
from chaos_steps.errors import BUG, ChaosError, Stopped, UsageError

log = logging.getLogger("chaos_steps.main")

GROUPS = ("configure", "inject", "load", "judge", "operate")


def main() -> int:
    """Run the command that the script's name says and return its exit code.

    With `python -m chaos_steps` the first argument is the name.
    """
    signals.install()
    try:
        return _main(sys.argv)
    except Stopped as error:  # A signal that came while another error was being told.
        return error.code


def _main(argv: list[str]) -> int:
    name, *arguments = argv
    name = Path(name).name
    logs.configure(name, None)
    try:
        if name == "__main__.py":
            if not arguments:
                raise UsageError("no command named", hint="python -m chaos_steps COMMAND [OPTION]...")
            name, *arguments = arguments
            logs.configure(name, None)
        return _run(name, arguments)
    except ChaosError as error:
        log.error("%s", error)
        return error.code
    except Exception:  # noqa: BLE001 - the last handler: a bug keeps its traceback and has a code of its own
        traceback.print_exc()
        return BUG


def _run(name: str, arguments: list[str]) -> int:
    attribute = name.replace("-", "_")
    # Imported here, inside the handler: an error in a command's module is a bug (70), not a breached limit (1).
    command = getattr(importlib.import_module(_module(name, attribute)), attribute)
    from chaos_steps.command import execute  # noqa: PLC0415

    try:
        return execute(command, name, arguments)
    except ModuleNotFoundError as error:
        family = getattr(command, "family", "base")
        if family != "base":
            log.error("%s needs the Python package %s: pip install 'chaos-steps[%s]'", name, error.name, family)
        raise


def _module(name: str, attribute: str) -> str:
    if name == "chaos-steps":
        return "chaos_steps.local"
    for group in GROUPS:
        module = f"chaos_steps.{group}.{attribute}"
        if importlib.util.find_spec(module) is not None:
            return module
    raise UsageError(f"there is no command {name!r}")


if __name__ == "__main__":
    raise SystemExit(main())
