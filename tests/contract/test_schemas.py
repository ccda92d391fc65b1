"""The published schemas describe what the commands read and write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from chaos_steps.limits import Limits
from chaos_steps.traces import Edge, Traces, TraceWindow
from chaos_steps.workspace import Check, ErrorRecord, Verdict, Window

FOLDER = Path(__file__).parents[2] / "schemas"

EXPERIMENT = {
    "experimentName": "user-service-503-resilience",
    "enabled": True,
    "fault": {"type": "L7_HTTP_ERROR", "targetHost": "user-service.production.svc", "errorCode": 503, "percentage": 10},
    "durationSeconds": 120,
    "load": {"rps": 50},
    "slo": {"maxP99LatencyMs": 1500, "minSuccessRate": 0.90},
    "zipkin": {"serviceName": "user-service", "lookbackSeconds": 180},
}
CHECK = Check(metric="success-rate", limit=0.9, comparison=">=", decision="pass", value=1.0)
EDGE = Edge(caller="shop", callee="user-service", requests=100, calling=100, calls=111, errors=11)
SEEN = TraceWindow(
    window="client",
    start_ms=1,
    end_ms=2,
    traces=100,
    spans=311,
    requests=100,
    errors=0,
    without_duration=0,
    p99_latency_ms=12.5,
    success_rate=1.0,
    edges=(EDGE,),
)
TRACES = Traces(
    run="r", name="traces", service="shop", side="server", caller=None, error_rule="tag", measured=SEEN, baseline=SEEN
)
DOCUMENTS = {
    "experiment": EXPERIMENT,
    "window": Window(run="r", name="client", start_ms=1, end_ms=2, source="k6-load"),
    "verdict": Verdict(run="r", name="client", command="k6-slo", verdict="pass", exit_code=0, checks=(CHECK,)),
    "traces": TRACES,
    "error": ErrorRecord(run="r", name="inject", exit_code=4, message="refused"),
    "limits": Limits(max_percentage=20, max_duration="5m", allowed_hosts=("*.svc",)),
}


def schema(name: str) -> dict[str, Any]:
    """A published schema."""
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return found


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda path: path.stem)
def test_a_schema_is_one(path: Path) -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(path.read_text()))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_of_ours_is_valid_and_one_with_a_strange_field_is_not(name: str) -> None:
    document = json.loads(msgspec.json.encode(DOCUMENTS[name]))
    jsonschema.validate(document, schema(name))
    with pytest.raises(jsonschema.ValidationError, match="strange"):
        jsonschema.validate({**document, "strange": 1}, schema(name))


def test_fields_are_described() -> None:
    assert schema("window")["properties"]["pointsSha256"]["description"] == "SHA-256 of points/NAME.npy."
    assert schema("window")["properties"]["run"]["description"] == "Run that wrote the file."
    assert "description" in schema("verdict")["$defs"]["Check"]["properties"]["needed"]
