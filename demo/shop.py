"""shop of the demo: every page needs user-service, which it reaches through a gateway.

    python demo/shop.py --listen 127.0.0.1:8080 --upstream http://127.0.0.1:8000 --host user-service.production.svc

A call that fails is tried again, at most twice, while retries are no more than a fifth of all calls. With --brittle it
is not, and the page fails with it: the weakness that the demo's experiment finds.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import threading
import time
from urllib.parse import urlsplit

from web import JsonHandler, listen_option, serve

MAX_RETRIES = 2
TIMEOUT_SECONDS = 2.0


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

    def __init__(self, upstream: str, host: str, budget: RetryBudget | None) -> None:
        """`budget` None: a failed call is not tried again."""
        self._host = host
        self._budget = budget
        parts = urlsplit(upstream)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT_SECONDS)

    def user(self, user_id: str) -> object:
        """Fetch one user. Raises CallFailed, after retries where there is a budget."""
        if self._budget is None:
            return self._fetch(user_id)
        self._budget.earn()
        for attempt in range(MAX_RETRIES):
            try:
                return self._fetch(user_id)
            except CallFailed:
                if not self._budget.spend():
                    raise
                time.sleep(random.uniform(0.005, 0.02) * 2**attempt)
        return self._fetch(user_id)

    def close(self) -> None:
        """Close the connection; the next call opens it again."""
        self._connection.close()

    def _fetch(self, user_id: str) -> object:
        try:
            self._connection.request("GET", f"/users/{user_id}", headers={"Host": self._host})
            answer = self._connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise CallFailed(f"user-service: {error!r}") from error
        if answer.status != 200:
            raise CallFailed(f"user-service answered {answer.status}")
        return json.loads(body)


def shop_handler(upstream: str, host: str, budget: RetryBudget | None) -> type[JsonHandler]:
    """The handler of a shop; every client's connection has its own connection to user-service."""

    class Shop(JsonHandler):
        def setup(self) -> None:
            super().setup()
            self.users = UserClient(upstream, host, budget)

        def finish(self) -> None:
            self.users.close()
            super().finish()

        def answer(self) -> tuple[int, object]:
            try:
                return 200, {"page": self.path, "user": self.users.user("1")}
            except CallFailed as error:
                return 502, {"error": str(error)}

    return Shop


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    listen_option(parser)
    parser.add_argument("--upstream", required=True, metavar="URL", help="the gateway")
    parser.add_argument("--host", required=True, help="Host header that the gateway routes to user-service")
    parser.add_argument("--brittle", action="store_true", help="no retries")
    arguments = parser.parse_args()
    budget = None if arguments.brittle else RetryBudget()
    serve(arguments.listen, shop_handler(arguments.upstream, arguments.host, budget))


if __name__ == "__main__":
    main()
