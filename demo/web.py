"""What the demo's two services share: a JSON server over HTTP/1.1 that keeps connections open."""

from __future__ import annotations

import argparse
import json
import signal
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tracing import Span, Tracer, zipkin_option


def service_options(parser: argparse.ArgumentParser) -> None:
    """Add --listen HOST:PORT, where port 0 lets the kernel choose, and --zipkin URL."""
    parser.add_argument("--listen", default="127.0.0.1:0", metavar="HOST:PORT", help="default: %(default)s")
    zipkin_option(parser)


class JsonHandler(BaseHTTPRequestHandler):
    """One client's connection; a service overrides `answer`."""

    protocol_version = "HTTP/1.1"
    wbufsize = 65536  # Head and body leave in one packet: else delayed acknowledgements add 40 ms.
    tracer: Tracer
    """Set by `serve`."""

    def answer(self, request: Span) -> tuple[int, object]:
        """Status and JSON body for a GET of `self.path`."""
        raise NotImplementedError

    def do_GET(self) -> None:
        """Answer one request."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        with self.tracer.server(headers, self.command, self.path) as request:
            request.status, document = self.answer(request)
            body = json.dumps(document).encode()
            self.send_response(request.status)
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


def serve(name: str, options: argparse.Namespace, handler: type[JsonHandler]) -> None:
    """Print `listening on URL` and serve until SIGTERM or SIGINT, with the traces of service `name`."""
    handler.tracer = Tracer(name, options.zipkin)
    host, _, port = options.listen.rpartition(":")
    with _Server((host, int(port)), handler) as server, closing(handler.tracer):
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        print(f"listening on http://{host}:{server.server_address[1]}", flush=True)
        try:
            server.serve_forever(poll_interval=0.1)
        except KeyboardInterrupt:
            return
