"""ConfigMaps in memory with the API server's rules for names, uids and resourceVersions.

For tests with very many requests. tests/test_kube.py asks it and the real API server the same.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from chaos_steps.http import Http, Response


class ApiDouble(Http):
    """Takes the place of the HTTP client. Knows one collection, whatever its path."""

    def __init__(self) -> None:
        super().__init__("http://double.test")
        self.objects: dict[str, str] = {}
        """Name -> the object as JSON."""
        self._numbers = itertools.count(1)

    def request(
        self,
        method: str,
        path: str = "",
        *,
        json: Any = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Response:
        status, body = self.answer(method, path, json, params or {})
        return Response(status, {}, body.encode(), self.base_url + path, 0.0)

    def answer(self, method: str, path: str, sent: Any, params: Mapping[str, str]) -> tuple[int, str]:
        """Status and body."""
        name = urlsplit(path).path.partition("/configmaps")[2].lstrip("/")
        if method == "POST":
            return self._create(sent)
        if not name:
            return self._list(params["labelSelector"])
        if name not in self.objects:
            return _failure(404, f'configmaps "{name}" not found')
        if method == "GET":
            return 200, self.objects[name]
        there = json.loads(self.objects[name])
        wanted = sent["preconditions"] if method == "DELETE" else sent["metadata"]
        for key in ("uid", "resourceVersion"):
            if wanted.get(key, there["metadata"][key]) != there["metadata"][key]:
                return _failure(409, f"{key} is {there['metadata'][key]}")
        if method == "DELETE":
            del self.objects[name]
            return 200, '{"kind": "Status", "status": "Success"}'
        return self._update(name, there, sent)

    def _create(self, sent: Any) -> tuple[int, str]:
        name = sent["metadata"]["name"]
        if name in self.objects:
            return _failure(409, f'configmaps "{name}" already exists')
        metadata = {**sent["metadata"], "uid": f"uid-{next(self._numbers)}", "resourceVersion": self._version()}
        self.objects[name] = json.dumps({**sent, "metadata": metadata})
        return 201, self.objects[name]

    def _update(self, name: str, there: Any, sent: Any) -> tuple[int, str]:
        # A write that changes nothing leaves the resourceVersion as it is.
        metadata = {**there["metadata"], **sent["metadata"], "resourceVersion": there["metadata"]["resourceVersion"]}
        changed = {**sent, "metadata": metadata}
        if changed != there:
            metadata["resourceVersion"] = self._version()
        self.objects[name] = json.dumps(changed)
        return 200, self.objects[name]

    def _list(self, selector: str) -> tuple[int, str]:
        key, _, value = selector.partition("=")
        items = [json.loads(each) for each in self.objects.values()]
        found = [each for each in items if each["metadata"].get("labels", {}).get(key) == value]
        return 200, json.dumps({"metadata": {}, "items": found})

    def _version(self) -> str:
        return str(next(self._numbers))


def _failure(status: int, message: str) -> tuple[int, str]:
    return status, json.dumps({"kind": "Status", "status": "Failure", "message": message, "code": status})
