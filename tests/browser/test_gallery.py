"""Every element of Streamlit under every profile, in Chromium: what is drawn, what is blocked, who is asked."""

import ast
from pathlib import Path

import pytest
import streamlit as st
from playwright.sync_api import expect
from streamlit.delta_generator import DeltaGenerator
from streamlit.proto.Element_pb2 import Element

from tests.browser.gallery import APP, POLICY, count, gallery_browser, visit
from tests.e2e.conftest import gateway_served

# Page -> what must be seen on it, and how often at least.
DRAWN = {
    "texts": {
        "[data-testid=stMarkdown] .katex": 2,
        "[data-testid=stAlert]": 4,
        "[data-testid=stException]": 1,
        "img[src^='blob:']": 1,  # mermaid
        "[data-testid=stJson]": 1,
        "[data-testid=stCode]": 2,
    },
    "tables": {
        "[data-testid=stDataFrame] canvas": 3,
        "[data-testid=stTable]": 2,
        "[data-testid=stMetricChart] canvas, [data-testid=stMetricChart] svg": 2,
    },
    "charts": {
        "[data-testid=stVegaLiteChart] canvas, [data-testid=stVegaLiteChart] svg.marks": 6,
        "[data-testid=stPlotlyChart] .main-svg": 5,
        "[data-testid=stGraphVizChart] svg .node": 3,
        "[data-testid=stEchartsChart] canvas, [data-testid=stEChartsChart] canvas": 1,
    },
    "widgets": {"[data-testid=stSelectbox]": 1, "[data-testid=stChatInput]": 1, "[data-testid=stColorPicker]": 1},
    "layout": {"[data-testid=stExpander]": 2, "[data-testid=stTabs]": 1, "[data-testid=stProgress]": 1},
    "media": {"[data-testid=stImage] img": 4, "audio": 1, "[data-testid=stCameraInput] video": 1},
    "embedded": {"iframe": 4},
}
# What `max` blocks beyond `strict` on these pages, each with its reason.
BLOCKED_BY_MAX = {
    # Mermaid has its drawing cleaned and measured in documents that are never shown; the picture keeps its style.
    "texts": {("style-src-elem", "inline")},
}
# The HTML of that page tries to reach the network.
IN_FRAMES = {"embedded": {("connect-src", "http://127.0.0.1")}}

# Pages that need a relaxation: what `strict` blocks, the policy under which nothing is blocked, whom that asks.
CARTO, PLOTLY, ICONS = "basemaps.cartocdn.com", "cdn.plot.ly", "fonts.gstatic.com"
OUTSIDE = {"images.example", "media.example", "frames.example", "www.youtube.com"}
NEEDS = {
    "webgl": ({("script-src", "eval")}, set()),
    "geo": ({("connect-src", f"https://{PLOTLY}")}, {PLOTLY}),
    "maps": ({("worker-src", "blob"), ("connect-src", f"https://{CARTO}")}, {CARTO}),
    "components": ({("frame-src", "OWN"), ("script-src-elem", "OWN")}, set()),
    "outside": (
        {
            ("img-src", "https://images.example"),
            ("media-src", "https://media.example"),
            ("frame-src", "https://frames.example"),
            ("frame-src", "https://www.youtube.com"),
            ("img-src", f"https://{ICONS}"),
        },
        OUTSIDE | {ICONS},
    ),
}
RELAXED = """
add = ["charts", "geo-charts", "maps", "components", "page-icons"]
[content_security.external]
images = ["https://images.example"]
media = ["https://media.example"]
frames = ["https://frames.example", "https://www.youtube.com"]
"""


@pytest.fixture(scope="module")
def browser(chromium):
    with gallery_browser(chromium) as context:
        yield context


def served(name, content_security):
    @pytest.fixture(scope="module", name=name)
    def fixture(tmp_path_factory):
        policy = POLICY.format(content_security=content_security)
        with gateway_served(tmp_path_factory.mktemp(name), policy=policy, script=APP) as gateway:
            yield gateway

    return fixture


strict = served("strict", 'profile = "strict"\nreport_only = "max"')
hardest = served("hardest", 'profile = "max"')
relaxed = served("relaxed", f'profile = "strict"{RELAXED}')
hardest_relaxed = served("hardest_relaxed", f'profile = "max"{RELAXED}')
last_resort = served("last_resort", 'add = ["inline"]')


def own(violations, url):
    """The violations with our own address as a word."""
    return {(directive, "OWN" if blocked == url else blocked) for directive, blocked in violations}


def check_drawn(found, name):
    wanted = DRAWN.get(name, {})

    def missing():
        return {each: seen for each, seen in count(found.page, tuple(wanted)).items() if seen < wanted[each]}

    found.wait(lambda: not missing())
    assert missing() == {}


