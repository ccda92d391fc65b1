"""limits.yaml: what is allowed, where it is looked for, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos_steps.errors import Refused, UsageError
from chaos_steps.limits import Limits, load_limits
from chaos_steps.scope import Scope


def limits(tmp_path: Path, text: str) -> Limits:
    path = tmp_path / "limits.yaml"
    path.write_text(text)
    return load_limits(path)


@pytest.mark.parametrize(
    ("text", "scope", "duration", "ttl", "named"),
    [
        ("maxPercentage: 10", Scope(percentage=10.5), None, None, "percentage 10.5% is above 10%"),
        ("maxDuration: 2m", Scope(), 120.5, None, "duration 120.5s is above 120s"),
        ("maxTtl: 5m", Scope(), None, 301, "ttl 301s is above 300s"),
        ("allowedHosts: [a.svc]", Scope(host="b.svc"), None, None, "'b.svc'"),
        ("allowedHosts: []", Scope(host="b.svc"), None, None, "(none)"),
        ("allowedHosts: ['*.staging.svc']", Scope(host="a.production.svc"), None, None, "*.staging.svc"),
        ("allowedNamespaces: [staging]", Scope(namespace="production"), None, None, "'production'"),
    ],
)
def test_what_is_outside_is_refused_and_named(
    tmp_path: Path, text: str, scope: Scope, duration: float | None, ttl: float | None, named: str
) -> None:
    with pytest.raises(Refused) as refused:
        limits(tmp_path, text).check(scope, duration=duration, ttl=ttl)
    assert named in str(refused.value)


def test_everything_that_is_outside_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"percentage.*host"):
        limits(tmp_path, "maxPercentage: 1\nallowedHosts: [a]").check(Scope(percentage=2, host="b"))


def test_at_the_limit_is_allowed(tmp_path: Path) -> None:
    text = "maxPercentage: 10\nmaxDuration: 2m\nmaxTtl: 3m\nallowedHosts: ['*.svc']\nallowedNamespaces: [a]"
    scope = Scope(percentage=10, host="user.svc", namespace="a")
    limits(tmp_path, text).check(scope, duration=120, ttl=180)


def test_no_file_no_limits_file_in_the_folder_and_an_empty_file_allow_everything(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    for place in (None, tmp_path, tmp_path / "empty"):
        load_limits(place).check(Scope(percentage=100, host="x", namespace="y"), duration=1e9, ttl=1e9)


def test_a_folder_is_where_limits_yaml_is(tmp_path: Path) -> None:
    limits(tmp_path, "requireDose: true")
    assert load_limits(tmp_path).require_dose


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("maxPercentag: 10", "maxPercentag"),
        ("maxPercentage: ten", "maxPercentage"),
        ("maxDuration: long", "long"),
        ("maxTtl: 5 minutes", "5 minutes"),
        ("allowedHosts: a", "allowedHosts"),
        ("- 1", "limits.yaml"),
        ("a: [", "limits.yaml"),
    ],
)
def test_a_mistake_in_the_file_is_named_and_never_a_wider_limit(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(UsageError) as wrong:
        limits(tmp_path, text)
    assert named in str(wrong.value)


def test_a_file_that_is_named_and_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no\.yaml"):
        load_limits(tmp_path / "no.yaml")
