"""The package as users install it: from a wheel, into an environment with nothing else in it."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from chaos_steps import __version__

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=own)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment after `pip install .`, without any extra."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    installed = run(folder / "bin/pip", "install", "--quiet", "--disable-pip-version-check", ROOT)
    assert installed.returncode == 0, installed.stderr
    return folder


@pytest.mark.parametrize("script", PROJECT["scripts"])
def test_every_script_has_help_and_a_version_with_nothing_but_the_base_installed(
    environment: Path, script: str
) -> None:
    # Any warning is an error: users run Python with -W error in CI.
    command: list[str | Path] = [environment / "bin/python", "-W", "error", environment / "bin" / script]
    shown = run(*command, "--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.startswith("Usage: ")
    version = run(*command, "--version")
    assert (version.returncode, version.stderr) == (0, "")
    assert __version__ in version.stdout


def test_a_syntax_error_in_a_commands_module_is_a_bug_and_not_a_breached_limit(environment: Path) -> None:
    (module,) = environment.glob("lib/python*/site-packages/chaos_steps/operate/verdict_gate.py")
    text = module.read_text()
    module.write_text(f"{text}\ndef broken(:\n")
    try:
        ended = run(environment / "bin/verdict-gate", "--help")
    finally:
        module.write_text(text)
    assert ended.returncode == 70
    assert "SyntaxError" in ended.stderr


def test_a_command_without_its_extra_says_which_one_it_needs(environment: Path, tmp_path: Path) -> None:
    arguments = ("--min-success-rate", "0.9", "--workspace", tmp_path, "--run", "r")
    ended = run(environment / "bin/k6-slo", *arguments)
    assert ended.returncode == 70
    assert "k6-slo needs the Python package numpy: pip install 'chaos-steps[points]'" in ended.stderr


def test_the_shipped_pipeline_is_in_the_wheel(environment: Path) -> None:
    started = run(environment / "bin/chaos-steps", "run", "chaos-experiment")
    assert started.returncode == 2
    assert "target-service-url" in started.stderr
