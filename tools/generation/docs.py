"""docs/commands/NAME.md and the table of commands in the README."""

from __future__ import annotations

from generation.commands import Documented, default_of, value_of
from generation.tables import exit_table, table

BEGIN = "<!-- commands: begin -->"
END = "<!-- commands: end -->"


def command_page(documented: Documented) -> str:
    """All about one command."""
    name, command = documented.name, documented.command
    rows = [
        (
            f"`{option.flag}`" + (" (required)" if option.required else ""),
            option.help or "",
            value_of(option),
            ", ".join(_sources(option.param_variable, option.env, option.experiment)),
            default_of(option),
        )
        for option in documented.options
    ]
    own = "" if not command.takes_command else " [-- COMMAND [ARG]...]"
    parts = [
        "<!-- Generated from the command by tools/generate.py; do not edit. -->",
        f"# {name}",
        documented.summary,
        documented.description,
        f"    {name} [OPTION]...{own}",
        "## Options",
        "An option that is not given, or given empty, is looked for in the places under `else from`, in this order.",
        table(("option", "meaning", "value", "else from", "default"), rows),
    ]
    if command.results:
        results = [(result.name, f"`{result.variable}`", result.help) for result in command.results]
        parts += [
            "## Results",
            "Written to the file that the variable names; with no such variable set, one JSON object goes to stdout.",
            table(("name", "variable", "meaning"), results),
        ]
    parts += [
        "## Exit codes",
        exit_table(documented),
        "## Where it runs",
        f"As a Tekton Task: [tekton/tasks/{name}](../../tekton/tasks/{name}/README.md). As a program, from a "
        f"checkout: `pip install {_requirement(command.family)}`.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _sources(variable: str, env: str | None, experiment: str | None) -> list[str]:
    return [
        f"`{variable}`",
        *([f"`{env}`"] if env else []),
        *([f"`{experiment}` of the experiment file"] if experiment else []),
    ]


def _requirement(family: str) -> str:
    """The checkout with the extra that the command needs: an extra has the name of its family."""
    return "." if family == "base" else f"'.[{family}]'"


def readme_with_table(readme: str, commands: list[Documented]) -> str:
    """The README with the table of commands anew; the markers go to its end when it has none."""
    rows = [
        (command.group, f"[{command.name}](docs/commands/{command.name}.md)", command.summary) for command in commands
    ]
    block = f"{BEGIN}\n{table(('group', 'command', 'does'), rows)}\n{END}"
    before, begin, rest = readme.partition(BEGIN)
    if not begin:
        return f"{readme.rstrip()}\n\n{block}\n"
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"README.md has {BEGIN!r} without {END!r}")
    return before + block + after
