"""The commands as the generator sees them: found by the scripts in pyproject.toml, described by their own options."""

from __future__ import annotations

import importlib
import inspect
import textwrap
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import click

from chaos_steps.__main__ import GROUPS
from chaos_steps.command import Command, Option
from chaos_steps.errors import MEANINGS

# Not params of a Task: a workspace is bound, and limits are mounted where no param can widen them.
_NOT_PARAMS = ("--workspace", "--limits")
_NEARLY_ALL = (*_NOT_PARAMS, "--run", "--name", "--config", "--ledger", "--log-format")
# Codes that every command may end with; they are documented with each.
_EVERYWHERE = (70, 143)


@dataclass(frozen=True)
class Documented:
    """A command and where it was found."""

    name: str
    group: str
    command: Command

    @cached_property
    def _help(self) -> str:
        return inspect.cleandoc(self.command.help or "")

    @property
    def summary(self) -> str:
        """The first paragraph of the command's docstring."""
        return " ".join(self._help.partition("\n\n")[0].split())

    @property
    def description(self) -> str:
        """All of the docstring after its first paragraph."""
        return self._help.partition("\n\n")[2].strip()

    @property
    def options(self) -> list[Option]:
        """The options: its own first, then those of its kind, then those that nearly all commands have."""
        found = [option for option in self.command.params if isinstance(option, Option)]
        return sorted(found, key=lambda option: (option.common, option.flag in _NEARLY_ALL))

    @property
    def task_params(self) -> list[Option]:
        """The options that are params of the Task."""
        return [option for option in self.options if option.flag not in _NOT_PARAMS and option.expose_value]

    @property
    def exits(self) -> dict[int, str]:
        """Exit codes with their meanings."""
        return {code: MEANINGS[code] for code in sorted({*self.command.exits, *_EVERYWHERE})}


def find_commands(pyproject: Path) -> list[Documented]:
    """All commands, by group and name. Raises LookupError for a script without a command."""
    scripts: dict[str, str] = tomllib.loads(pyproject.read_text())["project"]["scripts"]
    found = [_find(name) for name in scripts if name != "chaos-steps"]
    return sorted(found, key=lambda command: (GROUPS.index(command.group), command.name))


def _find(name: str) -> Documented:
    attribute = name.replace("-", "_")
    for group in GROUPS:
        module = f"chaos_steps.{group}.{attribute}"
        if importlib.util.find_spec(module):
            return Documented(name, group, getattr(importlib.import_module(module), attribute))
    raise LookupError(f"script {name} has no module in any of {', '.join(GROUPS)}")


def default_of(option: Option) -> str:
    """The default as people read it; empty without one."""
    if isinstance(option.show_default, str):
        return option.show_default
    default = option.default
    if option.is_flag or callable(default) or not isinstance(default, (str, int, float)):
        return ""
    return str(default)


def when_empty(option: Option) -> str:
    """What is taken when the option is not given, in words; empty when nothing is."""
    places = [f"{option.experiment} of the experiment file"] if option.experiment else []
    default = default_of(option)
    return ", else ".join([*places, *([default] if default else [])])


def value_of(option: Option) -> str:
    """The form of the option's value, in words."""
    if option.is_flag:
        return "true or false"
    if isinstance(option.type, click.Choice):
        return "one of " + ", ".join(map(str, option.type.choices))
    if isinstance(option.type, (click.IntRange, click.FloatRange)):
        return f"{_FORMS[option.type.name.removesuffix(' range')]}, {option.type._describe_range()}"
    form = _FORMS.get(option.type.name, option.type.name)
    return ", ".join(part for part in (form, "one a line" if option.multiple else "") if part)


_FORMS = {
    "text": "",
    "path": "path",
    "duration": "Go-style duration",
    "milliseconds": "number of milliseconds",
    "rate": "number from 0 to 1",
    "percentage": "number above 0, up to 100",
    "percent": "number from 0",
    "number": "number above 0",
    "count": "whole number from 1",
    "integer": "whole number",
    "float": "number",
    "name": "letters, digits and . _ -, at most 63",
    "url": "http or https address",
    "file": "path of a file",
    "directory": "path of a folder",
}


def filled(text: str, width: int = 116) -> str:
    """Text in lines of at most `width`, paragraphs kept."""
    paragraphs = text.split("\n\n")
    return "\n\n".join(textwrap.fill(" ".join(part.split()), width, break_on_hyphens=False) for part in paragraphs)
