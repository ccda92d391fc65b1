"""Types of option values, and how numbers and times are written."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import click

_UNIT_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?|\.\d+)(ns|us|µs|ms|s|m|h)")


def parse_duration(text: str) -> float:
    """Seconds of a Go-style duration such as `120s`, `2m` or `1h30m`. Raises ValueError."""
    position, seconds = 0, 0.0
    for part in _DURATION_PART.finditer(text):
        if part.start() != position:
            break
        seconds += float(part[1]) * _UNIT_SECONDS[part[2]]
        position = part.end()
    if not text or position != len(text):
        raise ValueError(f"{text!r} is not a duration; write it like 120s, 2m or 1h30m")
    return seconds


def format_number(value: float) -> str:
    """A plain decimal: no exponent, at most six decimals, no trailing zeros."""
    if isinstance(value, int):
        return str(value)
    text = f"{value:.6f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def rfc3339(epoch_seconds: float) -> str:
    """RFC 3339 in UTC with milliseconds."""
    return datetime.fromtimestamp(epoch_seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Duration(click.ParamType[float]):
    """A Go-style duration, above zero unless it is `closed`; seconds in Python."""

    name = "duration"

    def __init__(self, *, closed: bool = False) -> None:
        self._closed = closed

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Parse text; pass numbers through."""
        if isinstance(value, (int, float)):
            return float(value)
        try:
            seconds = parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if seconds <= 0 and not self._closed:
            self.fail(f"{value!r} is not above zero", param, ctx)
        return seconds


class Number(click.ParamType[float]):
    """A finite number within bounds, the lower one included only when `closed`."""

    def __init__(self, name: str, low: float, high: float, *, closed: bool) -> None:
        self.name, self._low, self._high, self._closed = name, low, high, closed

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Parse and check."""
        try:
            number = float(value)
        except ValueError:
            self.fail(f"{value!r} is not a number", param, ctx)
        if not (number >= self._low if self._closed else number > self._low) or not number <= self._high:
            least = "at least" if self._closed else "above"
            most = "" if self._high >= 1e18 else f" and at most {format_number(self._high)}"
            self.fail(f"{value} must be {least} {format_number(self._low)}{most}", param, ctx)
        return number


class Count(click.ParamType[int]):
    """A whole number of one or more."""

    name = "count"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Parse and check."""
        try:
            number = int(value)
        except ValueError:
            self.fail(f"{value!r} is not a whole number", param, ctx)
        if number < 1:
            self.fail(f"{value} is below 1", param, ctx)
        return number


class Pattern(click.ParamType[str]):
    """Text of a fixed form."""

    def __init__(self, name: str, pattern: str) -> None:
        self.name, self._pattern = name, re.compile(pattern)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check the form."""
        if not self._pattern.fullmatch(value):
            self.fail(f"{value!r} does not match {self._pattern.pattern}", param, ctx)
        return str(value)


class Url(click.ParamType[str]):
    """An http or https address without user, query or fragment; trailing slashes are dropped."""

    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check and normalise: scheme and host in lower case, default port dropped."""
        try:
            return normalize_url(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def normalize_url(text: str) -> str:
    """One spelling for one address, so that identities and credentials can be compared. Raises ValueError."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{text!r} is not an http or https address")
    if "@" in parts.netloc:
        raise ValueError("an address with a user or password in it is refused; give credentials apart from it")
    if parts.query or parts.fragment:
        raise ValueError(f"{text!r} has a query or fragment, a base address has none")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    default_port = 443 if parts.scheme == "https" else 80
    port = "" if parts.port in (None, default_port) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}{parts.path.rstrip('/')}"


DURATION = Duration()
DURATION_OR_ZERO = Duration(closed=True)
PERCENTAGE = Number("percentage", 0, 100, closed=False)
RATE = Number("rate", 0, 1, closed=True)
LATENCY_MS = Number("milliseconds", 0, 1e18, closed=False)
POSITIVE = Number("number", 0, 1e18, closed=False)
COUNT = Count()
URL = Url()
NAME = Pattern("name", r"[A-Za-z0-9._-]{1,63}")
RUN_ID = NAME
HOST = Pattern("host", r"[^\s/@?#]+")
