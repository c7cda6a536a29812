"""The bundled tool over https in a real browser: nothing red in the console, and a cookie that the browser keeps."""

import pytest
from cryptography.x509.oid import NameOID
from playwright.sync_api import expect

from gateway.audit.mask_keys import lookup
from tests.browser.conftest import Watched
from tests.e2e.conftest import ROOT, gateway_served
from tests.support.certificates import Authority

BUNDLED = (ROOT / "policies" / "0001-initial.toml").read_text("utf-8")


@pytest.fixture(scope="module")
def tool(tmp_path_factory):
    directory = tmp_path_factory.mktemp("tls-tool")
    certificate, key = Authority(directory).issue((NameOID.COMMON_NAME, "localhost"))
    env = {"GATEWAY_SERVER__TLS_CERTIFICATE": str(certificate), "GATEWAY_SERVER__TLS_KEY": str(key)}
    with gateway_served(
        directory, policy=BUNDLED, script=ROOT / "streamlit_app.py", env=env, scheme="https"
    ) as gateway:
        yield gateway


def test_the_tool_works_over_https(chromium, tool):
    """Page, socket and a change of the page work over https; the browser keeps the `__Host-` cookie and sends it."""
    # The browser does not know the authority of this test; everything else of https is as it always is.
    context = chromium.new_context(ignore_https_errors=True)
    try:
        watched = Watched(context.new_page())
        response = watched.page.goto(tool.url)
        expect(watched.page.get_by_role("heading", level=1)).to_be_visible(timeout=30_000)
        assert response.status == 200
        watched.page.get_by_role("link", name="Your exchange").click()
        expect(watched.page.get_by_text("this-machine").first).to_be_visible(timeout=30_000)

        kept = {cookie["name"]: cookie for cookie in context.cookies()}
        ours = kept["__Host-gateway"]
        assert (ours["secure"], ours["httpOnly"], ours["sameSite"], ours["path"]) == (True, True, "Lax", "/")
        assert not ours["domain"].startswith(".")  # of this host only
        assert all(cookie["secure"] for cookie in kept.values())
        assert "__Host-gateway" not in watched.page.evaluate("document.cookie")

        session = watched.page.evaluate("fetch('/.gateway/whoami').then(answer => answer.json())")["session"]
        sockets = [event for event in tool.records() if event["metadata"]["event_code"] == "ws.open"]
        assert session is not None
        # The record shows sessions as pseudonyms; who knows one finds it.
        assert [event["actor"]["session"]["uid"] for event in sockets[:1]] == lookup(tool.state, "session", session)
        assert len({event["actor"]["session"]["uid"] for event in sockets}) == 1
        assert {event["url"]["scheme"] for event in sockets} == {"wss"}
        assert watched.problems == []
        assert watched.hosts == {tool.url.split("/")[2]}
    finally:
        context.close()
