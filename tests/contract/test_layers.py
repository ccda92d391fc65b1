"""Who may import whom, who may read the environment, and that nobody ends the process."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos_steps.__main__ import GROUPS

PACKAGE = Path(__file__).parents[2] / "chaos_steps"

# What a part of the package may import of the others; "" is the package itself, for its version. A part is a module or
# package of the first level, and within a group a command.
ALLOWED = {
    "": set(),
    "errors": set(),
    "params": set(),
    "signals": {"errors"},
    "logs": {"params"},
    "scope": set(),
    "limits": {"errors", "params", "scope"},
    "transport": set(),
    "credentials": {"errors", "params"},
    "http": {"", "credentials", "errors", "transport"},
    "kube": {"credentials", "errors", "http", "signals"},
    "experiment": {"errors"},
    "workspace": {"errors"},
    "traces": {"workspace"},
    "stats": set(),
    "points": {"stats"},
    "ledger": {"errors", "http", "kube", "limits", "params", "scope", "signals", "stats"},
    "command": {"", "errors", "experiment", "ledger", "limits", "logs", "params", "signals", "workspace"},
    "verdicts": {"command", "errors", "params", "stats", "workspace"},
    "injector": {"command", "errors", "ledger", "params", "signals"},
    "__main__": {"command", "errors", "logs", "signals"},
    "local": {"", "__main__", "command", "errors", "ledger", "params", "signals"},
    # What the commands of a group have in common.
    "configure": {"command", "errors", "experiment"},
    "inject": set(),
    "load": set(),
    "judge": set(),
    "operate": set(),
}
# What a command may import besides its own group's common part: never another command.
FOR_COMMANDS = {
    "",
    "command",
    "credentials",
    "errors",
    "experiment",
    "http",
    "injector",
    "ledger",
    "limits",
    "params",
    "points",
    "scope",
    "signals",
    "stats",
    "traces",
    "verdicts",
    "workspace",
}
READ_ENVIRONMENT = {"command", "logs", "credentials", "ledger"}
HEAVY = ("requests", "urllib3", "numpy", "msgspec", "yaml", "consul", "jinja2", "matplotlib", "kubernetes")

FILES = sorted(PACKAGE.rglob("*.py"))


def part_of(parts: list[str]) -> str:
    """The part that a module, as a list of names below the package, belongs to."""
    is_command = len(parts) > 1 and parts[0] in GROUPS and _exists(parts[:2])
    return ".".join(parts[: 2 if is_command else 1])


def _exists(parts: list[str]) -> bool:
    path = PACKAGE.joinpath(*parts)
    return path.is_dir() or path.with_suffix(".py").exists()


def part_of_file(path: Path) -> str:
    """The part that a file belongs to."""
    parts = list(path.relative_to(PACKAGE).with_suffix("").parts)
    return part_of(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_parts(tree: ast.AST) -> Iterator[str]:
    """The parts of our package that a module imports, wherever in it."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            package, *parts = name.split(".")
            if package == PACKAGE.name:
                yield part_of([part for part in parts if _exists([parts[0]])])


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_from_layers_below(path: Path) -> None:
    part = part_of_file(path)
    group = part.partition(".")[0]
    allowed = FOR_COMMANDS | {group} if "." in part else ALLOWED[part]
    found = set(imported_parts(ast.parse(path.read_text()))) - {part}
    assert not found - allowed, f"{part} must not import {', '.join(sorted(found - allowed))}"


def test_the_allow_list_has_no_cycle_and_no_part_that_is_gone() -> None:
    for part, allowed in ALLOWED.items():
        assert not part or _exists([part]), part
        assert not any(part in ALLOWED[other] for other in allowed), part


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_environment_is_read_in_few_places_only(path: Path) -> None:
    reads = [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Attribute) and node.attr in ("environ", "environb", "getenv", "getenvb"))
        or (isinstance(node, ast.ImportFrom) and node.module == "os")
    ]
    assert not reads or part_of_file(path) in READ_ENVIRONMENT, f"lines {reads}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nobody_ends_the_process(path: Path) -> None:
    tree = ast.parse(path.read_text())
    exits = [
        node.lineno
        for node in ast.walk(tree)
        if (isinstance(node, ast.Attribute) and node.attr in ("exit", "_exit", "abort") and _of_system(node))
        or (isinstance(node, ast.Name) and node.id in ("exit", "quit"))
        or (isinstance(node, ast.Name) and node.id == "SystemExit" and path.name != "__main__.py")
    ]
    assert not exits, f"lines {exits}: raise a ChaosError instead"


def _of_system(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in ("sys", "os")


def test_the_modules_of_commands_import_nothing_heavy() -> None:
    modules = [
        f"chaos_steps.{group}.{path.stem}"
        for group in GROUPS
        for path in (PACKAGE / group).iterdir()
        if path.stem != "__pycache__" and not path.stem.startswith("__")
    ]
    code = f"import sys, {', '.join(modules)}, chaos_steps.local\nprint(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "", "import it inside the function, so that --help stays fast"
