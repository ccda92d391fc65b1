"""Zipkin's own graph of who calls whom, before and during."""

from __future__ import annotations

import logging
from typing import Annotated, Protocol

import msgspec

from chaos_steps.errors import Unavailable
from chaos_steps.judge.zipkin_slo.api import Api
from chaos_steps.judge.zipkin_slo.changes import changed_links
from chaos_steps.traces import Link

log = logging.getLogger(__name__)

_Count = Annotated[int, msgspec.Meta(ge=0)]


class Interval(Protocol):
    """A stretch of time: epoch milliseconds, both ends included."""

    @property
    def start_ms(self) -> int:
        """When it begins."""

    @property
    def end_ms(self) -> int:
        """When it ends."""


class _Dependency(msgspec.Struct, rename="camel"):
    parent: str
    child: str
    call_count: _Count
    error_count: _Count = 0


def compare(api: Api, before: Interval, during: Interval, confidence: float) -> tuple[tuple[Link, ...], list[str]]:
    """The edges of both graphs, and notes on what became of them; what cannot be read is a note, and no edges."""
    try:
        links = read_links(api, before, during)
    except Unavailable as error:
        return (), [f"Zipkin's dependencies could not be read: {error.message}"]
    if not links:
        log.info("Zipkin knows no dependencies")
    return links, changed_links(links, confidence)


def read_links(api: Api, before: Interval, during: Interval) -> tuple[Link, ...]:
    """All edges of the two graphs, sorted by parent and child. Raises Unavailable.

    A Zipkin that keeps its traces in memory makes the graph of exactly the traces of the interval. With Elasticsearch
    and Cassandra a Spark job makes one for each day: it may not have run, and two windows of a day have the same one.
    """
    graph_before, graph = _graph(api, before), _graph(api, during)
    links = []
    for ends in sorted(graph_before | graph):
        was, now = (known.get(ends) or _Dependency(*ends, 0) for known in (graph_before, graph))
        links.append(
            Link(
                parent=now.parent,
                child=now.child,
                calls_before=was.call_count,
                errors_before=was.error_count,
                calls=now.call_count,
                errors=now.error_count,
            )
        )
    return tuple(links)


def _graph(api: Api, interval: Interval) -> dict[tuple[str, str], _Dependency]:
    # Zipkin refuses a lookback of 0.
    params = {"endTs": str(interval.end_ms), "lookback": str(max(1, interval.end_ms - interval.start_ms))}
    answer: list[_Dependency] = api.json("/api/v2/dependencies", params, list[_Dependency])
    return {(each.parent, each.child): each for each in answer}
