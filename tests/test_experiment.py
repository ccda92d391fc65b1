"""The experiment file: what it may hold, and that a mistake is named by its path."""

from __future__ import annotations

import copy
import json
from typing import Any

import jsonschema
import msgspec
import pytest
import yaml

from chaos_steps.errors import UsageError
from chaos_steps.experiment import MAX_BYTES, ExperimentFile, Source, file_of, json_schema, parse, parse_file

# The example of the documentation.
EXAMPLE = """
    {"experimentName": "user-service-503-resilience", "enabled": true,
     "fault": {"type": "L7_HTTP_ERROR", "targetHost": "user-service.production.svc", "errorCode": 503,
               "percentage": 10},
     "durationSeconds": 120, "load": {"rps": 50},
     "slo": {"maxP99LatencyMs": 1500, "minSuccessRate": 0.90},
     "zipkin": {"serviceName": "user-service", "lookbackSeconds": 180}}
"""
ENVOY = {"type": "ENVOY_FAULT", "upstream": "u", "abort": {"status": 503, "percentage": 1}}
TOXIC = {"type": "TOXIC", "proxy": "db", "toxicType": "latency", "attributes": {"latency": 100}}
POD_KILL = {"type": "POD_KILL", "namespace": "shop", "selector": "app=shop", "count": 1}
FAULTS: list[dict[str, Any]] = [
    {"type": "L7_HTTP_ERROR", "targetHost": "a.b:8080", "errorCode": 200, "percentage": 0.01, "path": "/api"},
    {"type": "L7_HTTP_DELAY", "targetHost": "a", "delayMs": 0.5, "percentage": 100},
    ENVOY,
    {"type": "ENVOY_FAULT", "upstream": "u", "delay": {"ms": 100, "percentage": 50}},
    TOXIC,
    {**TOXIC, "stream": "upstream", "toxicity": 0.3},
    POD_KILL,
    {"type": "POD_KILL", "namespace": "shop", "selector": "app=shop", "percentage": 50},
    {"type": "DEPLOYMENT_CLONE"},
    {"type": "CHAOS_MESH", "manifest": {"kind": "NetworkChaos"}},
    {"type": "CHAOS_MESH", "manifest": "network.yaml"},
]
DROP = object()


def changed(path: str, value: object) -> dict[str, Any]:
    """The example with another value at a dotted path, or without it."""
    document: dict[str, Any] = json.loads(EXAMPLE)
    *parents, last = path.split(".")
    place = document
    for key in parents:
        place = place[key]
    if value is DROP:
        del place[last]
    else:
        place[last] = copy.deepcopy(value)
    return document


def mistake(text: str | bytes) -> str:
    with pytest.raises(UsageError) as raised:
        parse(text, where="HERE")
    assert raised.value.message.startswith("HERE")
    return str(raised.value)


def test_the_documented_example_is_read_whole() -> None:
    assert msgspec.to_builtins(parse(EXAMPLE, where="HERE")) == {
        **json.loads(EXAMPLE),
        "fault": {**json.loads(EXAMPLE)["fault"], "path": None, "probeUrl": None},
        "slo": {**json.loads(EXAMPLE)["slo"], "maxP99IncreasePercent": None, "maxSuccessDrop": None},
    }


def test_json_and_yaml_say_the_same() -> None:
    text = yaml.safe_dump(json.loads(EXAMPLE))
    assert parse(text, where="yaml") == parse(EXAMPLE.encode(), where="json")


def test_a_file_with_a_byte_order_mark_is_read() -> None:
    assert parse(b"\xef\xbb\xbf" + EXAMPLE.encode(), where="HERE").experiment_name == "user-service-503-resilience"


def test_only_name_fault_duration_and_load_are_needed() -> None:
    document = {key: json.loads(EXAMPLE)[key] for key in ("experimentName", "fault", "durationSeconds", "load")}
    experiment = parse(json.dumps(document), where="HERE")
    assert (experiment.enabled, experiment.slo, experiment.zipkin) == (True, None, None)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault["type"])
def test_every_kind_of_fault_is_read_by_its_type(fault: dict[str, Any]) -> None:
    document = changed("fault", {**fault, "probeUrl": "http://gateway:8080/health?full=1"})
    found = parse(json.dumps(document), where="HERE").fault
    assert (found.kind, found.probe_url) == (fault["type"], "http://gateway:8080/health?full=1")
    jsonschema.validate(document, json_schema())