# --- without a relaxation -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DRAWN)
def test_strict_blocks_nothing_that_streamlit_draws(strict, browser, name):
    """Under `strict` every ordinary element is drawn without a violation, and nobody else is asked for anything."""
    with visit(browser, strict.url, name) as found:
        check_drawn(found, name)
    assert found.violations == set()
    assert found.elsewhere == set()
    assert [error for error in found.errors if "Video source" not in error] == []  # the film of that page is none


@pytest.mark.parametrize("name", DRAWN)
def test_max_draws_the_same(hardest, browser, name):
    """Under `max` every ordinary element is drawn as well: with nonced styles, Trusted Types and isolation."""
    with visit(browser, hardest.url, name) as found:
        check_drawn(found, name)
        assert found.page.evaluate("crossOriginIsolated") is True
        assert found.page.evaluate("trustedTypes.defaultPolicy.name") == "default"
    assert found.violations == BLOCKED_BY_MAX.get(name, set())
    assert found.elsewhere == set()
    assert [error for error in found.errors if "Video source" not in error] == []


# What `max` lets pass, `strict` lets pass too: it is the same policy with fewer restrictions. So these are tried once.


def test_camera_and_microphone_work(hardest, browser):
    """A picture is taken and a sound is recorded under every profile: data: and blob: of `connect-src` are for them."""
    with visit(browser, hardest.url, "media") as found:
        found.page.get_by_role("button", name="Take Photo").click()
        expect(found.page.locator("[data-testid=stCameraInput] img")).to_be_visible(timeout=15_000)
        found.page.get_by_role("button", name="Record").click()
        found.page.wait_for_timeout(500)
        found.page.get_by_role("button", name="Stop recording").click()
        expect(found.page.get_by_role("button", name="Play")).to_be_visible(timeout=15_000)
    assert found.violations == set()


def test_what_opens_on_a_click_works(hardest, browser):
    """Menus, lists, the colour picker and tooltips appear only when they are used; nothing is blocked."""
    with visit(browser, hardest.url, "widgets") as found:
        page = found.page
        for locator in (
            page.get_by_role("button", name="Menu"),
            page.locator("[data-testid=stSelectbox] input"),
            page.locator("[data-testid=stMultiSelect] input"),
            page.locator("[data-testid=stColorPicker] [data-testid=stColorPickerBlock]"),
        ):
            locator.first.click()
            page.wait_for_timeout(100)
            page.keyboard.press("Escape")
        page.get_by_role("button", name="Button").first.hover()
        expect(page.get_by_text("A tooltip").first).to_be_visible()
    assert found.violations == set()


def test_popovers_and_dialogs_work(hardest, browser):
    """A popover and a dialog open, and nothing is blocked."""
    with visit(browser, hardest.url, "layout") as found:
        found.page.get_by_role("button", name="Popover").click()
        expect(found.page.get_by_text("in the popover")).to_be_visible()
        found.page.keyboard.press("Escape")
        found.page.get_by_role("button", name="Open the dialog").click()
        expect(found.page.get_by_text("in the dialog")).to_be_visible()
    assert found.violations == set()


# --- with one -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NEEDS)
def test_strict_blocks_what_needs_a_relaxation(strict, browser, name):
    """What needs a relaxation is blocked without it, by the directive that is expected, and nobody is asked."""
    with visit(browser, strict.url, name) as found:
        found.wait(lambda: own(found.violations, strict.url) >= NEEDS[name][0])
    assert own(found.violations, strict.url) == NEEDS[name][0]
    assert found.elsewhere == set()


@pytest.mark.parametrize("name", NEEDS)
def test_a_relaxation_is_enough(relaxed, browser, name):
    """With its relaxation a page has no violation, and asks only the hosts that the relaxation or the policy names."""
    with visit(browser, relaxed.url, name) as found:
        if name == "webgl":
            assert found.page.get_by_text("WebGL is not supported").count() == 0
        if name == "components":
            check_components(found.page)
        found.wait(lambda: found.elsewhere >= NEEDS[name][1])
    assert found.violations == found.in_frames == set()
    assert found.elsewhere == NEEDS[name][1]


@pytest.mark.parametrize("name", ["webgl", "maps", "components"])
def test_relaxations_hold_under_max_too(hardest_relaxed, browser, name):
    """Charts that compile code, workers of maps and components work under `max` as well: Trusted Types agree."""
    with visit(browser, hardest_relaxed.url, name) as found:
        if name == "webgl":
            assert found.page.get_by_text("WebGL is not supported").count() == 0
        if name == "components":
            check_components(found.page)
        found.wait(lambda: found.elsewhere >= NEEDS[name][1])
    assert found.violations == found.in_frames == set()
    assert found.elsewhere == NEEDS[name][1]


