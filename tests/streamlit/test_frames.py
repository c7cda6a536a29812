"""HTML that a script embeds: kept for one session, bounded, and moved out of the message."""

import re

import pytest
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from gateway.streamlit.frames import Frames, Store, document
from tests.e2e.conftest import COLLEAGUE, STAFF, gateway_served

ADDRESS = re.compile(r"/\.gateway/frame/[0-9a-f]{48}(\?size=[hw]{1,2})?")


def message(html="<p>a</p>", *, content=False) -> ForwardMsg:
    made = ForwardMsg()
    made.delta.new_element.iframe.srcdoc = html
    if content:
        made.delta.new_element.height_config.use_content = True
    return made


# --- what is moved --------------------------------------------------------------------------------------------


def test_html_becomes_an_address():
    """The HTML leaves the message; in its place is an address below the base path, of 192 bits."""
    moved = message()
    assert Frames("/tools").rewrite(moved, "aa")
    assert moved.delta.new_element.iframe.WhichOneof("type") == "src"
    assert moved.delta.new_element.iframe.src.startswith("/tools/.gateway/frame/")
    assert ADDRESS.fullmatch(moved.delta.new_element.iframe.src.removeprefix("/tools"))


def test_a_frame_that_takes_its_height_from_its_content_says_so():
    """`height = "content"`: the frame measures itself, and the address tells the page that it may."""
    frames, moved = Frames(), message(content=True)
    frames.rewrite(moved, "aa")
    assert moved.delta.new_element.iframe.src.endswith("?size=h")
    assert b"gateway:frame-size" in document("<p>a</p>", measured=True)
    assert b"gateway:frame-size" not in document("<p>a</p>", measured=False)


def test_html_in_a_transient_message_is_moved_too():
    """Wherever an element can be, embedded HTML is found: a transient message holds several."""
    made = ForwardMsg()
    for html in ("<p>a</p>", "<p>b</p>"):
        made.delta.new_transient.elements.add().iframe.srcdoc = html
    made.delta.new_transient.elements.add().text.body = "c"
    assert Frames().rewrite(made, "aa")
    addresses = [element.iframe.src for element in made.delta.new_transient.elements][:2]
    assert len(set(addresses)) == 2
    assert all(ADDRESS.fullmatch(address) for address in addresses)


def test_every_place_of_an_element_is_known():
    """Elements are in deltas only, as new elements and in transients: another place of a newer Streamlit fails here."""
    import importlib
    import pkgutil

    import streamlit.proto as proto

    holders = set()
    for module in pkgutil.iter_modules(proto.__path__):
        if module.name.endswith("_pb2"):
            described = importlib.import_module(f"streamlit.proto.{module.name}").DESCRIPTOR.message_types_by_name
            for kind in described.values():
                holders |= {
                    (kind.name, field.name)
                    for field in kind.fields
                    if field.message_type is not None
                    and field.message_type.name in ("IFrame", "Element", "Transient", "Delta")
                }
    assert holders == {
        ("Delta", "new_element"),
        ("Delta", "new_transient"),
        ("Transient", "elements"),
        ("Element", "iframe"),
        ("ForwardMsg", "delta"),
    }


def unmoved():
    address, other, finished = ForwardMsg(), ForwardMsg(), ForwardMsg()
    address.delta.new_element.iframe.src = "https://frames.example/"
    other.delta.new_element.text.body = "<p>a</p>"
    finished.script_finished = 0
    return [(address, "aa"), (other, "aa"), (finished, "aa"), (message(), None), (message("x" * 34_000_000), "aa")]


@pytest.mark.parametrize(("given", "owner"), unmoved(), ids=["address", "text", "no delta", "no session", "too large"])
def test_everything_else_stays_as_it_is(given, owner):
    """An address, another element, HTML without a session to keep it for: the message is not changed."""
    before = given.SerializeToString()
    assert not Frames().rewrite(given, owner)
    assert given.SerializeToString() == before


@pytest.mark.parametrize(
    ("html", "begins"),
    [
        ("<p>a</p>", b"<!doctype html><p>"),
        ("<!DOCTYPE html><p>a</p>", b"<!DOCTYPE html><p>"),
        ("\n <!-- by hand -->\n<!doctype html><p>a</p>", b"\n <!-- by hand -->\n<!doctype html><p>"),
        ("", b"<!doctype html>"),
        ("\ud800", b"<!doctype html>?"),
    ],
)
def test_html_looks_as_it_does_in_the_page(html, begins):
    """HTML in `srcdoc` is never in quirks mode (HTML standard), so it gets a doctype if it has none."""
    assert document(html, measured=False).startswith(begins)


# --- what is kept ---------------------------------------------------------------------------------------------