MISTAKES: list[tuple[str, object, str]] = [
    ("fault.errrorCode", 1, "$.fault.errrorCode is not a known field; did you mean errorCode?"),
    ("slo.frequency", 1, "$.slo.frequency is not a known field; known: maxP99LatencyMs, minSuccessRate"),
    ("run", "r", "$.run is not a known field"),
    ("source", {}, "$.source is not a known field"),
    ("fault.errorCode", DROP, "$.fault.errorCode is missing; HTTP status, 200 to 599"),
    ("fault.errorCode", "503", '$.fault.errorCode: expected a whole number, got "503"'),
    ("fault.errorCode", 503.5, "$.fault.errorCode: expected a whole number, got 503.5"),
    ("fault.errorCode", True, "$.fault.errorCode: expected a whole number, got true"),
    ("fault.errorCode", 199, "$.fault.errorCode: expected a whole number >= 200, got 199"),
    ("fault.errorCode", 600, "$.fault.errorCode: expected a whole number <= 599, got 600"),
    ("fault.percentage", 0, "$.fault.percentage: expected a number > 0, got 0; Percentage, above 0 up to 100"),
    ("fault.percentage", 100.1, "$.fault.percentage: expected a number <= 100, got 100.1"),
    ("fault.percentage", 10**400, "$.fault.percentage: "),
    ("fault.targetHost", "", "$.fault.targetHost"),
    ("fault.targetHost", "http://a", '$.fault.targetHost: "http://a" does not have the form'),
    ("fault.targetHost", "a\n", '$.fault.targetHost: "a\\n" does not have the form'),
    ("fault.path", "api", "$.fault.path"),
    ("fault.probeUrl", "ftp://a", "$.fault.probeUrl"),
    ("fault.probeUrl", "http://me:pw@a/", "$.fault.probeUrl"),
    ("fault.type", "L7_HTTP_EROR", '$.fault.type: "L7_HTTP_EROR" is not known; did you mean L7_HTTP_ERROR?'),
    ("fault.type", DROP, "$.fault.type is missing"),
    ("fault.type", 5, "$.fault.type: expected text, got 5"),
    ("fault", [], "$.fault: expected an object, got []"),
    ("fault", {"type": "L7_HTTP_DELAY", "targetHost": "a", "delayMs": 0, "percentage": 1}, "$.fault.delayMs"),
    ("fault", {"type": "ENVOY_FAULT", "upstream": "u"}, "$.fault: neither abort nor delay"),
    ("fault", {**ENVOY, "abort": {"status": 503, "percentag": 1}}, "$.fault.abort.percentag is not a known field"),
    ("fault", {**ENVOY, "delay": {"ms": 0, "percentage": 1}}, "$.fault.delay.ms: expected a number > 0"),
    ("fault", {**TOXIC, "stream": "up"}, '$.fault.stream: "up" is not known; known: downstream, upstream'),
    ("fault", {**TOXIC, "toxicity": 0}, "$.fault.toxicity"),
    ("fault", {**TOXIC, "attributes": {"latency": "1"}}, "$.fault.attributes[...]: Expected int, got str"),
    ("fault", {**POD_KILL, "percentage": 5}, "$.fault: needs one of count and percentage"),
    ("fault", {"type": "POD_KILL", "namespace": "a", "selector": "b"}, "$.fault: needs one of count and percentage"),
    ("fault", {"type": "CHAOS_MESH", "manifest": 3}, "$.fault.manifest: expected text or an object, got 3"),
    ("durationSeconds", 0, "$.durationSeconds: expected a number > 0"),
    ("durationSeconds", "120s", "$.durationSeconds: expected a number"),
    ("load", DROP, "$.load is missing"),
    ("load.rps", 0, "$.load.rps: expected a number > 0"),
    ("slo", {}, "$.slo: no limit; give at least one of maxP99LatencyMs"),
    ("slo.minSuccessRate", 1.01, "$.slo.minSuccessRate: expected a number <= 1"),
    ("slo.minSuccessRate", -0.1, "$.slo.minSuccessRate: expected a number >= 0"),
    ("slo.maxP99LatencyMs", 0, "$.slo.maxP99LatencyMs"),
    ("slo.maxP99IncreasePercent", -1, "$.slo.maxP99IncreasePercent: expected a number >= 0"),
    ("slo.maxSuccessDrop", 1.01, "$.slo.maxSuccessDrop: expected a number <= 1"),
    ("zipkin.serviceName", "", "$.zipkin.serviceName"),
    ("zipkin.lookbackSeconds", 0, "$.zipkin.lookbackSeconds"),
    ("experimentName", "", "$.experimentName"),
    ("experimentName", " ", "$.experimentName"),
    ("experimentName", "a\x1b[31mb", "$.experimentName"),
    ("experimentName", "a" * 254, "$.experimentName"),
    ("experimentName", DROP, "$.experimentName is missing"),
    ("enabled", "false", '$.enabled: expected true or false, got "false"'),
    ("enabled", None, "$.enabled: expected true or false, got null"),
]


