"""Files in a real browser: pictures, sounds, downloads and uploads as visitors have them."""

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import POLICY, ROOT, gateway_served

SCRIPT = ROOT / "tests" / "data" / "streamlit" / "files.py"
LIMITS = 'upload = { max = "200KB", types = [".csv"] }'
LOADED = "() => [...document.images].filter(i => i.src.includes('/media/') && i.complete && i.naturalWidth).length"


@pytest.fixture(scope="module")
def tool(tmp_path_factory):
    policy = POLICY.replace('upload = { max = "200KB" }', LIMITS)
    with gateway_served(tmp_path_factory.mktemp("files"), policy=policy, script=SCRIPT) as gateway:
        yield gateway


@pytest.fixture
def page(tool, watched):
    watched.page.goto(tool.url)
    expect(watched.page.get_by_text("Take files")).to_be_visible(timeout=30_000)
    return watched.page


def test_pictures_and_sounds_are_seen_and_heard(page):
    """Every picture that the page shows is there, and the sound can be played."""
    page.wait_for_function(f"({LOADED})() >= 7", timeout=15_000)
    page.wait_for_function("document.querySelector('audio').readyState >= 1", timeout=15_000)
    broken = "[...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src)"
    assert page.evaluate(broken) == []


def test_a_download_is_saved_under_its_name(page):
    """A click saves the file under the name that the script gave it."""
    for label, name, content in [
        ("Table", "nobody zählung.csv", b"name\nnobody\n"),
        ("Later", "later.txt", b"made for nobody"),
        ("Page", "page.html", b"<script>document.title='nobody'</script>"),
    ]:
        # A click while a script runs asks for a download that the run may just have replaced.
        page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
        with page.expect_download() as downloading:
            page.get_by_role("button", name=label, exact=True).click()
        assert downloading.value.suggested_filename == name
        assert downloading.value.path().read_bytes() == content


def test_a_drawing_is_a_picture_in_a_page_and_a_file_by_itself(tool, page):
    """An SVG is loaded by an image element, although opened by itself it is saved, so that nothing in it runs."""
    with page.expect_download() as downloading:
        page.get_by_role("button", name="Drawing", exact=True).click()
    address = downloading.value.url
    size = page.evaluate(
        "async src => { let i = new Image(); i.src = src; await i.decode(); return [i.naturalWidth, i.naturalHeight] }",
        address,
    )
    assert size == [7, 5]
    with page.expect_download():
        page.evaluate("address => { location.href = address }", address)
    assert page.evaluate("window.drawn") is None


def test_somebody_elses_link_opens_the_page_of_nothing(tool, page, chromium):
    """Who opens a link that another visitor has sent them is told that there is nothing."""
    page.get_by_label("Who").fill("ada")
    page.get_by_label("Who").press("Enter")
    expect(page.get_by_text("made for ada")).to_be_visible(timeout=15_000)
    page.wait_for_function(f"({LOADED})() >= 1", timeout=15_000)
    address = page.evaluate("[...document.querySelectorAll('main img')].find(i => i.src.includes('/media/')).src")
    context = chromium.new_context()
    other = context.new_page()
    assert other.goto(tool.url).status == 200
    answer = other.goto(address)
    assert answer.status == 404
    expect(other.get_by_role("heading", name="There is nothing at this address")).to_be_visible()
    context.close()


def test_an_upload_arrives_and_can_be_removed(page):
    """A file that is chosen reaches the script; what the visitor removes is gone."""
    page.get_by_text("Take files").click()
    files = page.locator("input[type=file]")
    files.set_input_files({"name": "../ü.csv", "mimeType": "text/csv", "buffer": b"a,b\n1,2\n"})
    expect(page.get_by_text("'ü.csv' text/csv 8")).to_be_visible(timeout=15_000)
    with page.expect_response(lambda response: response.request.method == "DELETE") as removed:
        page.get_by_test_id("stFileChipDeleteBtn").get_by_role("button").click()
    assert removed.value.status == 204
    expect(page.get_by_text("'ü.csv' text/csv 8")).to_have_count(0, timeout=15_000)


def test_a_refused_upload_is_shown_as_one(page):
    """A file of a kind that is not admitted is marked as failed in the page, and the script does not see it."""
    page.get_by_text("Take files").click()
    with page.expect_response(lambda response: response.request.method == "PUT") as answer:
        page.locator("input[type=file]").set_input_files(
            {"name": "a.exe", "mimeType": "application/octet-stream", "buffer": b"MZ"}
        )
    assert answer.value.status == 415
    expect(page.get_by_text("415")).to_be_visible(timeout=15_000)
