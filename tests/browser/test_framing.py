"""Who may show the tool's pages in a frame, in Chromium: nobody, unless the policy names the site."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import expect

from tests.browser.gallery import APP, POLICY, gallery_browser
from tests.e2e.conftest import gateway_served


@pytest.fixture
def portal():
    """A site of another origin that frames whatever address its query names."""

    class Portal(BaseHTTPRequestHandler):
        def do_GET(self):
            body = f'<!doctype html><iframe width=900 height=700 src="{self.path.partition("?")[2]}"></iframe>'.encode()
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Portal)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("named", [False, True], ids=["nobody is named", "the portal is named"])
def test_only_a_named_site_may_frame_a_page(chromium, portal, tmp_path, named):
    """A portal of another origin shows the tool in a frame only if `frame_ancestors` names it."""
    text = f'frame_ancestors = ["{portal}"]' if named else ""
    with (
        gateway_served(tmp_path, policy=POLICY.format(content_security=text), script=APP) as gateway,
        gallery_browser(chromium) as browser,
    ):
        page = browser.new_page()
        said = []
        page.on("console", lambda message: said.append(message.text))
        page.goto(f"{portal}/?{gateway.url}/tables")
        if named:
            expect(page.frame_locator("iframe").get_by_text("is complete")).to_be_visible(timeout=30_000)
        else:
            page.wait_for_timeout(1000)
            assert any("frame-ancestors" in text for text in said)
            assert page.frame_locator("iframe").get_by_text("is complete").count() == 0