def check_components(page):
    """A declared component is drawn in a sandbox, a packaged one in the page, in all three ways of packaging."""
    expect(page.get_by_text("probe: kept apart, origin null")).to_be_visible(timeout=15_000)
    expect(page.frame_locator("iframe").nth(1).get_by_text("valve")).to_be_visible(timeout=15_000)
    expect(page.get_by_text("inline component ran")).to_be_visible(timeout=15_000)
    expect(page.locator("[data-testid^=stBidiComponent] canvas").first).to_be_visible(timeout=15_000)  # the PDF's page


def test_script_in_html_runs_only_under_the_last_resort(strict, last_resort, browser):
    """`st.html` with script is inert under every profile, and runs under `inline`; styles in it work under `strict`."""
    with visit(browser, strict.url, "inline") as found:
        expect(found.page.get_by_text("script has not run")).to_be_visible()
        assert found.page.locator(".gallery").evaluate("e => getComputedStyle(e).color") == "rgb(0, 128, 128)"
    assert found.violations == {("script-src-elem", "inline")}
    with visit(browser, last_resort.url, "inline") as found:
        expect(found.page.get_by_text("script ran")).to_be_visible()
    assert found.violations == set()


def test_what_is_blocked_is_in_the_record(strict, browser):
    """Each violation becomes a finding of the record, under the session that met it, with no query and no nonce."""

    def findings():
        return [event for event in strict.records() if event["metadata"]["event_code"] == "csp.violation"]

    with visit(browser, strict.url, "maps") as seen:
        seen.wait(lambda: any(event["unmapped"]["gateway"]["page"] == "/maps" for event in findings()))
    found = findings()
    facts = [event["unmapped"]["gateway"] for event in found]
    enforced = {(fact["page"], fact["directive"], fact["blocked"]) for fact in facts if fact["enforced"]}
    assert {("/maps", "worker-src", "blob"), ("/maps", "connect-src", f"https://{CARTO}")} <= enforced
    assert all(event["actor"]["session"]["uid"] for event in found)
    # The candidate beside it reports too, and blocks nothing.
    assert any(not fact["enforced"] for fact in facts)


# --- the gallery itself ---------------------------------------------------------------------------------------

# Not in the gallery, each with its reason.
LEFT_OUT = {
    "pyplot": "draws on the server and arrives as a picture, like st.image; matplotlib is no dependency of the tests",
    "login": "leaves for an identity provider",
    "logout": "leaves for an identity provider",
    "dg": "not an element",
}


def used() -> set[str]:
    """The names that the gallery takes from `st`, from containers and from its other modules."""
    sources = [path.read_text("utf-8") for path in sorted(APP.parent.rglob("*.py"))]
    trees = [ast.parse(source) for source in sources]
    return {node.attr for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Attribute)} | {
        node.id for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Name)
    }


def test_the_gallery_uses_every_element():
    """Every public command that draws is in the gallery: a new one of a newer Streamlit fails here until it is."""
    on_containers = {name for name in dir(DeltaGenerator) if not name.startswith("_")}
    on_page = {
        name
        for name in (
            "dialog",
            "echo",
            "fragment",
            "logo",
            "navigation",
            "set_page_config",
            "sidebar",
            "spinner",
            "toast",
            "bottom",
        )
        if hasattr(st, name)
    }
    commands = {
        name for name in on_containers | on_page if callable(getattr(DeltaGenerator, name, None)) or name in on_page
    }
    assert sorted(commands - used() - set(LEFT_OUT)) == []


def test_the_gallery_sends_every_kind_of_element(strict):
    """Every kind of element that Streamlit's protocol has is sent by some page of the gallery."""
    sent = set()
    with strict.connect() as client:
        for name in ("", *list(DRAWN)[1:], *NEEDS, "inline"):
            client.rerun(page_name=name)
            for message in client.page.messages:
                if message.WhichOneof("type") == "delta":
                    delta = message.delta
                    sent |= {element.WhichOneof("type") for element in delta.new_transient.elements}
                    if delta.WhichOneof("type") == "new_element":
                        sent.add(delta.new_element.WhichOneof("type"))
    kinds = {kind.name for kind in Element.DESCRIPTOR.oneofs_by_name["type"].fields}
    assert kinds - sent == {"favicon"}  # no command makes one: the icon of a page comes in another message


def test_no_page_of_the_gallery_is_forgotten():
    """Each page is visited by the tests above."""
    views = {path.stem for path in (Path(APP).parent / "views").glob("*.py")}
    assert views == {*DRAWN, *NEEDS, "inline"}
