"""Write what follows from the commands: Tasks, docs, the README's table, JSON Schemas, the images' stages.

tools/generate.py           writes what has changed, removes what no command asks for
tools/generate.py --check   writes nothing; names every file that is out of sync and exits with 1
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterable
from pathlib import Path

from generation.commands import find_commands
from generation.docs import command_page, readme_with_table
from generation.images import bake_file, containerfile_with_stages
from generation.schemas import schemas
from generation.task import task_readme, task_yaml

ROOT = Path(__file__).parents[1]

# Folders in which everything is generated, with what may be found there.
_OWNED = (("tekton/tasks", "*"), ("docs/commands", "*.md"), ("schemas", "*.json"))


def wanted(root: Path) -> dict[Path, str]:
    """Every generated file with its content."""
    commands = find_commands(root / "pyproject.toml")
    files = {root / "schemas" / name: text for name, text in schemas().items()}
    for command in commands:
        folder = root / "tekton" / "tasks" / command.name
        files[folder / f"{command.name}.yaml"] = task_yaml(command)
        files[folder / "README.md"] = task_readme(command)
        files[root / "docs" / "commands" / f"{command.name}.md"] = command_page(command)
    readme = root / "README.md"
    files[readme] = readme_with_table(readme.read_text() if readme.exists() else "", commands)
    containerfile = root / "images" / "Containerfile"
    files[containerfile] = containerfile_with_stages(containerfile.read_text(), commands)
    files[root / "docker-bake.hcl"] = bake_file(commands)
    return files


def stale(root: Path, files: Iterable[Path]) -> list[Path]:
    """What is in a generated folder and should not be."""
    keep = {*files, *(path.parent for path in files)}
    return [path for folder, pattern in _OWNED for path in sorted((root / folder).glob(pattern)) if path not in keep]


def main() -> int:
    """Generate, or check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, exit with 1 when something is out of sync")
    parser.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    root = arguments.root.absolute()
    files = wanted(root)
    changed = [path for path, text in files.items() if not path.exists() or path.read_text() != text]
    unwanted = stale(root, files)
    if arguments.check:
        for path in (*changed, *unwanted):
            print(f"out of sync: {path.relative_to(root)}")
        return 1 if changed or unwanted else 0
    for path in changed:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files[path])
    for path in unwanted:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
