"""JSON Schemas of all documents that the commands read and write."""

from __future__ import annotations

import ast
import inspect
import json
from itertools import pairwise
from typing import Any

import msgspec

from chaos_steps.experiment import json_schema
from chaos_steps.limits import Limits
from chaos_steps.operate.experiment_report.document import Report
from chaos_steps.traces import Traces
from chaos_steps.workspace import ErrorRecord, Verdict, Window

DRAFT = "https://json-schema.org/draft/2020-12/schema"

_DOCUMENTS: dict[str, tuple[str, type[msgspec.Struct]]] = {
    "window": ("windows/NAME.json", Window),
    "verdict": ("verdicts/NAME.json", Verdict),
    "traces": ("traces/NAME.json", Traces),
    "error": ("errors/NAME.json", ErrorRecord),
    "report": ("report/verdict.json", Report),
    "limits": ("limits.yaml", Limits),
}


def schemas() -> dict[str, str]:
    """File name -> JSON text."""
    found = {"experiment": json_schema(), **{name: _schema(*entry) for name, entry in _DOCUMENTS.items()}}
    return {f"{name}.json": json.dumps(schema, indent=2, ensure_ascii=False) + "\n" for name, schema in found.items()}


def _schema(title: str, kind: type[msgspec.Struct]) -> dict[str, Any]:
    (root,), definitions = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    name = root["$ref"].rpartition("/")[2]
    for part in _structs(kind):
        _describe_fields(definitions[part.__name__], part)
    return {
        "$schema": DRAFT,
        **definitions.pop(name),
        "title": title,
        **({"$defs": definitions} if definitions else {}),
    }


def _structs(kind: type[msgspec.Struct]) -> list[type[msgspec.Struct]]:
    """The struct and all that its fields are made of."""
    types = [kind]
    for found in types:
        for field in msgspec.inspect.type_info(found).fields:  # type: ignore[attr-defined]
            types += [part for part in _parts(field.type) if part not in types]
    return types


def _parts(info: Any) -> list[type[msgspec.Struct]]:
    if isinstance(info, msgspec.inspect.StructType):
        return [info.cls]
    inner = [*getattr(info, "types", ()), *(part for part in (getattr(info, "item_type", None),) if part)]
    return [part for one in inner for part in _parts(one)]


def _describe_fields(schema: dict[str, Any], kind: type[msgspec.Struct]) -> None:
    """Put the text after each field, which Python does not keep, into the schema."""
    names = {field.name: field.encode_name for field in msgspec.structs.fields(kind)}
    for owner in reversed(kind.__mro__):
        if owner.__module__.startswith("chaos_steps."):
            for name, text in _field_texts(owner).items():
                schema["properties"][names[name]]["description"] = text


def _field_texts(kind: type) -> dict[str, str]:
    (body,) = (
        node.body
        for node in ast.parse(inspect.cleandoc("\n" + inspect.getsource(kind))).body
        if isinstance(node, ast.ClassDef)
    )
    found: dict[str, str] = {}
    for field, text in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and (words := _words(text)):
            found[field.target.id] = words
    return found


def _words(node: ast.stmt) -> str:
    """The text of a statement that is nothing but a text; else nothing."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return inspect.cleandoc(node.value.value)
    return ""
