"""How measured doses stand to the asked one, and what that makes of a run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from scipy.stats import beta, binom

from chaos_steps.ledger.delays import Median, take_apart
from chaos_steps.operate.experiment_report.document import Dose
from chaos_steps.operate.experiment_report.dose import assess
from chaos_steps.operate.experiment_report.judgement import Judgement, judge
from chaos_steps.operate.experiment_report.record import Asked, Counted, Measured
from tests.operate.experiment_report.runs import ACTIVE, ENDED, PROBED, evidence, marks_of_a_good_run


def judged(active: dict[str, Any], dose: Any, client: Measured | None = None) -> tuple[Judgement, Dose]:
    marks = marks_of_a_good_run({**ACTIVE, **active}, {**ENDED, "dose": dose})
    found = judge(replace(evidence(marks=marks), client=client))
    assert found.dose is not None
    return found, found.dose


def spread(middle_ms: float, count: int) -> list[int]:
    """Microseconds around a median, a tenth of a millisecond apart."""
    return [round(1000 * middle_ms) + 100 * (number - (count - 1) // 2) for number in range(count)]


def probed(asked_ms: float, share: float, *groups: tuple[float, int]) -> dict[str, Any]:
    """What the probe writes of answers: groups of a median in milliseconds and a count."""
    durations = sorted(duration for group in groups for duration in spread(*group))
    found: dict[str, Any] = msgspec.to_builtins(take_apart(durations, asked_ms, share))
    return {"source": "probe", "url": "http://gateway", "unanswered": 0, "requests": len(durations), **found}


def delay(asked_ms: float, share: float, *groups: tuple[float, int]) -> tuple[Judgement, Dose]:
    """A run whose probe saw these answers."""
    return judged({"askedShare": share, "askedDelayMs": asked_ms}, probed(asked_ms, share, *groups))


# The size of a delay.


@pytest.mark.parametrize(
    ("asked", "measured", "outcome"),
    [
        (200, 200, "agrees"),
        (200, 201, "agrees"),
        (200, 219, "agrees"),  # 10 %.
        (200, 230, "over"),
        (200, 400, "over"),
        (200, 192, "agrees"),
        (50, 69, "agrees"),  # 20 ms.
        (50, 79, "over"),
        (2000, 2190, "agrees"),
        (2000, 2210, "over"),
    ],
)
def test_a_delay_is_off_when_its_interval_lies_beside_the_asked_one_by_more_than_a_path_adds(
    asked: float, measured: float, outcome: str
) -> None:
    run, dose = delay(asked, 0.5, (5, 100), (5 + measured, 100))
    assert (dose.outcome, run.exit_code) == (outcome, 0 if outcome == "agrees" else 7)
    assert dose.delay_ms == measured
    assert dose.delay_low_ms is not None
    assert dose.delay_high_ms is not None
    assert measured - 10 < dose.delay_low_ms < measured < dose.delay_high_ms < measured + 10
    if outcome == "over":
        assert [reason.subject for reason in run.reasons] == ["dose"]
        assert run.reasons[0].message.startswith(f"The delay is above the asked {asked} ms: ")
        assert f"delayed answers took {measured} ms longer" in run.reasons[0].message


@pytest.mark.parametrize(
    ("asked", "high", "outcome"), [(200, 179.9, "under"), (200, 180.1, "agrees"), (5, 3.1, "agrees"), (5, 2.9, "under")]
)
def test_a_delay_may_be_short_by_a_tenth_or_a_timers_tick(asked: float, high: float, outcome: str) -> None:
    dose = {**PROBED, "requests": 100, "faulted": 50, "delayed": _around(high + 0.5), "others": _around(1.5)}
    run, found = judged({"askedShare": 0.5, "askedDelayMs": asked}, msgspec.to_builtins(dose))
    assert (found.outcome, run.exit_code) == (outcome, 7 if outcome == "under" else 0)


def _around(value: float) -> Median:
    return Median(answers=50, value=value, low=value - 0.5, high=value + 0.5)


def test_half_the_asked_delay_is_under_dosed_and_the_reason_says_how_much_slower_answers_were() -> None:
    run, dose = delay(200, 0.5, (5, 100), (105, 100))
    assert (dose.outcome, dose.faulted, run.exit_code) == ("under", 0, 7)
    (reason,) = run.reasons
    assert "0 of 200 requests (0 %) were faulted" in reason.message
    assert "slowest 50 % of the answers took 100 ms longer than the others, not 200 ms." in reason.message


def test_a_few_answers_that_are_slow_by_themselves_are_no_delay() -> None:
    run, dose = delay(200, 0.5, (5, 100), (105, 100), (900, 20))
    assert (dose.outcome, dose.faulted, dose.delay_ms, run.exit_code) == ("under", 20, None, 7)
    assert "The delay" not in dose.message


def test_half_the_asked_delay_for_every_request_is_under_dosed_and_the_reason_says_how_long_answers_took() -> None:
    run, dose = delay(200, 1, (105, 100))
    assert (dose.outcome, run.exit_code) == ("under", 7)
    assert "not delayed by 200 ms took 105 ms at the median." in run.reasons[0].message


def test_where_every_answer_is_delayed_the_delay_is_what_they_took_at_most() -> None:
    run, dose = delay(200, 1, (260, 100))
    assert (dose.outcome, run.exit_code) == ("agrees", 0)
    assert (dose.delay_low_ms, dose.delay_ms) == (0, 260)
    assert dose.delay_high_ms is not None
    assert 260 < dose.delay_high_ms < 270
    assert "every answer was, and took 260 ms at the median, which the delay is at most" in dose.message


def test_too_few_answers_contradict_no_delay() -> None:
    run, dose = delay(200, 0.5, (5, 15), (405, 15))
    assert (dose.outcome, run.exit_code, dose.delay_ms) == ("agrees", 0, 400)
    assert (dose.delay_low_ms, dose.delay_high_ms) == (0, None)
    assert "unbounded" in dose.message


def test_more_delayed_answers_than_asked_are_over_dosed_however_long_the_delay() -> None:
    run, dose = delay(200, 0.1, (5, 100), (205, 100))
    assert (dose.outcome, run.exit_code) == ("over", 7)
    assert "takes as long by itself counts too" in run.reasons[0].message


def test_of_an_error_there_is_no_delay_to_compare() -> None:
    _, dose = judged({"askedDelayMs": 0.0}, PROBED)
    assert (dose.outcome, dose.delay_ms, dose.delay_low_ms, dose.delay_high_ms) == ("agrees", None, None, None)


def test_a_delay_that_an_older_probe_only_counted_is_compared_by_its_share_alone() -> None:
    run, dose = judged({"askedDelayMs": 200.0, "askedShare": 0.1}, PROBED)
    assert (dose.outcome, dose.delay_ms, run.exit_code) == ("agrees", None, 0)
    run, dose = judged({"askedDelayMs": 200.0, "askedShare": 0.1}, {**PROBED, "faulted": 0})
    assert (dose.outcome, run.exit_code) == ("under", 7)


# Sources.

CLIENT = Measured(
    source="client", requests=1500, faulted=900, baseline=Counted(requests=300, faulted=0), url="http://a.svc/"
)


def test_the_load_counts_only_where_nothing_better_has_measured() -> None:
    _, dose = judged({}, PROBED, CLIENT)
    assert (dose.outcome, dose.source) == ("agrees", "probe")
    for nothing in (None, {**PROBED, "requests": 0, "faulted": 0}):
        run, dose = judged({}, nothing, CLIENT)
        assert (dose.outcome, dose.source, dose.url) == ("over", "client", "http://a.svc/")
        assert run.exit_code == 7


@pytest.mark.parametrize("better", ["counters", "marker", "probe"])
def test_a_source_counts_by_its_worth(better: str) -> None:
    worth = ("counters", "marker", "probe", "client", "somebody")
    for worse in worth[worth.index(better) + 1 :]:
        sources = [Measured(source=source, requests=100, faulted=10) for source in (worse, better)]
        assert assess(Asked(asked_share=0.1), sources).source == better


def test_a_delay_for_every_request_is_timed_by_the_load_where_the_probe_has_nothing_to_compare_with() -> None:
    client = msgspec.structs.replace(
        CLIENT, faulted=1500, delayed=_around(401.0), others=_around(1.0), baseline=Counted(requests=300, faulted=0)
    )
    active = {"askedShare": 1.0, "askedDelayMs": 200.0}
    run, dose = judged(active, probed(200, 1, (401, 100)), client)
    assert (dose.outcome, dose.source, dose.delay_ms, run.exit_code) == ("over", "probe", 400, 7)
    assert "as timed by the load itself" in run.reasons[0].message
    assert judged(active, probed(200, 1, (401, 100)))[1].outcome == "agrees"


@pytest.mark.parametrize(
    ("before", "faulted", "outcome"),
    [
        (0, 150, "agrees"),
        (0, 60, "under"),
        (0, 260, "over"),
        (1500, 825, "agrees"),  # Half fail by themselves, a tenth of these and of the others by the fault: 55 %.
        (1500, 660, "under"),
        (1500, 975, "over"),
        (3000, 1500, "agrees"),  # Where all look faulted before, nothing can be told.
    ],
)
def test_what_looked_faulted_in_the_baseline_already_is_not_the_faults(before: int, faulted: int, outcome: str) -> None:
    baseline = Counted(requests=3000, faulted=before)
    client = msgspec.structs.replace(CLIENT, faulted=faulted, baseline=baseline)
    run, dose = judged({"askedShare": 0.1}, None, client)
    assert (dose.outcome, run.exit_code) == (outcome, 0 if outcome == "agrees" else 7)
    assert f"{faulted} of 1500 requests look faulted, and {before} of 3000 in the baseline" in dose.message


def test_the_interval_beside_a_baseline_has_the_worst_ends_of_both_exact_ones() -> None:
    counted = Measured(source="client", requests=1500, faulted=1000, baseline=Counted(requests=3000, faulted=1500))
    dose = assess(Asked(asked_share=0.1), [counted])
    tail = (1 - 0.9999**0.5) / 2
    low, high = beta.ppf(tail, 1000, 501), beta.ppf(1 - tail, 1001, 500)
    low_before, high_before = beta.ppf(tail, 1500, 1501), beta.ppf(1 - tail, 1501, 1500)
    assert dose.low == pytest.approx((low - high_before) / (1 - high_before))
    assert dose.high == pytest.approx((high - low_before) / (1 - low_before))
    assert dose.share == pytest.approx(1 / 3)


@pytest.mark.parametrize(("own", "share"), [(0.0, 0.5), (0.2, 0.3), (0.5, 1.0), (0.9, 0.1)])
def test_the_interval_beside_a_baseline_holds_the_true_share_as_often_as_it_says(own: float, share: float) -> None:
    n = 25
    looks_faulted = own + (1 - own) * share
    missed = 0.0
    for faulted in range(n + 1):
        for before in range(n + 1):
            chance = binom.pmf(faulted, n, looks_faulted) * binom.pmf(before, n, own)
            if chance > 1e-9:
                counted = Measured(
                    source="client", requests=n, faulted=faulted, baseline=Counted(requests=n, faulted=before)
                )
                missed += chance * (assess(Asked(asked_share=share), [counted]).outcome != "agrees")
    assert missed <= 1e-4
