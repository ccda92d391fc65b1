"""The one entry point: finds the command, and turns what happens into exit codes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import chaos_steps
from chaos_steps.__main__ import GROUPS
from tests.conftest import RunCommand

PACKAGE = Path(chaos_steps.__file__).parent
COMMANDS = sorted(
    path.stem.replace("_", "-")
    for group in GROUPS
    for path in (PACKAGE / group).iterdir()
    if not path.name.startswith("_") and (path.suffix == ".py" or (path / "__init__.py").exists())
)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_a_version_without_warnings(run_command: RunCommand, name: str) -> None:
    shown = run_command(name, "--help")
    assert (shown.code, shown.stderr) == (0, "")
    assert "Usage" in shown.stdout
    version = run_command(name, "--version")
    assert (version.code, version.stdout) == (0, f"{name}, version {chaos_steps.__version__}\n")


def test_a_name_that_is_no_command_is_2(run_command: RunCommand) -> None:
    done = run_command("no-such-command")
    assert done.code == 2
    assert "no-such-command" in done.stderr


def test_no_name_at_all_is_2() -> None:
    done = subprocess.run([sys.executable, "-m", "chaos_steps"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "COMMAND" in done.stderr


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("def broken(:\n", "SyntaxError"),
        ("import no_such_module\n", "ModuleNotFoundError"),
        ("raise RuntimeError('at import')\n", "RuntimeError"),
        ("something_else = 1\n", "AttributeError"),
    ],
)
def test_a_command_whose_module_is_broken_is_70_with_a_traceback(tmp_path: Path, content: str, told: str) -> None:
    shutil.copytree(PACKAGE, tmp_path / "chaos_steps", ignore=shutil.ignore_patterns("__pycache__", "local"))
    (tmp_path / "chaos_steps" / "operate" / "verdict_gate.py").write_text(content)
    done = subprocess.run(
        [sys.executable, "-m", "chaos_steps", "verdict-gate", "--verdict", "pass", "--exit-code", "0"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 70
    assert "Traceback" in done.stderr
    assert told in done.stderr


def test_an_error_is_one_line_on_stderr(run_command: RunCommand) -> None:
    done = run_command("verdict-gate", "--verdict", "pass", "--exit-code", "1", "--log-format", "text")
    assert done.code == 2
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""
