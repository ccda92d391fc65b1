"""user-service of the demo: knows users, a few milliseconds each.

python demo/user_service.py --listen 127.0.0.1:8081 --zipkin http://127.0.0.1:9411
"""

from __future__ import annotations

import argparse
import time

from tracing import Span
from web import JsonHandler, serve, service_options

LOOKUP_SECONDS = 0.005


class UserService(JsonHandler):
    """GET /users/ID."""

    def answer(self, _request: Span) -> tuple[int, object]:
        """One user, whoever is asked for."""
        time.sleep(LOOKUP_SECONDS)
        return 200, {"id": self.path.rpartition("/")[2], "name": "Ada"}


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    service_options(parser)
    serve("user-service", parser.parse_args(), UserService)


if __name__ == "__main__":
    main()