@pytest.mark.parametrize(("path", "value", "message"), MISTAKES)
def test_a_mistake_is_named_by_its_path(path: str, value: object, message: str) -> None:
    assert message in mistake(json.dumps(changed(path, value)))


@pytest.mark.parametrize(("path", "value", "message"), MISTAKES)
def test_the_schema_refuses_the_same_mistakes(path: str, value: object, message: str) -> None:
    assert list(jsonschema.Draft202012Validator(json_schema()).iter_errors(changed(path, value)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        ("plain text", "is not an object"),
        ("[]", "is not an object"),
        ("null", "is not an object"),
        ('{"experimentName": "x",', "is not JSON: line 1 column"),
        ('{"load": {"rps": 1, "rps": 2}}', "field 'rps' is given twice"),
        ('{"load": {"rps": NaN}}', "NaN is not a number"),
        ('{"load": {"rps": -Infinity}}', "-Infinity is not a number"),
        ('{"load": {"rps": 1e999}}', "$.load.rps is inf, not a finite number"),
        ("load:\n  rps: 1\n  rps: 2\n", "line 3: field 'rps' is given twice"),
        ("load: {rps: .nan}", "$.load.rps is nan, not a finite number"),
        ("load: {rps: 2026-01-01}", "$.load.rps is a date"),
        ("1: x", "$: key 1 is not text"),
        ("load: [", "is not YAML: line"),
        ("load: !!python/name:os.system x", "is not YAML: line 1"),
        ("a: &a [*a]", "holds more than"),
        (
            "a: &a [1, 1, 1, 1]\n"
            + "".join(f"{c}: &{c} [{', '.join([f'*{p}'] * 9)}]\n" for p, c in zip("abcdef", "bcdefg", strict=True)),
            "holds more than",
        ),
        (b"\xff", "is not UTF-8"),
        ("[" * 100_000, "nested too deeply"),
        ("a: " + "[" * 100_000 + "]" * 100_000, "nested too deeply"),
        ("a" * (MAX_BYTES + 1), f"at most {MAX_BYTES} are read"),
    ],
    ids=range(22),
)
def test_text_that_holds_no_experiment_is_a_usage_error(text: str | bytes, message: str) -> None:
    assert message in mistake(text)


def test_anchors_are_fine() -> None:
    text = yaml.safe_dump(json.loads(EXAMPLE)).replace("percentage: 10", "percentage: &ten 10")
    text = text.replace("rps: 50", "rps: *ten")
    assert parse(text, where="HERE").load.rps == 10


def test_the_file_of_a_workspace_carries_run_and_source() -> None:
    source = Source(sha256="ab", url="http://consul", key="k", modify_index=7)
    written = file_of(parse(EXAMPLE, where="HERE"), run="r-1", source=source)
    read = parse_file(msgspec.json.encode(written), where="HERE")
    assert read == written
    assert isinstance(read, ExperimentFile)
    assert (read.run, read.source) == ("r-1", source)


def test_a_file_written_by_hand_has_neither() -> None:
    read = parse_file(EXAMPLE, where="HERE")
    assert (read.run, read.source) == (None, None)


def test_the_schema_is_valid_and_says_what_fields_mean() -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(EXAMPLE), schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert all(kind.get("description") for kind in schema["$defs"].values())
    assert "0 is a fault that does not happen" in json.dumps(schema)