def test_the_same_html_has_the_same_address():
    """Sent again at every rerun, HTML keeps its address, so that the frame is not loaded again and nothing grows."""
    frames = Frames()
    sent = [message(), message(), message(content=True)]
    for each in sent:
        frames.rewrite(each, "aa")
    addresses = [each.delta.new_element.iframe.src for each in sent]
    assert addresses[0] == addresses[1] != addresses[2]
    assert len(frames.store) == 2


def test_what_the_browser_keeps_has_a_hash_of_its_own():
    """Browsers keep messages by hash. One with an address of ours is not the one that Streamlit would refer to later,
    and after a restart, when addresses are others, not the same either.
    """
    hashes = []
    for frames in (Frames(), Frames()):
        for _ in range(2):
            sent = message()
            sent.hash = "streamlit's"
            frames.rewrite(sent, "aa")
            hashes.append(sent.hash)
    assert hashes[0] == hashes[1] != hashes[2] == hashes[3]
    assert "streamlit's" not in hashes


def test_addresses_of_others_cannot_be_computed():
    """The same HTML has another address for another session, and in another process."""
    names = {store.put(owner, b"<p>a</p>") for store in (Store(), Store()) for owner in ("aa", "bb")}
    assert len(names) == 4


def test_a_frame_is_for_the_session_that_it_was_sent_to():
    """Nobody else gets it, nor somebody without a session."""
    store = Store()
    name = store.put("aa", b"<p>a</p>")
    assert store.get("aa", name) == b"<p>a</p>"
    assert store.get("bb", name) is store.get(None, name) is store.get("aa", name[:-1]) is None


def test_the_same_html_is_kept_once():
    """A report that two hundred people look at takes the room of one."""
    store = Store()
    names = [store.put(f"s{n}", b"x" * 1000) for n in range(200)]
    assert (len(store), store.size) == (200, 1000)
    store.forget("s0")
    assert store.get("s0", names[0]) is None
    assert store.get("s1", names[1]) == b"x" * 1000
    for n in range(200):
        store.forget(f"s{n}")
    assert (len(store), store.size) == (0, 0)


def test_what_was_longest_unused_goes_first():
    """Bounded for each session and for all, by size and by number; what is in use stays."""
    store = Store(per_owner=3000, in_all=5000, count=3)
    first, second, third = (store.put("aa", bytes([n]) * 1000) for n in range(3))
    store.get("aa", first)
    store.put("aa", b"\0" * 1000)  # the first one again: now the second is the oldest
    store.put("aa", b"n" * 1000)
    assert [store.get("aa", name) is None for name in (first, second, third)] == [False, True, False]
    for n in range(10):
        store.put(f"s{n}", bytes([100 + n]) * 1000)
    assert store.size <= 5000
    assert store.put("bb", b"b" * 10_000)  # a single one that is larger than the bound is kept, alone
    assert len(store) == 1


# --- over the wire --------------------------------------------------------------------------------------------

TOOL = """
import streamlit as st
st.iframe("<p>for one session</p>", height="content")
st.text("done")
"""


@pytest.fixture(scope="module", params=["", "/tools"], ids=["at the root", "below a path"])
def gateway(request, tmp_path_factory):
    directory = tmp_path_factory.mktemp("frames")
    script = directory / "tool.py"
    script.write_text(TOOL)
    env = {"GATEWAY_SERVER__BASE_PATH": request.param} if request.param else None
    with gateway_served(directory, script=script, env=env) as served:
        served.url += request.param
        yield served


def test_only_the_session_that_it_was_sent_to_gets_a_frame(gateway):
    """The address of a frame is useless to a second user, and to somebody without a cookie; each try is recorded."""
    with gateway.connect(STAFF) as first, gateway.connect(STAFF) as second:
        first.rerun()
        second.rerun()
        [frame] = first.page.kinds("iframe")
        [other] = second.page.kinds("iframe")
        assert frame.srcdoc == other.srcdoc == ""
        assert frame.src != other.src
        origin = gateway.url.removesuffix("/tools")
        with first.visitor.http() as mine, second.visitor.http() as theirs:
            answer, stolen = mine.get(origin + frame.src), theirs.get(origin + frame.src)
        anonymous = gateway.http(COLLEAGUE).get(origin + frame.src)
    assert answer.status_code == 200
    assert "<p>for one session</p>" in answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-frame-options"] == "SAMEORIGIN"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox allow-scripts")
    assert "allow-same-origin" not in policy
    assert "frame-ancestors 'self'" in policy
    assert [stolen.status_code, anonymous.status_code] == [404, 404]
    assert "for one session" not in stolen.text + anonymous.text
    _, outcome = gateway.exchange(stolen.headers["x-request-id"])
    assert outcome["http_response"]["code"] == 404
