"""Tekton's `$(...)` variables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_REFERENCE = re.compile(r"\$\(([^()$]+)\)")
_TASK_RESULT = re.compile(r"(tasks|finally)\.([^.]+)\.results\.(.+)")
_TASK_STATUS = re.compile(r"tasks\.(?:([^.]+)\.)?status")


def substitute(text: str, values: Mapping[str, str]) -> str:
    """Replace every variable that has a value; the others stay as they are, as in Tekton."""
    return _REFERENCE.sub(lambda found: values.get(found[1], found[0]), text)


def references(texts: Iterable[str]) -> list[str]:
    """All variables in the texts, in order, without `$(` and `)`."""
    return [name for text in texts for name in _REFERENCE.findall(text)]


def task_result(reference: str) -> tuple[str, str, str] | None:
    """`tasks` or `finally`, the task, and the result, if the variable is a task's result."""
    found = _TASK_RESULT.fullmatch(reference)
    return None if found is None else (found[1], found[2], found[3])


def status_of(reference: str) -> str | None:
    """The task whose status the variable is, "" for that of all tasks, None for any other variable."""
    found = _TASK_STATUS.fullmatch(reference)
    return None if found is None else found[1] or ""
