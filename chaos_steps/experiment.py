"""The experiment file: what Consul holds and what drives a run. The JSON Schema is published from these classes.

JSON or YAML. Every mistake is a UsageError that names the path: `$.fault.errrorCode is not a known field`.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from chaos_steps.errors import UsageError

MAX_BYTES = 512 * 1024
"""Consul's own limit for a value."""
_MAX_NODES = 100_000
_MAX_DEPTH = 100

# The end of the text in Python and in JSON Schema's dialect alike; `$` would let a line break follow.
_END = r"(?![\s\S])"
_NO_CONTROL = r"[^\x00-\x1f\x7f]"

Name = Annotated[str, Meta(min_length=1, max_length=253, pattern=rf"^\S({_NO_CONTROL}*\S)?{_END}")]
Share = Annotated[
    float, Meta(gt=0, le=100, description="Percentage, above 0 up to 100: 0 is a fault that does not happen.")
]
Status = Annotated[int, Meta(ge=200, le=599, description="HTTP status, 200 to 599: a 1xx is no final answer.")]
Host = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=253,
        pattern=rf"^[^\s/@?#]+{_END}",
        description="Host name as clients send it, without scheme.",
    ),
]
Path = Annotated[
    str, Meta(pattern=rf"^/\S*{_END}", description="Only requests below this path, which starts with a slash.")
]
ProbeUrl = Annotated[
    str,
    Meta(
        pattern=rf"^https?://[^\s/@?#]+([/?]\S*)?{_END}",
        description="An http or https address on the faulted path; hold asks it to measure the faulted share.",
    ),
]


