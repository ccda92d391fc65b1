"""Runs as the commands of the Pipeline leave them behind, made without running them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from chaos_steps.experiment import ExperimentFile, Source, file_of, parse
from chaos_steps.ledger.documents import Claim, Mark, MarkName, Owner
from chaos_steps.operate.experiment_report.compose import Composed, compose
from chaos_steps.operate.experiment_report.judgement import Evidence
from chaos_steps.operate.experiment_report.record import read_record
from chaos_steps.traces import Edge, Link, Traces, TraceWindow
from chaos_steps.workspace import Check, ErrorRecord, Verdict, Window, Workspace, points_dtype

RUN = "run-1"
EXPECTED = ("steady-state", "client", "recovery")
START_MS = 1_700_000_000_000
FAULT_MS = START_MS + 20_000

EXPERIMENT = """{"experimentName": "user-service-503-resilience", "enabled": true,
 "fault": {"type": "L7_HTTP_ERROR", "targetHost": "user-service.production.svc", "errorCode": 503, "percentage": 10},
 "durationSeconds": 30, "load": {"rps": 50}, "slo": {"maxP99LatencyMs": 1500, "minSuccessRate": 0.90},
 "zipkin": {"serviceName": "user-service", "lookbackSeconds": 180}}"""

ACTIVE: dict[str, Any] = {
    "claim": "c1",
    "kind": "waf",
    "target": "http://gateway:2019 user-service.production.svc",
    "change": {"status": 503},
    "askedShare": 0.1,
    "askedDelayMs": 0.0,
}
PROBED: dict[str, Any] = {"source": "probe", "url": "http://gateway/", "requests": 150, "faulted": 17, "unanswered": 0}
ENDED: dict[str, Any] = {
    "readBacks": 31,
    "missing": 0,
    "drifted": 0,
    "unreachable": 0,
    "dose": PROBED,
    "exitCode": 0,
}

OWNER = Owner(host="node-1", machine_id="m", boot_id="b", pid_namespace="n", pid=42, start_time=7)


def mark(name: MarkName, sequence: int, at: float = 0.0, reason: str = "", details: Any = None) -> Mark:
    return Mark(
        name=name,
        run=RUN,
        sequence=sequence,
        at=FAULT_MS / 1000 + at,
        owner=OWNER,
        reason=reason,
        details=details or {},
    )


def marks_of_a_good_run(active: Any = ACTIVE, ended: Any = ENDED) -> dict[MarkName, Mark]:
    marks = (
        mark("load-ready", 1, -1),
        mark("fault-active", 2, 0, "503 for 10 % of the requests to user-service.production.svc", active),
        mark("load-started", 3, 1),
        mark("load-done", 4, 30),
        mark("fault-ended", 5, 31, "the load is done", ended),
    )
    return {each.name: each for each in marks}


def verdict(
    name: str, decision: Literal["pass", "fail", "inconclusive"] = "pass", exit_code: int | None = None, **fields: Any
) -> Verdict:
    code = {"pass": 0, "fail": 1, "inconclusive": 5}[decision] if exit_code is None else exit_code
    return Verdict(run=RUN, name=name, command="k6-slo", verdict=decision, exit_code=code, **fields)


def error(name: str, code: int, message: str = "went wrong") -> ErrorRecord:
    return ErrorRecord(run=RUN, name=name, exit_code=code, message=message)


def claim(run: str = RUN) -> Claim:
    return Claim(id="c1", kind="waf", identity="http://gateway:2019 h", target={}, run=run, created=0.0, deadline=1e12)


def evidence(
    *,
    enabled: bool = True,
    expected: tuple[str, ...] = EXPECTED,
    verdicts: tuple[Verdict, ...] | None = None,
    errors: tuple[ErrorRecord, ...] = (),
    marks: Mapping[Any, Mark] | None = None,
    claims: tuple[Claim, ...] = (),
    left_out: tuple[str, ...] = (),
    **required: Any,
) -> Evidence:
    """What a run that passed leaves, with what the test changes."""
    verdicts = tuple(verdict(name) for name in expected) if verdicts is None else verdicts
    return Evidence(
        enabled=enabled,
        expected=expected,
        verdicts={each.name: each for each in verdicts},
        errors={each.name: each for each in errors},
        record=read_record(marks_of_a_good_run() if marks is None else marks),
        claims=claims,
        left_out=left_out,
        **required,
    )


def experiment(text: str = EXPERIMENT) -> ExperimentFile:
    source = Source(sha256="ab" * 32, url="http://consul:8500", key="chaos/user-service", modify_index=4711)
    return file_of(parse(text, where="test"), run=RUN, source=source)


def points(start_ms: int, seconds: float, rps: int, *, failing: float = 0.0, slow: float = 1.0) -> NDArray[Any]:
    """A load with log-normal durations of which a share fails; the same for the same arguments."""
    random = np.random.default_rng([start_ms % 2**31, rps])
    n = int(seconds * rps)
    found = np.zeros(n, points_dtype())
    found["start_us"] = start_ms * 1000 + (np.arange(n) * 1e6 / rps).astype(np.int64)
    found["duration_us"] = (random.lognormal(3.2, 0.5, n) * 1000 * slow).astype(np.int64)
    found["status"] = np.where(random.random(n) < failing, 503, 200)
    return found


def add_load(workspace: Workspace, name: str, load: NDArray[Any], dropped: int = 0) -> None:
    window = Window(
        run=workspace.run,
        name=name,
        start_ms=int(load["start_us"].min()) // 1000,
        end_ms=int(load["start_us"].max()) // 1000,
        source="k6-load",
        points_sha256=workspace.write_points(name, load),
        requests=len(load),
        dropped=dropped,
    )
    workspace.write_window(window)


def checked(name: str, window: str, p99: float, rate: float) -> Verdict:
    """A verdict as k6-slo writes it, with a check of each kind."""
    checks = (
        Check(
            metric="p99-latency-ms",
            limit=1500,
            comparison="<=",
            decision="pass" if p99 <= 1500 else "fail",
            value=p99,
            low=p99 * 0.9,
            high=p99 * 1.15,
            confidence=0.95,
        ),
        Check(
            metric="success-rate",
            limit=0.9,
            comparison=">=",
            decision="pass" if rate >= 0.92 else "inconclusive" if rate >= 0.88 else "fail",
            value=rate,
            low=max(0.0, rate - 0.02),
            high=min(1.0, rate + 0.015),
            confidence=0.95,
            needed=None if rate >= 0.92 or rate < 0.88 else 1200,
        ),
    )
    worst = max((check.decision for check in checks), key=("pass", "inconclusive", "fail").index)
    return verdict(name, worst, checks=checks, window=window, requests=1500)


def fill_workspace(
    root: Path, *, failing: float = 0.02, client_p99: float = 140.0, client_rate: float = 0.981
) -> Workspace:
    """A workspace after baseline, fault and recovery."""
    workspace = Workspace(root, RUN)
    workspace.write_json("experiment.json", experiment())
    add_load(workspace, "baseline", points(START_MS, 15, 20))
    add_load(workspace, "client", points(FAULT_MS + 1000, 29, 50, failing=failing, slow=1.6))
    add_load(workspace, "recovery", points(FAULT_MS + 33_000, 15, 20))
    workspace.write_verdict(checked("steady-state", "baseline", 70.0, 1.0))
    workspace.write_verdict(checked("client", "client", client_p99, client_rate))
    workspace.write_verdict(checked("recovery", "recovery", 75.0, 1.0))
    return workspace


def _trace_window(name: str, start_ms: int, requests: int, errors: int, edges: tuple[Edge, ...]) -> TraceWindow:
    return TraceWindow(
        window=name,
        start_ms=start_ms,
        end_ms=start_ms + 15_000,
        traces=requests,
        spans=4 * requests,
        requests=requests,
        errors=errors,
        without_duration=0,
        p99_latency_ms=70.0,
        success_rate=1 - errors / requests,
        edges=edges,
    )


def traces(name: str = "traces", service: str = "shop", callee: str = "user-service", other: str = "stock") -> Traces:
    """What zipkin-slo saw of a service that calls two others: it retries one, and gives up on the other."""
    before = (
        Edge(caller=service, callee=callee, requests=300, calling=300, calls=300),
        Edge(caller=service, callee=other, requests=300, calling=150, calls=150),
    )
    during = (
        Edge(caller=service, callee=callee, requests=1450, calling=1450, calls=1612, errors=163, timeouts=4, lost=1),
        Edge(
            caller=service,
            callee=other,
            requests=1450,
            calling=700,
            calls=700,
            errors=350,
            cut_short=345,
            lost=350,
            fallbacks=349,
        ),
    )
    return Traces(
        run=RUN,
        name=name,
        service=service,
        side="server",
        caller=None,
        error_rule="tag",
        measured=_trace_window("client", FAULT_MS + 1000, 1450, 2, during),
        baseline=_trace_window("baseline", START_MS, 300, 0, before),
        links=(
            Link(parent=service, child=callee, calls_before=300, errors_before=0, calls=1612, errors=163),
            Link(parent=service, child=other, calls_before=150, errors_before=0, calls=700, errors=350),
            Link(parent=other, child="db", calls_before=150, errors_before=0, calls=0, errors=0),
            Link(parent="gateway", child=service, calls_before=300, errors_before=1, calls=1450, errors=2),
        ),
    )


def add_traces(workspace: Workspace, found: Traces, *notes: str) -> None:
    """A judge of traces that passed, with its document beside its verdict."""
    checks = (
        Check(
            metric="p99-increase-percent",
            limit=50,
            comparison="<=",
            decision="pass",
            value=12.34,
            low=-8.25,
            high=31.0,
            confidence=0.95,
        ),
        Check(
            metric="success-drop",
            limit=0.02,
            comparison="<=",
            decision="pass",
            value=0.00138,
            low=-0.0121,
            high=0.00612,
            confidence=0.95,
        ),
        Check(metric="attempts-per-request", limit=1.5, comparison="<=", decision="pass", value=1.1117),
    )
    workspace.write_verdict(
        verdict(found.name, checks=checks, window="client", requests=found.measured.requests, notes=notes)
    )
    workspace.write_json(f"traces/{found.name}.json", found)


def composed(root: Path, given: Any = None, **filled: Any) -> Composed:
    """The report on the run of `fill_workspace`, with what the test changes of its evidence."""
    workspace = fill_workspace(root, **filled)
    fields = {"verdicts": tuple(workspace.verdicts().values()), **(given or {})}
    return compose(workspace, evidence(**fields), experiment())


def traced(root: Path, *notes: str) -> Composed:
    """As `composed`, with a judge of traces."""
    workspace = fill_workspace(root)
    add_traces(workspace, traces(), *notes)
    given = evidence(expected=(*EXPECTED, "traces"), verdicts=tuple(workspace.verdicts().values()))
    return compose(workspace, given, experiment())


def hostile(root: Path, text: str) -> Composed:
    """A run in which every text that comes from outside is hostile."""
    workspace = fill_workspace(root)
    marks = marks_of_a_good_run(
        {"kind": text, "target": text, "change": {text: text}, "askedShare": 0.1},
        {**ENDED, "dose": {"source": text, "url": text, "requests": 10, "faulted": 1}, text: text},
    )
    marks["fault-ended"] = mark("fault-ended", 5, 31, text, marks["fault-ended"].details)
    told = tuple(verdict(name, "fail", message=text, notes=(text,)) for name in EXPECTED)
    given = evidence(verdicts=told, marks=marks, errors=(error("waf-inject", 7, text),), claims=(claim(),))
    config = json.loads(EXPERIMENT)
    config["fault"] = {"type": "TOXIC", "proxy": "p", "toxicType": "latency", "attributes": {}}
    built = compose(workspace, given, experiment(json.dumps(config)))
    # The experiment's own rules refuse control characters in a name; the renderings do not rely on them.
    report = msgspec.structs.replace(
        built.report,
        experiment={**(built.report.experiment or {}), "experimentName": text, text: text, "fault": {"type": text}},
        traces=(msgspec.structs.replace(traces("traces", text, f"{text}2", f"{text}3"), caller=text),),
        notes=(text,),
    )
    return Composed(report, built.loads)
