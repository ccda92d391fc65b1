"""What the demo's two services share: a JSON server over HTTP/1.1 that keeps connections open."""

from __future__ import annotations

import argparse
import json
import signal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def listen_option(parser: argparse.ArgumentParser) -> None:
    """Add --listen HOST:PORT; port 0 lets the kernel choose."""
    parser.add_argument("--listen", default="127.0.0.1:0", metavar="HOST:PORT", help="default: %(default)s")


class JsonHandler(BaseHTTPRequestHandler):
    """One client's connection; a service overrides `answer`."""

    protocol_version = "HTTP/1.1"
    wbufsize = 65536  # Head and body leave in one packet: else delayed acknowledgements add 40 ms.

    def answer(self) -> tuple[int, object]:
        """Status and JSON body for a GET of `self.path`."""
        raise NotImplementedError

    def do_GET(self) -> None:
        """Answer one request."""
        status, document = self.answer()
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """No line per request."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, *_: object) -> None:
        """A client that hangs up in the middle is nothing to report."""


def serve(listen: str, handler: type[JsonHandler]) -> None:
    """Print `listening on URL` and serve until SIGTERM or SIGINT."""
    host, _, port = listen.rpartition(":")
    with _Server((host, int(port)), handler) as server:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        print(f"listening on http://{host}:{server.server_address[1]}", flush=True)
        try:
            server.serve_forever(poll_interval=0.1)
        except KeyboardInterrupt:
            return
