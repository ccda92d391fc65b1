"""limits.yaml: how far any experiment may go. It is the administrator's; nothing in Consul or in params widens it."""

from __future__ import annotations

import fnmatch
from pathlib import Path

import msgspec

from chaos_steps.errors import Refused, UsageError
from chaos_steps.params import format_number, parse_duration
from chaos_steps.scope import Scope


class Limits(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What is allowed; a field that is not there allows everything."""

    max_percentage: float | None = None
    """Largest share of requests or pods, in percent."""
    max_duration: str | None = None
    """Longest fault, as a Go-style duration."""
    max_ttl: str | None = None
    """Longest time until a claim expires, as a Go-style duration."""
    allowed_hosts: tuple[str, ...] | None = None
    """Hosts that may be faulted; `*` stands for anything."""
    allowed_namespaces: tuple[str, ...] | None = None
    """Namespaces that may be touched; `*` stands for anything."""
    min_survivors: int | None = None
    """Pods that must stay untouched."""
    require_baseline: bool = False
    """A run without a passing steady state is invalid."""
    require_dose: bool = False
    """A run whose share of faulted requests nobody measured is invalid."""

    def __post_init__(self) -> None:
        for text in (self.max_duration, self.max_ttl):
            if text is not None:
                parse_duration(text)

    def check(self, scope: Scope, *, duration: float | None = None, ttl: float | None = None) -> None:
        """Raise Refused naming every limit that the change would break. Durations are seconds."""
        broken = [
            *self._too_much("percentage", scope.percentage, self.max_percentage, "%"),
            *self._too_long("duration", duration, self.max_duration),
            *self._too_long("ttl", ttl, self.max_ttl),
            *self._not_listed("host", scope.host, self.allowed_hosts),
            *self._not_listed("namespace", scope.namespace, self.allowed_namespaces),
        ]
        if broken:
            raise Refused(f"outside limits.yaml: {'; '.join(broken)}", hint="the administrator sets these limits")

    @staticmethod
    def _too_much(what: str, value: float | None, limit: float | None, unit: str) -> list[str]:
        if value is None or limit is None or value <= limit:
            return []
        return [f"{what} {format_number(value)}{unit} is above {format_number(limit)}{unit}"]

    def _too_long(self, what: str, value: float | None, limit: str | None) -> list[str]:
        return self._too_much(what, value, None if limit is None else parse_duration(limit), "s")

    @staticmethod
    def _not_listed(what: str, value: str | None, allowed: tuple[str, ...] | None) -> list[str]:
        if value is None or allowed is None or any(fnmatch.fnmatchcase(value, pattern) for pattern in allowed):
            return []
        return [f"{what} {value!r} is not one of {', '.join(allowed) or '(none)'}"]


def load_limits(path: Path | None) -> Limits:
    """Limits of a file, or of limits.yaml in a folder, where it may be missing (an optional ConfigMap).

    Raises UsageError.
    """
    if path is None:
        return Limits()
    if path.is_dir():
        path = path / "limits.yaml"
        if not path.exists():
            return Limits()
    try:
        content = path.read_bytes()
        return msgspec.yaml.decode(content, type=Limits) if content.strip() else Limits()
    except OSError as error:
        raise UsageError(f"cannot read limits {path}: {error.strerror}") from error
    except (msgspec.DecodeError, ValueError) as error:
        raise UsageError(f"limits {path}: {error}") from error
