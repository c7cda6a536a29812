"""Visits to the gallery: what each page shows, and what the browser blocked or asked for meanwhile."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, Request

from tests.browser.conftest import QUIET
from tests.support.processes import ROOT

APP = ROOT / "tests" / "gallery" / "app.py"

POLICY = """
schema = 1
title = "gallery"
default = "deny"

[networks]
here = ["127.0.0.1"]

[hosts]
allowed = ["127.0.0.1", "localhost"]

[transport]
https = "optional"

[content_security]
{content_security}

[[rules]]
id = "here"
effect = "allow"
because = "The test is here."
networks = ["here"]
"""

# The browser's own camera and microphone, which always agree.
DEVICES = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]

_BLOCKED = ("csp", "net::ERR_BLOCKED_BY_CSP")

# Said in every frame, also a sandboxed one: what was blocked (by an enforced policy), by which directive.
_LISTEN = """document.addEventListener('securitypolicyviolation', event => {
  const said = [event.effectiveDirective, event.blockedURI || 'inline', document.baseURI];
  if (event.disposition === 'enforce') console.error(['gallery-violation', ...said].join('|'));
})"""


@dataclass
class Visit:
    """One page of the gallery in a browser."""

    page: Page
    violations: set[tuple[str, str]] = field(default_factory=set)
    in_frames: set[tuple[str, str]] = field(default_factory=set)
    elsewhere: set[str] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)

    def heard(self, text: str) -> None:
        """Take what the console says: our own listener's words, and what Streamlit calls an error."""
        if text.startswith("gallery-violation|"):
            _, directive, blocked, where = text.split("|", 3)
            parts = urlsplit(blocked)
            what = f"{parts.scheme}://{parts.netloc}" if parts.netloc else blocked
            of_page = "/.gateway/frame/" not in where and "/component/" not in where
            (self.violations if of_page else self.in_frames).add((directive, what))
        elif "Client Error" in text or "Minified React error" in text:
            self.errors.append(text)

    def failed(self, request: Request) -> None:
        """Take a request that has failed: one of a page that is not here has left the browser, unless CSP blocked it.

        Chromium is started so that no other host can be found, so what leaves always fails.
        """
        parts = urlsplit(request.url)
        outside = parts.scheme in ("http", "https", "ws", "wss") and parts.hostname not in ("127.0.0.1", "localhost")
        if outside and request.failure not in _BLOCKED:
            self.elsewhere.add(parts.hostname or request.url)

    def settle(self) -> None:
        """Wait until the page has drawn: its last line is there, and nothing was asked for during half a second."""
        self.page.get_by_text("is complete").wait_for(timeout=30_000)
        self.page.evaluate(
            """async () => {
              const count = () => performance.getEntriesByType('resource').length;
              for (let last = -1, quiet = 0; quiet < 5; quiet = last === count() ? quiet + 1 : 0) {
                last = count();
                await new Promise(done => setTimeout(done, 100));
              }
            }"""
        )

    def wait(self, good: Callable[[], bool], seconds: float = 20) -> None:
        """Give the page time until something holds; whoever calls then asserts it, and says what was seen instead."""
        deadline = time.monotonic() + seconds
        while not good() and time.monotonic() < deadline:
            self.page.wait_for_timeout(100)


@contextmanager
def gallery_browser(chromium: Browser) -> Iterator[BrowserContext]:
    """A browser of its own with a camera and a microphone, and one context, so that files are loaded once."""
    browser = chromium.browser_type.launch(executable_path="/usr/bin/chromium", args=[*QUIET, *DEVICES])
    context = browser.new_context(viewport={"width": 1280, "height": 2400})
    context.add_init_script(_LISTEN)
    try:
        yield context
    finally:
        browser.close()


@contextmanager
def visit(context: BrowserContext, url: str, name: str) -> Iterator[Visit]:
    """Open one page of the gallery, and wait until it has drawn."""
    found = Visit(context.new_page())
    found.page.on("console", lambda message: found.heard(message.text))
    found.page.on("pageerror", lambda error: found.errors.append(f"exception: {error}"))
    found.page.on("requestfailed", found.failed)
    found.page.on("requestfinished", found.failed)  # nobody outside may answer either
    try:
        found.page.goto(f"{url}/{'' if name == 'texts' else name}")
        found.settle()
        yield found
    finally:
        found.page.close()


def count(page: Page, selectors: Sequence[str]) -> dict[str, int]:
    """How many visible elements each selector finds, shadow roots included."""
    return {each: page.locator(f"{each} >> visible=true").count() for each in selectors}
