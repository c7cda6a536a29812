"""Hints in the head of the document: each leads to something that is there, and none is a guess."""

import re
from html.parser import HTMLParser
from pathlib import Path

from streamlit import file_util

from gateway.streamlit.hints import arranged, first_load
from gateway.streamlit.manifest import ROUTES

ROOT = Path(file_util.get_static_dir())
INDEX = (ROOT / "index.html").read_text("utf-8")


class Head(HTMLParser):
    """The elements of a head that load something, in order: tag, attributes, and what they load."""

    def __init__(self, html):
        super().__init__()
        self.found = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        target = attributes.get("src") or attributes.get("href")
        if tag in ("script", "link") and target:
            self.found.append((tag, attributes, target.removeprefix("./")))


def hints(html):
    return [(attributes, target) for tag, attributes, target in Head(html).found if attributes.get("rel") == "preload"]


def test_every_hint_leads_to_something():
    """Each file that the head names is installed, and each path that is fetched ahead is a route that is served."""
    routes = {route.path for route in ROUTES}
    for attributes, target in hints(arranged(INDEX, ROOT)):
        assert f"/{target}" in routes if attributes["as"] == "fetch" else (ROOT / target).is_file()
    assert all((ROOT / path[1:]).is_file() for path in first_load(INDEX))


def test_nothing_of_streamlits_head_is_lost():
    """All that Streamlit's own head loads is still there, once."""
    before = sorted(target for _, _, target in Head(INDEX).found)
    after = [target for _, _, target in Head(arranged(INDEX, ROOT)).found]
    assert sorted(target for target in after if target not in ("_stcore/health", "_stcore/host-config")) == before


def test_scripts_come_before_the_font():
    """The font of the text is asked for when no script waits any more."""
    found = Head(arranged(INDEX, ROOT)).found
    places = {
        kind: [n for n, each in enumerate(found) if kind in (each[0], each[1].get("as"))] for kind in ("script", "font")
    }
    assert max(places["script"]) < min(places["font"])
    assert all(found[n][1]["fetchpriority"] == "low" for n in places["font"])


def test_the_requests_before_the_socket_are_hinted():
    """The installed entry script fetches both, so both are hinted, in the mode in which it fetches them."""
    fetched = {target: attributes for attributes, target in hints(arranged(INDEX, ROOT)) if attributes["as"] == "fetch"}
    assert set(fetched) == {"_stcore/health", "_stcore/host-config"}
    assert all(attributes["crossorigin"] is None for attributes in fetched.values())  # the attribute without a value


def test_what_the_front_end_does_not_fetch_has_no_hint(tmp_path):
    """A front end that has renamed one of them has a hint for the other; one without its entry script has none."""
    entry = tmp_path / re.search(r'src="\./([^"]+)"', INDEX)[1]
    entry.parent.mkdir(parents=True)
    entry.write_text('const first="_stcore/health",second="_stcore/hosts";')
    assert [target for attributes, target in hints(arranged(INDEX, tmp_path)) if attributes["as"] == "fetch"] == [
        "_stcore/health"
    ]
    entry.unlink()
    assert [attributes["as"] for attributes, _ in hints(arranged(INDEX, tmp_path))] == ["font"]


def test_a_document_that_we_do_not_know_stays_as_it_is():
    """Another layout is not rearranged by guessing."""
    for html in ("", "<html><head></head></html>", INDEX.replace("</head>", ""), INDEX.replace('type="module"', "")):
        assert arranged(html, ROOT) == html


def test_the_first_load_is_known():
    """Entry script, every script of its graph, and the stylesheet: what is compressed first."""
    paths = first_load(INDEX)
    assert paths[0].startswith("/static/js/index.")
    assert sum(path.endswith(".js") for path in paths) == INDEX.count('rel="modulepreload"') + 1
    assert [path for path in paths if path.endswith(".css")] != []
