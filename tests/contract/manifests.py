"""The manifests of tekton/, as the tests read them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]


def load(path: Path) -> dict[str, Any]:
    """One manifest."""
    document: dict[str, Any] = yaml.safe_load(path.read_text())
    return document


def all_of(kind: str) -> dict[str, Path]:
    """Name -> file of all `tasks` or `pipelines`."""
    found = {path.name: path / f"{path.name}.yaml" for path in sorted((ROOT / "tekton" / kind).iterdir())}
    assert found
    return found


def texts(value: Any, path: str = "$") -> list[tuple[str, str]]:
    """All texts in a document with their paths."""
    if isinstance(value, dict):
        return [found for key, item in value.items() for found in texts(item, f"{path}.{key}")]
    if isinstance(value, list):
        return [found for index, item in enumerate(value) for found in texts(item, f"{path}[{index}]")]
    return [(path, value)] if isinstance(value, str) else []
