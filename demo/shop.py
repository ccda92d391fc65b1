"""shop of the demo: every page needs user-service, which it reaches through a gateway.

    python demo/shop.py --listen 127.0.0.1:8080 --upstream http://127.0.0.1:8000 --host user-service.production.svc

A call that fails is tried again, at most twice, while retries are no more than a fifth of all calls. With --brittle it
is not, and the page fails with it: the weakness that the demo's experiment finds. With --breaker there are hardly any
calls while most of them fail. With --fallback a page does without user-service when it has to.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import threading
import time
from urllib.parse import urlsplit

from breaker import CircuitBreaker, CircuitOpen
from tracing import Span, Tracer
from web import JsonHandler, serve, service_options

MAX_RETRIES = 2
TIMEOUT_SECONDS = 2.0
NOBODY = {"id": None, "name": "Guest"}


class RetryBudget:
    """Allows `ratio` retries per call over time, and `reserve` at once: retries must not multiply an outage's load."""

    def __init__(self, ratio: float = 0.2, reserve: float = 10.0) -> None:
        self._ratio = ratio
        self._reserve = reserve
        self._tokens = reserve
        self._lock = threading.Lock()

    def earn(self) -> None:
        """Count a call."""
        with self._lock:
            self._tokens = min(self._reserve, self._tokens + self._ratio)

    def spend(self) -> bool:
        """Whether a retry is allowed now; if so, it is counted."""
        with self._lock:
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True


class CallFailed(Exception):
    """One call of user-service brought no user."""


class UserClient:
    """Calls user-service over one connection that is kept open."""

    def __init__(
        self, upstream: str, host: str, tracer: Tracer, budget: RetryBudget | None, breaker: CircuitBreaker | None
    ) -> None:
        """`budget` None: a failed call is not tried again. `breaker` None: every call is made."""
        self._host = host
        self._tracer = tracer
        self._budget = budget
        self._breaker = breaker
        parts = urlsplit(upstream)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT_SECONDS)

    def user(self, user_id: str, page: Span) -> object:
        """Fetch one user for a page. Raises CallFailed, after retries where there is a budget."""
        if self._budget is None:
            return self._attempt(user_id, page)
        self._budget.earn()
        for attempt in range(MAX_RETRIES):
            try:
                return self._attempt(user_id, page)
            except CallFailed:
                if not self._budget.spend():
                    raise
                time.sleep(random.uniform(0.005, 0.02) * 2**attempt)
        return self._attempt(user_id, page)

    def close(self) -> None:
        """Close the connection; the next call opens it again."""
        self._connection.close()

    def _attempt(self, user_id: str, page: Span) -> object:
        path = f"/users/{user_id}"
        with self._tracer.client(page, "user-service", "GET", path) as call:
            if self._breaker is None:
                return self._fetch(path, call)
            return self._breaker.call(lambda: self._fetch(path, call))

    def _fetch(self, path: str, call: Span) -> object:
        try:
            self._connection.request("GET", path, headers={"Host": self._host, **call.headers})
            answer = self._connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise CallFailed(f"user-service: {error!r}") from error
        call.status = answer.status
        if answer.status != 200:
            raise CallFailed(f"user-service answered {answer.status}")
        return json.loads(body)


def shop_handler(options: argparse.Namespace) -> type[JsonHandler]:
    """The handler of a shop; every client's connection has its own connection to user-service."""
    budget = None if options.brittle else RetryBudget()
    breaker = CircuitBreaker() if options.breaker else None

    class Shop(JsonHandler):
        def setup(self) -> None:
            super().setup()
            self.users = UserClient(options.upstream, options.host, self.tracer, budget, breaker)

        def finish(self) -> None:
            self.users.close()
            super().finish()

        def answer(self, request: Span) -> tuple[int, object]:
            try:
                user = self.users.user("1", request)
            except (CallFailed, CircuitOpen) as error:
                if not options.fallback:
                    return 502, {"error": str(error)}
                user = NOBODY
            return 200, {"page": self.path, "user": user}

    return Shop


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    service_options(parser)
    parser.add_argument("--upstream", required=True, metavar="URL", help="the gateway")
    parser.add_argument("--host", required=True, help="Host header that the gateway routes to user-service")
    parser.add_argument("--brittle", action="store_true", help="no retries")
    parser.add_argument("--breaker", action="store_true", help="a circuit breaker around the calls of user-service")
    parser.add_argument("--fallback", action="store_true", help="a page without its user instead of an error")
    options = parser.parse_args()
    serve("shop", options, shop_handler(options))


if __name__ == "__main__":
    main()
