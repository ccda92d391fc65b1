"""Everything that follows from the commands is as the commands are now."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GENERATED = ("schemas", "docs/commands", "tekton/tasks")


def generate(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run tools/generate.py."""
    command = [sys.executable, ROOT / "tools" / "generate.py", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of all that the generator reads and writes."""
    for name in GENERATED:
        shutil.copytree(ROOT / name, tmp_path / name)
    (tmp_path / "images").mkdir()
    for name in ("README.md", "pyproject.toml", "images/Containerfile", "docker-bake.hcl"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_generated_files_are_in_sync() -> None:
    checked = generate("--check")
    assert checked.returncode == 0, f"run make generate\n{checked.stdout}{checked.stderr}"


def test_a_file_that_differs_is_missing_or_is_nobodys_is_named_and_put_right(copy: Path) -> None:
    (copy / "docs/commands/k6-slo.md").write_text("by hand")
    (copy / "schemas/window.json").unlink()
    (copy / "tekton/tasks/gone").mkdir()
    readme = (copy / "README.md").read_text()
    (copy / "README.md").write_text(readme.replace("| judge | [k6-slo]", "| judge | [k6-slow]"))
    containerfile = (copy / "images/Containerfile").read_text()
    (copy / "images/Containerfile").write_text(containerfile.replace("FROM points AS k6-slo", "FROM base AS k6-slo"))
    (copy / "docker-bake.hcl").unlink()

    checked = generate("--check", "--root", copy)
    assert checked.returncode == 1
    named = {line.removeprefix("out of sync: ") for line in checked.stdout.splitlines()}
    by_hand = {"docs/commands/k6-slo.md", "README.md", "images/Containerfile"}
    assert named == {*by_hand, "schemas/window.json", "docker-bake.hcl", "tekton/tasks/gone"}

    assert generate("--root", copy).returncode == 0
    assert generate("--check", "--root", copy).returncode == 0
    assert (copy / "README.md").read_text() == readme
    assert (copy / "images/Containerfile").read_text() == containerfile


def test_a_file_that_no_command_asks_for_is_out_of_sync(copy: Path) -> None:
    (copy / "docs/commands/gone.md").write_text("")
    checked = generate("--check", "--root", copy)
    assert checked.returncode == 1
    assert checked.stdout == "out of sync: docs/commands/gone.md\n"
