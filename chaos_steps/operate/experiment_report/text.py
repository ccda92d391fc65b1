"""Texts and numbers for people. Names, messages and addresses are hostile input: they come from outside."""

from __future__ import annotations

import re

# Controls (ANSI sequences begin with one), surrogates, what XML 1.0 forbids, and marks that turn the direction of text.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
POINTS = " %-points"
"""Unit of a difference of two shares."""
_BLANKS = re.compile(r"\s+")


def printable(text: str) -> str:
    """The text on one line; what would not be seen as it is becomes U+FFFD."""
    return _UNPRINTABLE.sub("\ufffd", _BLANKS.sub(" ", text))


def decimal(value: float, digits: int) -> str:
    """At most so many digits after the point, no trailing zeros, no exponent."""
    text = f"{value:.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def percent(share: float) -> str:
    """A share as `12.3 %`; never rounded to 0 or to 100 % unless it is that."""
    digits = 2
    while digits < 6 and share not in (0, 1) and round(share * 100, digits) in (0, 100):
        digits += 1
    return f"{decimal(share * 100, digits)} %"


def milliseconds(value: float) -> str:
    """A latency as `12.3 ms`."""
    return f"{decimal(value, 1 if value >= 10 else 2 if value >= 1 else 3)} ms"


def seconds(value: float) -> str:
    """A length of time as `12.3 s`."""
    return f"{decimal(value, 1)} s"


def measure(metric: str, value: float) -> str:
    """A judge's value in the unit that its metric's name tells."""
    if metric.endswith("-ms"):
        return milliseconds(value)
    if metric.endswith(("-rate", "-share")):
        return percent(value)
    if metric.endswith("-percent"):
        return f"{decimal(value, 1)} %"
    if metric.endswith("-drop"):
        return f"{decimal(100 * value, 2)}{POINTS}"
    return decimal(value, 3)
