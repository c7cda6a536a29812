"""Files of the tool, opened by themselves in Chromium: nothing in them runs, and they have no origin."""

import pytest
from playwright.sync_api import Error

from tests.browser.gallery import POLICY, gallery_browser
from tests.e2e.conftest import gateway_served

EVIL = """<svg xmlns="http://www.w3.org/2000/svg" width="200" height="40"><text y="20">picture</text>
<script>document.documentElement.setAttribute("data-ran", self.origin)</script></svg>"""
# Streamlit publishes the picture as media, since it believes that it is a sound.
TOOL = f"""
import streamlit as st
st.audio({EVIL.encode()!r}, format="image/svg+xml")
st.text("page is complete")
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    directory = tmp_path_factory.mktemp("inert")
    (directory / ".streamlit").mkdir()
    (directory / ".streamlit" / "config.toml").write_text("[server]\nenableStaticServing = true\n")
    (directory / "static").mkdir()
    (directory / "static" / "evil.svg").write_text(EVIL)
    (directory / "tool.py").write_text(TOOL)
    policy = POLICY.format(content_security='add = ["components", "maps", "charts"]')
    with gateway_served(directory, policy=policy, script=directory / "tool.py") as served:
        yield served


@pytest.fixture(scope="module")
def browser(chromium):
    with gallery_browser(chromium) as context:
        yield context


def test_script_in_a_static_file_does_not_run(gateway, browser):
    """A picture with script in it, opened in a tab of its own, is only a picture: under bare Streamlit its script runs
    in the tool's origin, with the visitor's cookies.
    """
    page = browser.new_page()
    answer = page.goto(f"{gateway.url}/app/static/evil.svg")
    assert answer.status == 200
    assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'; sandbox"
    assert answer.headers["x-content-type-options"] == "nosniff"
    page.wait_for_timeout(300)
    assert page.locator("svg").get_attribute("data-ran") is None
    assert page.evaluate("self.origin") == "null"
    page.close()


def test_script_in_media_does_not_even_open(gateway, browser):
    """The same picture, published as media, is saved when it is opened, and is inert besides."""
    page = browser.new_page()
    page.goto(gateway.url)
    page.get_by_text("page is complete").wait_for(timeout=30_000)
    address = page.locator("audio").first.evaluate("audio => audio.src")
    answer = page.request.get(address)
    assert answer.status == 200
    assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'; sandbox"
    assert answer.headers["content-disposition"].startswith("attachment")
    with page.expect_download(), pytest.raises(Error, match="Download is starting"):
        page.goto(address)
    page.close()
