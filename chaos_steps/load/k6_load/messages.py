"""k6's own log lines (`--log-format json`): shown with restraint, and searched for what went wrong."""

from __future__ import annotations

import json
import logging

log = logging.getLogger(__name__)

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING}
_SHOWN = 20


class Messages:
    """k6 writes a line for every failed request and every exception: the first 20 are passed on, the rest counted."""

    def __init__(self) -> None:
        self.exceptions = 0
        """Iterations that ended in an exception, for which k6 exits with 0 all the same."""
        self.exception = ""
        """The first of these, one line."""
        self.last_error = ""
        """k6's last line of level error, one line: on a failure, its reason."""
        self._count = 0
        self._rest = b""

    def feed(self, piece: bytes) -> None:
        """Take the next piece of k6's stderr."""
        lines = (self._rest + piece).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            self._take(line.decode(errors="replace"))

    def finish(self) -> None:
        """Take what is left at the end, and say how much was not shown."""
        if self._rest:
            self.feed(b"\n")
        if self._count > _SHOWN:
            log.info("k6 wrote %d further lines, not shown", self._count - _SHOWN)

    def _take(self, line: str) -> None:
        try:
            fields = json.loads(line)
        except ValueError:
            fields = {}
        if not isinstance(fields, dict) or not fields:
            fields = {"level": "error", "msg": line}  # A panic is plain text.
        text = _one_line(f"{fields.get('msg', '')}: {fields['error']}" if "error" in fields else fields.get("msg", ""))
        level = _LEVELS.get(fields.get("level", ""), logging.ERROR)
        if fields.get("source") == "stacktrace":
            self.exceptions += 1
            self.exception = self.exception or text
        elif level == logging.ERROR and fields.get("source") != "console":
            self.last_error = text
        self._count += 1
        if self._count <= _SHOWN:
            log.log(min(level, logging.WARNING), "k6: %s", text)


def _one_line(text: object) -> str:
    return " ".join(str(text).split())
