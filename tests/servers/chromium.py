"""A real Chromium, which opens a page in several looks and tells what it did."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

from playwright.sync_api import Browser, Dialog, Page, sync_playwright

from tests.servers.program import find_program


@dataclass(frozen=True)
class Look:
    """How a page is looked at."""

    width: int = 1200
    scheme: Literal["light", "dark"] = "light"
    medium: Literal["screen", "print"] = "screen"


@dataclass
class View:
    """A page that is open, with all that happened in it."""

    page: Page
    messages: list[str] = field(default_factory=list)
    """On the console, errors that no script caught, and dialogs."""
    requests: list[str] = field(default_factory=list)
    """Addresses of everything that was asked for."""

    def dismiss(self, dialog: Dialog) -> None:
        """Note a dialog and close it; it would hold up everything."""
        self.messages.append(f"dialog: {dialog.message}")
        dialog.dismiss()


class Chromium:
    """Debian's Chromium, driven by Playwright, which downloads none of its own. A context manager."""

    def __enter__(self) -> Self:
        self._driver = sync_playwright().start()
        try:
            self._browser: Browser = self._driver.chromium.launch(
                executable_path=find_program("chromium"),
                chromium_sandbox=os.getuid() != 0,
                args=["--host-resolver-rules=MAP * ~NOTFOUND"],  # Nothing that a page asks for leaves this machine.
            )
        except BaseException:
            self._driver.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._browser.close()
        self._driver.stop()

    @contextlib.contextmanager
    def view(self, path: Path, look: Look) -> Iterator[View]:
        """Open a file."""
        context = self._browser.new_context(
            viewport={"width": look.width, "height": 900}, color_scheme=look.scheme, device_scale_factor=1
        )
        try:
            view = View(context.new_page())
            view.page.emulate_media(media=look.medium)
            view.page.on("console", lambda message: view.messages.append(f"{message.type}: {message.text}"))
            view.page.on("pageerror", lambda error: view.messages.append(f"error: {error}"))
            view.page.on("dialog", view.dismiss)
            view.page.on("request", lambda request: view.requests.append(request.url))
            view.page.goto(path.as_uri())
            yield view
        finally:
            context.close()
