"""What a visitor sees of what happens in the socket: refusals inside the app, a queue, and sockets that were ended."""

import re

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import gateway_served
from tests.e2e.test_open_sockets import release
from tests.e2e.test_pages_in_socket import ROOMS, VAULT_CLOSED

NO_ACCESS = re.compile("You do not have access")


@pytest.fixture
def rooms(tmp_path):
    with gateway_served(tmp_path, policy=VAULT_CLOSED, script=ROOMS) as gateway:
        yield gateway


def test_a_refused_page_is_told_inside_the_app(rooms, watched):
    """The notice has title, reason and reference; the menu works on, and the tab does not name the page."""
    page = watched.page
    page.goto(rooms.url)
    expect(page.get_by_role("heading", name="Hall")).to_be_visible(timeout=30_000)
    page.get_by_role("button", name="Switch", exact=True).click()
    expect(page.get_by_role("heading", name=NO_ACCESS)).to_be_visible(timeout=10_000)
    text = page.get_by_test_id("stMain").inner_text()
    assert "denied-by-rule" in text
    assert re.search(r"Reference\s+[0-9a-f]{32}", text)
    assert "4711" not in page.content()
    page.get_by_role("link", name="Library").click()
    expect(page.get_by_role("heading", name="Library")).to_be_visible(timeout=10_000)
    assert page.get_by_role("link", name="Vault").count() == 0
    page.get_by_role("button", name="Switch", exact=True).click()
    expect(page).to_have_title(NO_ACCESS, timeout=10_000)
    assert [problem for problem in watched.problems if "CSP" in problem or "exception" in problem] == []


def test_whoever_is_taken_out_sees_the_refusal_and_no_spinner(rooms, watched):
    """When a release ends the socket of an open page, the browser shows the branded page of the refusal."""
    page = watched.page
    page.goto(rooms.url)
    expect(page.get_by_role("heading", name="Hall")).to_be_visible(timeout=30_000)
    release(rooms, VAULT_CLOSED.replace('networks = ["staff"]', 'networks = ["guards"]'))
    expect(page.get_by_role("heading", name=NO_ACCESS)).to_be_visible(timeout=5_000)
    expect(page.get_by_text("no-rule-matched")).to_be_visible()


def test_a_page_that_may_be_opened_but_not_connected_does_not_reload_for_ever(rooms, watched):
    """Where the page is still served and its socket is not, the reason is shown after one more try."""
    page = watched.page
    page.goto(rooms.url)
    expect(page.get_by_role("heading", name="Hall")).to_be_visible(timeout=30_000)
    no_sockets = (
        VAULT_CLOSED + '\n[[rules]]\nid = "no-sockets"\neffect = "deny"\nbecause = "b"\nsurfaces = ["message"]\n'
    )
    loads = []
    page.on("framenavigated", lambda frame: loads.append(frame.url))
    ended = no_sockets.replace('surfaces = ["message"]', 'surfaces = ["stream"]')
    release(rooms, ended)
    page.wait_for_timeout(4_000)
    assert 1 <= len(loads) <= 3, loads


SLOW = """
import time
import streamlit as st

st.title("Slow")
if st.button("Work"):
    until = time.monotonic() + 8
    while time.monotonic() < until:
        sum(range(10000))
    st.text("worked")
"""


def test_the_queue_is_told(tmp_path, watched):
    """Who waits for others is told so, and is served in the end."""
    script = tmp_path / "slow.py"
    script.write_text(SLOW)
    policy = VAULT_CLOSED.replace("[limits]", "[limits]\nscripts = { at_once = 1 }")
    with gateway_served(tmp_path, policy=policy, script=script) as gateway, gateway.connect() as other:
        other.rerun()
        page = watched.page
        page.goto(gateway.url)
        expect(page.get_by_role("heading", name="Slow")).to_be_visible(timeout=30_000)
        other.send_change({"Work": True})
        page.wait_for_timeout(300)
        page.get_by_role("button", name="Work").click()
        expect(page.get_by_text("The tool is busy")).to_be_visible(timeout=8_000)
        expect(page.get_by_text("worked")).to_be_visible(timeout=40_000)
