"""Small Pipelines for the runner: the shipped Tasks with a Pipeline of the test's own."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import yaml

SHIPPED = Path(__file__).parents[2] / "tekton"


def task(name: str, command: str, params: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    """A task of a Pipeline."""
    found = [{"name": key, "value": value} for key, value in (params or {}).items()]
    return {"name": name, "taskRef": {"name": command}, "params": found, "timeout": "30s", **more}


def gate(name: str, code: int = 0, **more: Any) -> dict[str, Any]:
    """A task that ends at once with a code."""
    verdict = {0: "pass", 1: "fail", 5: "inconclusive"}.get(code, "invalid")
    return task(name, "verdict-gate", {"verdict": verdict, "exit-code": str(code)}, **more)


def check(name: str, *, enabled: bool = True, **more: Any) -> dict[str, Any]:
    """A task with results: enabled, experiment-name, fault-type."""
    text = EXPERIMENT.replace("ENABLED", str(enabled).lower())
    return task(name, "experiment-check", {"experiment": text}, **more)


def probe(name: str, url: str, checks: int = 1, params: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    """A task that asks an address every 50 ms, `checks` times."""
    given = {"url": url, "checks": str(checks), "interval": "50ms", **(params or {})}
    return task(name, "http-probe", given, **more)


def when(text: str, operator: str, *values: str) -> dict[str, Any]:
    """A guard."""
    return {"input": text, "operator": operator, "values": list(values)}


EXPERIMENT = """{"experimentName": "small", "enabled": ENABLED, "durationSeconds": 1,
  "load": {"rps": 1}, "slo": {"minSuccessRate": 0.9},
  "fault": {"type": "L7_HTTP_ERROR", "targetHost": "a.example", "errorCode": 503, "percentage": 10}}"""


class TektonFolder:
    """A folder as `--tekton-dir` takes it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        shutil.copytree(SHIPPED / "tasks", path / "tasks")

    def pipeline(self, *tasks: dict[str, Any], final: tuple[dict[str, Any], ...] = (), **spec: Any) -> None:
        """Write the Pipeline `small`."""
        self.write(
            "pipelines/small/small.yaml",
            {
                "apiVersion": "tekton.dev/v1",
                "kind": "Pipeline",
                "metadata": {"name": "small"},
                "spec": {**spec, "tasks": list(tasks), **({"finally": list(final)} if final else {})},
            },
        )

    def write(self, name: str, document: dict[str, Any]) -> None:
        """Write a manifest."""
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump(document))

    def read(self, name: str) -> dict[str, Any]:
        """Read a manifest."""
        document: dict[str, Any] = yaml.safe_load((self.path / name).read_text())
        return document
