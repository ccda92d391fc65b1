"""What one check of http-probe expects of an answer."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from chaos_steps.http import Response


@dataclass(frozen=True)
class JsonCondition:
    """The value at a dotted path, such as `components.0.status`, of an answer in JSON."""

    path: str
    wanted: Any
    text: str

    def failure(self, document: Any) -> str:
        """Why `document` does not meet the condition; empty when it does."""
        value = document
        for key in self.path.split("."):
            if isinstance(value, dict) and key in value:
                value = value[key]
            elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
                value = value[int(key)]
            else:
                return f"the answer has no {self.path}"
        # In JSON true is not 1, which Python says it is. Text that looks like a number may be meant as text.
        same = value == self.wanted and isinstance(value, bool) == isinstance(self.wanted, bool)
        return "" if same or value == self.text else f"{self.path} is {json.dumps(value)[:80]}, not {self.text}"


@dataclass(frozen=True)
class Expectation:
    """All conditions on one answer; `statuses` are inclusive ranges, `max_latency_ms` counts from before connecting."""

    statuses: tuple[tuple[int, int], ...]
    body: re.Pattern[str] | None
    json: tuple[JsonCondition, ...]
    max_latency_ms: float | None

    def failure(self, response: Response) -> str:
        """The first condition that an answer does not meet, in words; empty when it meets all."""
        if not any(low <= response.status <= high for low, high in self.statuses):
            return f"status {response.status} is not expected"
        if self.max_latency_ms is not None and response.elapsed * 1000 > self.max_latency_ms:
            return f"it took {response.elapsed * 1000:.0f} ms"
        if self.body and not self.body.search(response.text):
            return f"the body has nothing that matches {self.body.pattern}"
        return self._json_failure(response.body) if self.json else ""

    def _json_failure(self, body: bytes) -> str:
        try:
            document = json.loads(body)
        except ValueError:
            return "the body is not JSON"
        return next((failure for condition in self.json if (failure := condition.failure(document))), "")


class Statuses(click.ParamType[tuple[tuple[int, int], ...]]):
    """Status codes and ranges of them, separated by commas: `200,204,300-399`."""

    name = "statuses"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[tuple[int, int], ...]:
        """Parse and check."""
        ranges = []
        for part in str(value).split(","):
            bounds = re.fullmatch(r"\s*([1-9]\d\d)(?:-([1-9]\d\d))?\s*", part)
            if not bounds or int(bounds[2] or bounds[1]) < int(bounds[1]):
                self.fail(f"{value!r} is not a list of statuses; write it like 200 or 200,204,300-399", param, ctx)
            ranges.append((int(bounds[1]), int(bounds[2] or bounds[1])))
        return tuple(ranges)


class Regex(click.ParamType[re.Pattern[str]]):
    """A regular expression in Python's syntax."""

    name = "regex"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> re.Pattern[str]:
        """Compile."""
        try:
            return re.compile(value)
        except re.error as error:
            self.fail(f"{value!r} is not a regular expression: {error}", param, ctx)


class JsonConditionType(click.ParamType[JsonCondition]):
    """PATH=VALUE: VALUE is JSON, or text where it is no JSON."""

    name = "path=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> JsonCondition:
        """Parse."""
        path, separator, text = str(value).partition("=")
        if not separator or not all(path.split(".")):
            self.fail(f"{value!r} is not PATH=VALUE, such as status=UP or checks.0.ok=true", param, ctx)
        try:
            return JsonCondition(path, json.loads(text), text)
        except ValueError:
            return JsonCondition(path, text, text)
