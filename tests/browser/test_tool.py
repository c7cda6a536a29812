"""The bundled tool behind the gateway, in a real browser: load, click, upload, download; nothing red in the console."""

import csv
import io

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import ROOT, gateway_served

BUNDLED = (ROOT / "policies" / "0001-initial.toml").read_text("utf-8")
# The NIST flow-rate example with one point far outside: one out-of-control signal at the least.
UPLOAD = "time,flow\n" + "\n".join(
    f"{n},{value}" for n, value in enumerate([49.6, 47.6, 49.9, 51.3, 47.8, 51.2, 52.6, 52.4, 53.6, 52.1, 90.0])
)


@pytest.fixture(scope="module")
def tool(tmp_path_factory):
    with gateway_served(tmp_path_factory.mktemp("tool"), policy=BUNDLED, script=ROOT / "streamlit_app.py") as gateway:
        yield gateway


def test_the_tool_works_in_a_browser(tool, watched, tmp_path):
    """Load, upload, read the flagged points, download them, change the page: no console error, no foreign host."""
    page = watched.page
    page.goto(tool.url)
    expect(page.get_by_role("heading", level=1)).to_be_visible(timeout=30_000)
    expect(page.locator("[data-testid=stVegaLiteChart] canvas, [data-testid=stVegaLiteChart] svg").first).to_be_visible(
        timeout=30_000
    )

    page.get_by_role("radio", name="Your CSV file").or_(page.get_by_role("button", name="Your CSV file")).first.click()
    page.locator("input[type=file]").first.set_input_files(
        {"name": "flow.csv", "mimeType": "text/csv", "buffer": UPLOAD.encode()}
    )
    download_button = page.get_by_role("button", name="Download these points")
    expect(download_button).to_be_visible(timeout=30_000)
    expect(page.get_by_text("flow.csv").first).to_be_visible()
    with page.expect_download() as downloading:
        download_button.click()
    rows = list(csv.DictReader(io.StringIO(downloading.value.path().read_text("utf-8"))))
    assert any("90" in value for row in rows for value in row.values())

    page.get_by_role("link", name="Your exchange").click()
    expect(page.get_by_text("this-machine").first).to_be_visible(timeout=30_000)
    expect(page.get_by_text("127.0.0.1").first).to_be_visible()
    assert page.url.endswith("/exchange")

    assert watched.problems == []
    assert watched.hosts == {tool.url.split("/")[2]}


def test_a_reload_of_a_deep_link_shows_the_page(tool, watched):
    """A page opened by its own address, twice: a stored document with an old nonce would be blank."""
    for _ in range(2):
        watched.page.goto(f"{tool.url}/exchange")
        expect(watched.page.get_by_text("this-machine").first).to_be_visible(timeout=30_000)
    # The frontend looks for its base below the page first; Streamlit alone answers those two with 404 as well.
    assert [problem for problem in watched.problems if "404" not in problem] == []


def test_a_refused_visitor_sees_our_page(tool, watched):
    """An unknown address is our 404 page, with a reference, not Streamlit's empty shell."""
    response = watched.page.goto(f"{tool.url}/no-such-page.html")
    assert response.status == 404
    expect(watched.page.get_by_role("heading", level=1)).to_be_visible()
    expect(watched.page.get_by_text(response.headers["x-request-id"])).to_be_visible()


def test_what_the_browser_did_is_in_the_record(tool, watched):
    """Page, socket and upload of a visit are there, under one session."""
    watched.page.goto(tool.url)
    expect(watched.page.get_by_role("heading", level=1)).to_be_visible(timeout=30_000)
    watched.page.wait_for_timeout(500)
    events = tool.records()
    pages = [e for e in events if e["unmapped"]["gateway"].get("surface") == "page"]
    session = pages[-1]["actor"]["session"]["uid"]
    sockets = [
        e
        for e in events
        if e["metadata"]["event_code"] == "ws.open" and e["actor"].get("session", {}).get("uid") == session
    ]
    assert len(sockets) == 1
