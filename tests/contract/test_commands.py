"""A command is a script, a module, a Task, a page of documentation and a test, all of one name."""

from __future__ import annotations

import ast
import importlib
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

from chaos_steps import errors
from chaos_steps.__main__ import GROUPS
from chaos_steps.command import Command

ROOT = Path(__file__).parents[2]
SCRIPTS: dict[str, str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
NAMES = sorted(set(SCRIPTS) - {"chaos-steps"})
CODES = {kind.__name__: kind.exit_code for kind in vars(errors).values() if hasattr(kind, "exit_code")}


def group_of(name: str) -> str:
    """The group that has a module of the command's name."""
    (group,) = (group for group in GROUPS if find_spec(f"chaos_steps.{group}.{name.replace('-', '_')}"))
    return group


def command_of(name: str) -> Command:
    """The command of a script."""
    attribute = name.replace("-", "_")
    command = getattr(importlib.import_module(f"chaos_steps.{group_of(name)}.{attribute}"), attribute)
    assert isinstance(command, Command)
    return command


def sources_of(name: str) -> list[Path]:
    """The files of a command's module or package."""
    path = ROOT / "chaos_steps" / group_of(name) / name.replace("-", "_")
    return sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]


def test_every_module_of_a_group_is_a_script_and_the_other_way_round() -> None:
    modules = {
        path.stem.replace("_", "-")
        for group in GROUPS
        for path in (ROOT / "chaos_steps" / group).iterdir()
        if not path.stem.startswith("__")
    }
    assert modules == set(NAMES)
    assert set(SCRIPTS.values()) == {"chaos_steps.__main__:main"}


@pytest.mark.parametrize("name", NAMES)
def test_a_command_has_everything_of_its_name(name: str) -> None:
    module, group = name.replace("-", "_"), group_of(name)
    assert command_of(name).name == name
    assert (ROOT / "tekton" / "tasks" / name / f"{name}.yaml").is_file()
    assert (ROOT / "tekton" / "tasks" / name / "README.md").is_file()
    assert (ROOT / "docs" / "commands" / f"{name}.md").is_file()
    tests = ROOT / "tests" / group
    own = [tests / f"test_{module}.py", *(tests / module).glob("test_*.py"), *tests.glob(f"test_{module}_*.py")]
    assert any(path.is_file() for path in own), f"no tests/{group}/test_{module}.py"


@pytest.mark.parametrize("name", NAMES)
def test_a_command_and_its_options_say_what_they_are_for(name: str) -> None:
    command = command_of(name)
    summary, _, rest = (command.help or "").partition("\n")
    assert summary.endswith("."), "the docstring begins with one sentence in one line"
    assert not rest or rest.startswith("\n"), "an empty line follows"
    for parameter in command.params:
        if parameter.param_type_name == "option":
            assert getattr(parameter, "help", None), f"{parameter.name} has no help"


@pytest.mark.parametrize("name", NAMES)
def test_a_command_documents_every_exit_code_that_it_raises(name: str) -> None:
    documented = set(command_of(name).exits)
    assert {0, 2} <= documented <= set(errors.MEANINGS)
    raised: dict[str, int] = {}
    for path in sources_of(name):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and isinstance(node.exc.func, ast.Name):
                kind = node.exc.func.id
                raised |= {kind: CODES[kind]} if kind in CODES else {}
    assert set(raised.values()) <= documented, raised


def test_result_names_are_plain_and_unique() -> None:
    for name in NAMES:
        results = [result.name for result in command_of(name).results]
        assert len(results) == len(set(results))
        assert all(result.replace("-", "").isalnum() and result.islower() for result in results), results
