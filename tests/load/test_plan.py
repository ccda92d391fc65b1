"""How a rate and a duration become a k6 scenario."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from pathlib import Path

import pytest

from chaos_steps.errors import UsageError
from chaos_steps.load.k6_load.plan import REQUEST_TIMEOUT, Plan


def scenario_of(plan: Plan) -> dict[str, object]:
    found = re.search(r'constant-arrival-rate" }, (\{.*?\})', plan.source)
    assert found
    scenario: dict[str, object] = json.loads(found[1])
    return scenario


@pytest.mark.parametrize(
    ("rate", "number", "unit"), [(50, 50, "1s"), (0.5, 1, "2s"), (33.3, 333, "10s"), (1.25, 5, "4s")]
)
def test_a_broken_rate_becomes_whole_iterations_per_several_seconds(rate: float, number: int, unit: str) -> None:
    scenario = scenario_of(Plan.of("http://t", rate, 60, None))

    assert (scenario["rate"], scenario["timeUnit"]) == (number, unit)


def test_iterations_asked_for_are_counted_without_rounding_errors() -> None:
    assert Plan.of("http://t", 0.1, 30, None).asked == 3
    assert Plan.of("http://t", 33.3, 10, None).asked == 333


def test_a_load_of_no_request_is_refused() -> None:
    with pytest.raises(UsageError, match=r"0\.1 requests a second for 2 s"):
        Plan.of("http://t", 0.1, 2, None)


def test_there_are_users_for_a_target_that_never_answers() -> None:
    plan = Plan.of("http://t", 50, 60, None)

    assert plan.users > 50 * REQUEST_TIMEOUT
    assert scenario_of(plan)["maxVUs"] == scenario_of(plan)["preAllocatedVUs"] == plan.users


def test_users_are_limited_for_the_sake_of_memory_but_not_below_a_second_of_load() -> None:
    assert Plan.of("http://t", 1000, 60, None).users < 2100
    assert Plan.of("http://t", 5000, 60, None).users > 5000


def test_the_path_of_a_script_may_hold_any_character(tmp_path: Path) -> None:
    script = tmp_path / 'a "b" \\c.js'

    assert f"import * as script from {json.dumps(str(script))};" in Plan.of("http://t", 1, 1, script).source


def test_the_rate_is_a_fraction_of_small_numbers() -> None:
    assert Plan.of("http://t", 1 / 3, 60, None).rate == Fraction(1, 3)
