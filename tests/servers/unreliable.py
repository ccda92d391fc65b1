"""A proxy in front of a real server that misbehaves on purpose, for one HTTP method at a time."""

from __future__ import annotations

import ssl
import threading
from dataclasses import dataclass

from tests.servers.call import call
from tests.servers.upstream import Reply, Request, Upstream

_HOP_BY_HOP = {"connection", "content-length", "date", "host", "keep-alive", "server", "transfer-encoding"}


@dataclass(frozen=True)
class Misbehaviour:
    """What happens to a request instead of being passed on and answered truly.

    `passed_on`: the real server gets it all the same. `reply`: what the client gets; None closes the connection without
    an answer. `hangs`: the client gets nothing until `Unreliable.behave`.
    """

    passed_on: bool = False
    reply: Reply | None = None
    hangs: bool = False


class Unreliable(Upstream):
    """Passes requests on to `target`, a base URL; `misbehave` changes that for a method until `behave`.

    `tls`: what a client of the target needs when its URL is https; the proxy itself is plain http.
    """

    def __init__(self, target: str, tls: ssl.SSLContext | None = None) -> None:
        super().__init__()
        self._target = target
        self._tls = tls
        self._released = threading.Event()
        self._misbehaviours: dict[str, Misbehaviour] = {}
        self._by_number: dict[int, Misbehaviour] = {}
        self.respond = self._respond

    def misbehave(
        self, method: str, *, passed_on: bool = False, reply: Reply | None = None, hangs: bool = False
    ) -> None:
        """From now on treat requests of `method` so; the arguments are those of Misbehaviour."""
        self._released.clear()
        self._misbehaviours[method] = Misbehaviour(passed_on, reply, hangs)

    def misbehave_at(self, number: int, *, passed_on: bool = False, reply: Reply | None = None) -> None:
        """Treat one request so, whatever its method: the number-th since the last reset, counted from 1."""
        self._by_number[number] = Misbehaviour(passed_on, reply)

    def behave(self) -> None:
        """Be a plain proxy again; requests that hang are closed."""
        self._misbehaviours.clear()
        self._by_number.clear()
        self._released.set()

    def __exit__(self, *_: object) -> None:
        self.behave()
        super().__exit__()

    def _respond(self, request: Request) -> Reply:
        wrong = self._by_number.get(self.count) or self._misbehaviours.get(request.method)
        answer = self._pass_on(request) if wrong is None or wrong.passed_on else None
        if wrong is not None:
            answer = wrong.reply
            if wrong.hangs:
                self._released.wait()
        if answer is None:
            raise ConnectionAbortedError
        return answer

    def _pass_on(self, request: Request) -> Reply:
        headers = {name: value for name, value in request.headers.items() if name not in _HOP_BY_HOP}
        body = request.body or None
        answer = call(request.method, self._target + request.path, body=body, headers=headers, tls=self._tls)
        kept = {name: value for name, value in answer.headers.items() if name not in _HOP_BY_HOP}
        return Reply(answer.status, answer.body, kept)