class _Part(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    pass


class Fault(_Part, frozen=True, kw_only=True, tag_field="type"):
    """What every kind of fault has."""

    probe_url: ProbeUrl | None = None

    @property
    def kind(self) -> str:
        """The `type` it is tagged with."""
        return str(self.__struct_config__.tag)


class HttpErrorFault(Fault, frozen=True, kw_only=True, tag="L7_HTTP_ERROR"):
    """A gateway or WAF answers a share of the requests to a host with an error."""

    target_host: Host
    error_code: Status
    percentage: Share
    path: Path | None = None


class HttpDelayFault(Fault, frozen=True, kw_only=True, tag="L7_HTTP_DELAY"):
    """A gateway or WAF delays a share of the requests to a host."""

    target_host: Host
    delay_ms: Annotated[float, Meta(gt=0, description="Milliseconds, above 0.")]
    percentage: Share
    path: Path | None = None


class EnvoyAbort(_Part, frozen=True, kw_only=True):
    """Requests that Envoy answers itself."""

    status: Status
    percentage: Share


class EnvoyDelay(_Part, frozen=True, kw_only=True):
    """Requests that Envoy holds back."""

    ms: Annotated[float, Meta(gt=0, description="Milliseconds, above 0.")]
    percentage: Share


class EnvoyFault(Fault, frozen=True, kw_only=True, tag="ENVOY_FAULT"):
    """Envoy's fault filter acts on requests to one upstream; abort, delay or both."""

    upstream: Name
    abort: EnvoyAbort | None = None
    delay: EnvoyDelay | None = None

    def __post_init__(self) -> None:
        if self.abort is None and self.delay is None:
            raise ValueError("neither abort nor delay, so nothing would happen")


class ToxicFault(Fault, frozen=True, kw_only=True, tag="TOXIC"):
    """A toxic on a Toxiproxy proxy; `toxicType` and `attributes` are Toxiproxy's own names."""

    proxy: Annotated[Name, Meta(description="Name of the proxy in Toxiproxy.")]
    toxic_type: Annotated[Name, Meta(description="Toxiproxy's `type` of the toxic, such as latency or timeout.")]
    attributes: Annotated[dict[str, int], Meta(description="Toxiproxy's attributes of this toxic, whole numbers.")]
    stream: Literal["upstream", "downstream"] = "downstream"
    toxicity: Annotated[float, Meta(gt=0, le=1, description="Share of connections, above 0 up to 1.")] = 1.0


class PodKillFault(Fault, frozen=True, kw_only=True, tag="POD_KILL"):
    """Pods of a namespace are deleted, so many or such a share of them."""

    namespace: Name
    selector: Annotated[Name, Meta(description="Kubernetes label selector, such as app=shop.")]
    count: Annotated[int, Meta(ge=1, description="How many pods, at least 1.")] | None = None
    percentage: Share | None = None

    def __post_init__(self) -> None:
        if (self.count is None) == (self.percentage is None):
            raise ValueError("needs one of count and percentage")


class DeploymentCloneFault(Fault, frozen=True, kw_only=True, tag="DEPLOYMENT_CLONE"):
    """A changed clone of a Deployment serves a part of its traffic; its options are given to the command."""


class ChaosMeshFault(Fault, frozen=True, kw_only=True, tag="CHAOS_MESH"):
    """A Chaos Mesh object is created and deleted."""

    manifest: Annotated[
        dict[str, Any] | Name, Meta(description="The Chaos Mesh object itself, or the name of a file that holds it.")
    ]


AnyFault = (
    HttpErrorFault | HttpDelayFault | EnvoyFault | ToxicFault | PodKillFault | DeploymentCloneFault | ChaosMeshFault
)


class Load(_Part, frozen=True, kw_only=True):
    """The traffic during the experiment."""

    rps: Annotated[float, Meta(gt=0, description="Requests per second, above 0, at a constant arrival rate.")]


class Slo(_Part, frozen=True, kw_only=True):
    """What must hold while the fault is there; at least one limit."""

    max_p99_latency_ms: Annotated[float, Meta(gt=0, description="Milliseconds, above 0.")] | None = None
    min_success_rate: Annotated[float, Meta(ge=0, le=1, description="From 0 to 1.")] | None = None
    max_p99_increase_percent: (
        Annotated[float, Meta(ge=0, description="Percent by which the P99 may lie above the baseline's, from 0.")]
        | None
    ) = None
    max_success_drop: (
        Annotated[float, Meta(ge=0, le=1, description="How far the success rate may lie below the baseline's, 0 to 1.")]
        | None
    ) = None

    def __post_init__(self) -> None:
        if all(getattr(self, name) is None for name in self.__struct_fields__):
            raise ValueError(f"no limit; give at least one of {', '.join(self.__struct_encode_fields__)}")


class Zipkin(_Part, frozen=True, kw_only=True):
    """Where the traces of the service are found."""

    service_name: Annotated[Name, Meta(description="Service name as the service reports it to Zipkin.")]
    lookback_seconds: (
        Annotated[float, Meta(gt=0, description="Seconds, above 0; used only where no window is known.")] | None
    ) = None


class Experiment(_Part, frozen=True, kw_only=True):
    """A chaos experiment: one fault, the load during it and the limits that must hold."""

    experiment_name: Annotated[Name, Meta(description="Name for people and reports, up to 253 characters.")]
    fault: AnyFault
    duration_seconds: Annotated[float, Meta(gt=0, description="How long the fault lasts, in seconds, above 0.")]
    load: Load
    enabled: Annotated[bool, Meta(description="false: the run ends green having touched nothing.")] = True
    slo: Slo | None = None
    zipkin: Zipkin | None = None


class Source(_Part, frozen=True, kw_only=True):
    """Where an experiment was read, and what exactly."""

    sha256: Annotated[str, Meta(description="SHA-256 of the text as it was read, in hex.")]
    url: Annotated[str, Meta(description="Address of the Consul agent; absent for a file or inline text.")] | None = (
        None
    )
    key: str | None = None
    modify_index: Annotated[int, Meta(description="Consul's ModifyIndex of the key.")] | None = None
    datacenter: str | None = None
    namespace: str | None = None


class ExperimentFile(Experiment, frozen=True, kw_only=True):
    """experiment.json of a workspace: the experiment, with the run that wrote it and where it came from."""

    run: Annotated[str, Meta(description="Run that wrote the file; absent in a file written by hand.")] | None = None
    source: Source | None = None


def parse(data: bytes | str, *, where: str) -> Experiment:
    """The experiment in JSON or YAML text. Raises UsageError, which names `where` and the path of the mistake."""
    return _convert(_read(data, where), Experiment, where)


def parse_file(data: bytes | str, *, where: str) -> ExperimentFile:
    """As `parse`, for a file that may also carry `run` and `source`."""
    return _convert(_read(data, where), ExperimentFile, where)


def file_of(experiment: Experiment, *, run: str, source: Source) -> ExperimentFile:
    """The experiment as it stands in the workspace of a run."""
    fields = {name: getattr(experiment, name) for name in Experiment.__struct_fields__}
    return ExperimentFile(**fields, run=run, source=source)


def json_schema() -> dict[str, Any]:
    """The published JSON Schema (draft 2020-12) of the experiment file."""
    schema = _schema_of(Experiment)
    definitions = schema["$defs"]
    # What __post_init__ asks for.
    definitions["EnvoyFault"]["anyOf"] = [_holds("abort"), _holds("delay")]
    definitions["PodKillFault"]["oneOf"] = [_holds("count"), _holds("percentage")]
    definitions["Slo"]["anyOf"] = [_holds(name) for name in Slo.__struct_encode_fields__]
    root = definitions.pop("Experiment")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **root,
        "title": "Chaos experiment",
        "$defs": definitions,
    }


