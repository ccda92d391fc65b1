"""k6's log lines."""

from __future__ import annotations

import json
import logging

import pytest

from chaos_steps.load.k6_load.messages import Messages


def line(**fields: str) -> bytes:
    return json.dumps(fields).encode() + b"\n"


@pytest.fixture
def shown(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    monkeypatch.setattr(logging.getLogger("chaos_steps"), "propagate", True)
    caplog.set_level(logging.INFO, "chaos_steps")
    return caplog


def test_a_flood_of_failed_requests_is_cut_short_and_counted(shown: pytest.LogCaptureFixture) -> None:
    messages = Messages()
    messages.feed(line(level="warning", msg="Request Failed", error="EOF") * 1000)
    messages.finish()

    assert len(shown.messages) == 21
    assert shown.messages[0] == "k6: Request Failed: EOF"
    assert shown.messages[-1] == "k6 wrote 980 further lines, not shown"


def test_exceptions_are_counted_also_when_they_are_not_shown() -> None:
    messages = Messages()
    messages.feed(line(level="warning", msg="x") * 50)
    messages.feed(
        line(level="error", msg="Error: boom\n\tat default (file:///s.js:6:61(9))\n", source="stacktrace") * 3
    )

    assert messages.exceptions == 3
    assert messages.exception == "Error: boom at default (file:///s.js:6:61(9))"


def test_what_a_script_prints_is_not_taken_for_an_error_of_k6() -> None:
    messages = Messages()
    messages.feed(line(level="error", msg="from k6") + line(level="error", msg="from the script", source="console"))

    assert messages.last_error == "from k6"


def test_a_panic_which_is_no_json_and_has_no_last_newline_is_kept() -> None:
    messages = Messages()
    messages.feed(b"panic: runtime error")
    messages.finish()

    assert messages.last_error == "panic: runtime error"
