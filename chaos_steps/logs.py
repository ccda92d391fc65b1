"""Logs on stderr: JSON lines for machines, plain text on a terminal."""

from __future__ import annotations

import json
import logging
import sys
import time

from chaos_steps.params import rfc3339

ROOT = "chaos_steps"


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, command, message, and a traceback where there is one."""

    def __init__(self, command: str) -> None:
        super().__init__()
        self._command = command

    def format(self, record: logging.LogRecord) -> str:
        """Render one record."""
        line = {
            "time": rfc3339(record.created),
            "level": record.levelname.lower(),
            "command": self._command,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """`12:34:56 message`, with the level where it is more than information."""

    def format(self, record: logging.LogRecord) -> str:
        """Render one record."""
        level = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        line = f"{time.strftime('%H:%M:%S', time.localtime(record.created))} {level}{record.getMessage()}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def configure(command: str, log_format: str | None) -> None:
    """Send the package's log lines to stderr; the default format is text on a terminal, else JSON."""
    text = log_format == "text" or (log_format is None and sys.stderr.isatty())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(TextFormatter() if text else JsonFormatter(command))
    logger = logging.getLogger(ROOT)
    logger.handlers[:] = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False
