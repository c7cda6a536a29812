"""The first load in a real browser: compressed files, kept files, and hints that lead to what is used."""

import re
from collections import Counter

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import gateway_served

HELLO = "import streamlit as st\n\nst.title('Hello')\nst.write('The script has run.')\n"
# Chromium complains of a preload that is not used within some seconds of the load event.
COMPLAINT = 7_000  # milliseconds
REMEMBER_FETCHES = """
const original = fetch;
window.fetched = [];
window.fetch = (...call) => { fetched.push(new URL(call[0].url || call[0], location).href); return original(...call); };
"""
# The files of the @font-face rules whose faces the browser has loaded.
LOADED_FONTS = """
[...document.styleSheets].flatMap(sheet => [...sheet.cssRules].filter(
  rule => rule instanceof CSSFontFaceRule
).map(rule => ({
  family: rule.style.fontFamily.replaceAll('"', ''), style: rule.style.fontStyle || 'normal',
  url: new URL(rule.style.src.match(/url\\("?([^")]+)/)[1], sheet.href).href,
}))).filter(face => [...document.fonts].some(font =>
  font.status === 'loaded' && font.style === face.style && font.family.replaceAll('"', '') === face.family
)).map(face => face.url)
"""


@pytest.fixture(scope="module", params=["", "/tools/demo"], ids=["at the root", "below a base path"])
def hello(request, tmp_path_factory):
    directory = tmp_path_factory.mktemp("hello")
    (directory / "hello.py").write_text(HELLO)
    (directory / "pages").mkdir()
    (directory / "pages" / "other.py").write_text("import streamlit as st\n\nst.title('Other')\n")
    environment = {"GATEWAY_SERVER__BASE_PATH": request.param}
    with gateway_served(directory, script=directory / "hello.py", env=environment) as gateway:
        gateway.url += request.param
        yield gateway


def watch_answers(page):
    """Path and status of every answer, as they come."""
    answers = []
    page.on("response", lambda response: answers.append((response.url, response.status)))
    return answers


def test_nothing_is_loaded_in_vain(hello, watched):
    """Every file and every hint of the page is used, and asked for once; nothing is missing, nothing is refused."""
    answers = watch_answers(watched.page)
    watched.page.goto(f"{hello.url}/")
    expect(watched.page.get_by_text("The script has run.")).to_be_visible(timeout=60_000)
    watched.page.wait_for_timeout(COMPLAINT)
    assert watched.problems == []
    assert {status for _, status in answers} <= {200, 101}
    assert [url for url, times in Counter(url for url, _ in answers).items() if times > 1] == []
    assert watched.hosts == {hello.url.split("/")[2]}


def test_the_second_load_asks_for_no_script(hello, watched):
    """Files with a hash in their names are kept: a second load fetches the page, and none of them."""
    page = watched.page
    page.goto(f"{hello.url}/")
    expect(page.get_by_text("The script has run.")).to_be_visible(timeout=60_000)
    before = len(static_paths(hello))
    page.goto(f"{hello.url}/other")
    expect(page.get_by_role("heading", name="Other")).to_be_visible(timeout=60_000)
    page.wait_for_timeout(500)
    asked = static_paths(hello)[before:]
    assert [path for path in asked if re.search(r"\.(js|css|woff2)$", path)] == []


def test_a_deep_link_loads_as_well(hello, watched):
    """A page that is opened by its own address: no violation, and nothing missing but what Streamlit itself tries."""
    answers = watch_answers(watched.page)
    watched.page.goto(f"{hello.url}/other")
    expect(watched.page.get_by_role("heading", name="Other")).to_be_visible(timeout=60_000)
    watched.page.wait_for_timeout(COMPLAINT)
    # The frontend looks for its base below the page first; Streamlit alone answers those two with 404 as well.
    missing = [url for url, status in answers if status >= 400]
    assert [url for url in missing if "/other/_stcore/" not in url] == []
    assert [problem for problem in watched.problems if "404" not in problem] == []


def test_each_hint_is_used(hello, watched):
    """What the head asks for ahead, the page fetches or shows text in. Chromium itself does not always complain."""
    page = watched.page
    page.add_init_script(REMEMBER_FETCHES)
    page.goto(f"{hello.url}/")
    expect(page.get_by_text("The script has run.")).to_be_visible(timeout=60_000)
    page.wait_for_timeout(1000)
    hinted = page.evaluate("[...document.querySelectorAll('link[rel=preload]')].map(link => link.href)")
    used = page.evaluate("fetched") + page.evaluate(LOADED_FONTS)
    assert len(hinted) >= 3
    assert [url for url in hinted if url not in used] == []


def static_paths(gateway):
    return [
        event["http_request"]["url"]["path"]
        for event in gateway.records()
        if event["unmapped"]["gateway"].get("surface") == "static"
        and event["unmapped"]["gateway"]["phase"] == "decision"
    ]
