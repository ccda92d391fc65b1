from __future__ import annotations

import msgspec

from chaos_steps.operate.experiment_report.tracing import changed, edges, of, windows
from chaos_steps.traces import Link
from tests.operate.experiment_report.runs import traces


def test_edges_stand_beside_what_they_were_in_the_baseline() -> None:
    retried = {pair.callee: pair for pair in edges(traces())}["user-service"]
    assert [(row.phase, row.attempts) for row in retried.rows] == [("baseline", "1"), ("judged", "1.112")]
    assert retried.amplification == "1.11 x"


def test_an_edge_of_one_window_only_is_shown_and_nothing_is_said_of_its_amplification() -> None:
    whole = traces()
    assert whole.baseline is not None
    appeared = msgspec.structs.replace(whole, baseline=msgspec.structs.replace(whole.baseline, edges=()))
    vanished = msgspec.structs.replace(whole, measured=msgspec.structs.replace(whole.measured, edges=()))
    alone = msgspec.structs.replace(whole, baseline=None)
    for found, phase in ((appeared, "judged"), (vanished, "baseline"), (alone, "judged")):
        assert [[row.phase for row in pair.rows] for pair in edges(found)] == [[phase], [phase]]
        assert {pair.amplification for pair in edges(found)} == {""}
    assert [kind for kind, _ in windows(alone)] == ["judged"]


def test_an_edge_that_was_never_called_before_has_no_amplification() -> None:
    whole = traces()
    assert whole.baseline is not None
    idle = tuple(msgspec.structs.replace(edge, calls=0) for edge in whole.baseline.edges)
    found = msgspec.structs.replace(whole, baseline=msgspec.structs.replace(whole.baseline, edges=idle))
    assert {pair.amplification for pair in edges(found)} == {""}


def test_only_dependencies_that_came_went_or_fail_more_often_are_told() -> None:
    def link(child: str, calls_before: int, errors_before: int, calls: int, errors: int) -> Link:
        return Link(
            parent="shop",
            child=child,
            calls_before=calls_before,
            errors_before=errors_before,
            calls=calls,
            errors=errors,
        )

    links = (
        link("same", 100, 1, 200, 2),
        link("better", 100, 50, 100, 0),
        link("gone", 100, 0, 0, 0),
        link("new", 0, 0, 5, 5),
        link("worse", 100, 1, 200, 3),
        link("never", 0, 0, 0, 0),
    )
    found = changed(msgspec.structs.replace(traces(), links=links))
    assert [(each.child, state) for each, state in found] == [
        ("gone", "vanished"),
        ("new", "appeared"),
        ("worse", "fails more often"),
    ]


def test_a_count_has_its_share_where_that_says_something() -> None:
    assert (of(12, 1000), of(0, 10), of(0, 0)) == ("12 (1.2 %)", "0", "0")
