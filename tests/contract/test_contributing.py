"""The worked example of CONTRIBUTING.md works."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"<!-- (file|lines): (\S+) -->\n```\w+\n(.*?)```", re.DOTALL)


@pytest.fixture
def checkout_with_the_example(tmp_path: Path) -> Path:
    """A copy of the project with the files and lines of the example added."""
    checkout = tmp_path / "checkout"
    for folder in ("chaos_steps", "tests"):
        shutil.copytree(ROOT / folder, checkout / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", checkout)
    for kind, name, content in BLOCK.findall((ROOT / "CONTRIBUTING.md").read_text()):
        path = checkout / name
        if kind == "file":
            path.parent.mkdir(exist_ok=True)
            path.write_text(content)
        else:
            _add_lines(path, content)
    return checkout


def _add_lines(path: Path, addition: str) -> None:
    """Put each line under its table's heading."""
    text = path.read_text()
    for table, lines in re.findall(r"^(\[.*\])\n((?:.+\n)*)", addition, re.MULTILINE):
        assert table in text, table
        text = text.replace(f"{table}\n", f"{table}\n{lines}")
    path.write_text(text)


def _python_of(checkout: Path, folder: Path) -> Path:
    """A Python that has this one's libraries, but the package and its entry points from the checkout."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    own = Path(subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip())
    (own / "checkout.pth").write_text(f"{checkout}\n{sysconfig.get_path('purelib')}\n")
    metadata = checkout / "chaos_steps-0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: chaos-steps\nVersion: 0\n")
    project = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]
    groups = {"console_scripts": project["scripts"], **project["entry-points"]}
    lines = [
        f"[{group}]\n" + "".join(f"{name} = {place}\n" for name, place in of.items()) for group, of in groups.items()
    ]
    (metadata / "entry_points.txt").write_text("\n".join(lines))
    return python


def test_the_new_injector_of_the_guide_passes_its_own_test(checkout_with_the_example: Path, tmp_path: Path) -> None:
    python = _python_of(checkout_with_the_example, tmp_path / "venv")
    finished = subprocess.run(
        [python, "-m", "pytest", "tests/inject/test_maintenance_file.py"],
        cwd=checkout_with_the_example,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "2 passed" in finished.stdout