def _schema_of(kind: type[Struct]) -> dict[str, Any]:
    return msgspec.json.schema(kind)


def _holds(field: str) -> dict[str, Any]:
    return {"required": [field], "properties": {field: {"not": {"type": "null"}}}}


# Text to plain values.


def _read(data: bytes | str, where: str) -> Any:
    """Plain JSON values. Text that begins like JSON is JSON, anything else YAML."""
    raw = data.encode() if isinstance(data, str) else data
    if len(raw) > MAX_BYTES:
        raise UsageError(f"{where} has {len(raw)} bytes, at most {MAX_BYTES} are read")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{where} is not UTF-8 text (byte {error.start})") from None
    if not text.strip():
        raise UsageError(f"{where} is empty")
    try:
        value = _read_json(text, where) if text.lstrip()[0] in "{[" else _read_yaml(text, where)
        _check_plain(value, where)
    except RecursionError:
        raise UsageError(f"{where} is nested too deeply") from None
    return value


def _read_json(text: str, where: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise UsageError(f"{where} is not JSON: line {error.lineno} column {error.colno}: {error.msg}") from None
    except ValueError as error:
        raise UsageError(f"{where} is not JSON: {error}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"field {twice!r} is given twice")
    return found


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not a number")


def _read_yaml(text: str, where: str) -> Any:
    import yaml  # noqa: PLC0415 - most experiments are JSON

    try:
        _check_depth(yaml.parse(text, Loader=yaml.CSafeLoader), where)
        node = yaml.compose(text, Loader=yaml.CSafeLoader)
        for name, line in _twice(node):
            raise UsageError(f"{where} line {line}: field {name!r} is given twice")
        return yaml.load(text, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1} column {mark.column + 1}: " if mark else ""
        raise UsageError(f"{where} is not YAML: {place}{error.problem}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise UsageError(f"{where} is not YAML: {error}") from None


def _check_depth(events: Iterator[Any], where: str) -> None:
    """libyaml's composer recurses in C: a text that is nested deeply enough would crash the process."""
    import yaml  # noqa: PLC0415

    depth = 0
    for event in events:
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            raise UsageError(f"{where} is nested too deeply")


def _twice(root: Any) -> Iterator[tuple[str, int]]:
    """Repeated keys with their lines. Each node once: an anchor may be used often, or hold itself."""
    import yaml  # noqa: PLC0415

    waiting, seen = [root], set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            names: set[str] = set()
            for key, value in node.value:
                if isinstance(key, yaml.ScalarNode):
                    if key.value in names:
                        yield key.value, key.start_mark.line + 1
                    names.add(key.value)
                waiting.append(value)
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value


def _check_plain(value: Any, where: str) -> None:
    """Refuse what JSON cannot say (NaN, dates, keys that are no text) and anchors that expand without end."""
    waiting: list[tuple[str, Any]] = [("$", value)]
    count = 0
    while waiting:
        path, value = waiting.pop()
        count += 1
        if count > _MAX_NODES:
            raise UsageError(f"{where} holds more than {_MAX_NODES} values")
        if isinstance(value, dict):
            for key, inner in value.items():
                if not isinstance(key, str):
                    raise UsageError(f"{where}: {path}: key {key!r} is not text", hint="put it in quotes")
                waiting.append((f"{path}.{key}", inner))
        elif isinstance(value, list):
            waiting += [(f"{path}[{index}]", inner) for index, inner in enumerate(value)]
        elif isinstance(value, float) and not math.isfinite(value):
            raise UsageError(f"{where}: {path} is {value}, not a finite number")
        elif not isinstance(value, str | int | float | None):
            raise UsageError(
                f"{where}: {path} is a {type(value).__name__}, not text or a number", hint="put it in quotes"
            )


# Plain values to structs, and msgspec's errors to ours.

Kind = TypeVar("Kind", bound=Experiment)


def _convert(value: Any, kind: type[Kind], where: str) -> Kind:
    if not isinstance(value, dict):
        raise UsageError(f"{where} is not an object", hint="write an experiment, see experiment-check --print-schema")
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        message, hint = _explain(str(error), value, kind)
        raise UsageError(f"{where}: {message}", hint=hint) from None


def _explain(text: str, value: dict[str, Any], kind: type[Struct]) -> tuple[str, str]:
    """Message and hint for one of msgspec's messages, such as "Expected `int`, got `str` - at `$.fault.errorCode`"."""
    what, _, place = text.partition(" - at `")
    path = place.rstrip("`") or "$"
    node, found = _at(path, _schema_of(kind), value)
    fields = node.get("properties", {})
    if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", what):
        return f"{path}.{unknown[1]} is not a known field", _near(unknown[1], list(fields))
    if missing := re.fullmatch(r"Object missing required field `(.*)`", what):
        return f"{path}.{missing[1]} is missing", _purpose(fields.get(missing[1], {}))
    if re.fullmatch(r"Invalid (enum )?value '.*'", what):
        return f"{path}: {_short(found)} is not known", _near(str(found), [str(choice) for choice in node["enum"]])
    if "[" in path:  # Into a list or a map, where msgspec does not name the place.
        return f"{path}: {what.replace('`', '')}", _purpose(node)
    if expected := re.fullmatch(r"Expected `([^`]*)`(.*)", what):
        return f"{path}: {_expectation(expected[1], expected[2], found)}", _purpose(node)
    return f"{path}: {what}", ""


_KINDS = {"str": "text", "int": "a whole number", "float": "a number", "bool": "true or false", "object": "an object"}


def _expectation(kinds: str, rest: str, found: Any) -> str:
    """In words: `float` with ` <= 100.0`, or `int | null` with `, got `str``."""
    wanted = " or ".join(_KINDS.get(kind, kind) for kind in kinds.split(" | "))
    if "matching regex" in rest:
        return f"{_short(found)} does not have the form that is asked for"
    limit = "" if rest.startswith(",") else rest.replace(".0", "")
    return f"expected {wanted}{limit}, got {_short(found)}"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _at(path: str, schema: dict[str, Any], value: Any) -> tuple[dict[str, Any], Any]:
    """Schema and value at `path`; an empty schema where it says nothing."""
    node = _resolve(schema, schema, value)
    for key in path.split(".")[1:]:
        value = value.get(key) if isinstance(value, dict) else None
        node = _resolve(node.get("properties", {}).get(key, {}), schema, value)
    return node, value


def _resolve(node: dict[str, Any], schema: dict[str, Any], value: Any) -> dict[str, Any]:
    """Follow a reference, the choice that an object's type makes, and past a null that is allowed."""
    while True:
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rpartition("/")[2]]
        elif "discriminator" in node:
            reference = node["discriminator"]["mapping"].get(value.get("type") if isinstance(value, dict) else None)
            if reference is None:
                return {"properties": {"type": {"enum": list(node["discriminator"]["mapping"])}}}
            node = {"$ref": reference}
        elif "anyOf" in node:
            node = {**node["anyOf"][0], **{key: inner for key, inner in node.items() if key != "anyOf"}}
        else:
            return node


def _purpose(node: dict[str, Any]) -> str:
    return str(node.get("description", "")).rstrip(".")


def _near(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, 1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
