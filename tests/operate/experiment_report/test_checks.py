from __future__ import annotations

from typing import Any

import msgspec
import pytest

from chaos_steps.operate.experiment_report.checks import interval, label, limit, value, why
from chaos_steps.workspace import Check
from tests.operate.experiment_report.runs import verdict


def check(decision: Any = "fail", **fields: Any) -> Check:
    given = {"metric": "success-rate", "limit": 0.95, "comparison": ">=", "value": 0.9, "message": "as the judge says"}
    return Check(decision=decision, **{**given, **fields})


def test_only_the_checks_that_were_not_met_say_why_each_with_its_limit() -> None:
    slow = check("pass", metric="p99-latency-ms", limit=1500, comparison="<=", value=32.0)
    few = check(low=0.87, high=0.92, confidence=0.95)
    found = why(verdict("client", "fail", checks=(slow, few), message="both checks in the judge's words"))
    assert found == "success-rate is 90 % (95 % interval 87 % to 92 %), must be at least 95 %"


def test_an_undecided_check_says_how_many_more_requests_would_decide() -> None:
    found = why(verdict("client", "inconclusive", checks=(check("inconclusive", needed=1200),)))
    assert found == "success-rate is 90 %, must be at least 95 %, about 1200 more requests would decide"


def test_a_check_without_data_speaks_in_the_judges_words() -> None:
    assert why(verdict("client", "inconclusive", checks=(check("inconclusive", value=None),))) == "as the judge says"


def test_a_known_metric_has_a_name_in_words_and_any_other_its_own() -> None:
    assert (label("success-drop"), label("errors-per-minute")) == ("success drop from baseline", "errors-per-minute")


def test_a_verdict_without_checks_speaks_for_itself() -> None:
    assert why(verdict("probe", "fail", message="503 from /health")) == "503 from /health"
    assert why(verdict("probe", "fail")) == "the verdict is fail"


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({}, ""),
        ({"confidence": 0.95}, ""),
        ({"low": 0.5, "high": None, "confidence": 0.95}, "50 % or more"),
        ({"low": None, "high": 0.5, "confidence": 0.95}, "up to 50 %"),
    ],
)
def test_open_ends_of_an_interval_are_put_in_words(fields: dict[str, Any], shown: str) -> None:
    assert interval(check(**fields)) == shown


def test_values_and_limits_have_the_unit_of_their_metric() -> None:
    assert (value(check()), limit(check())) == ("90 %", "at least 95 %")
    latency = check(metric="p99-latency-ms", comparison="<=", limit=1500, value=20.04)
    assert (value(latency), limit(latency)) == ("20 ms", "at most 1500 ms")
    increase = check(metric="p99-increase-percent", comparison="<=", limit=50, value=-8.25)
    assert (value(increase), limit(increase)) == ("-8.2 %", "at most 50 %")
    drop = check(metric="success-drop", comparison="<=", limit=0.02, value=-0.00001, low=-0.0121, high=0.0061)
    assert (value(drop), limit(drop)) == ("0 %-points", "at most 2 %-points")
    assert interval(msgspec.structs.replace(drop, confidence=0.95)) == "-1.21 to 0.61 %-points"
    assert value(check(metric="attempts-per-request", value=1.11172)) == "1.112"
    assert value(check(metric="errors", value=3.0)) == "3"
    assert value(check(value=None)) == "not known"
