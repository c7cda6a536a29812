"""The guard against whatever bytes there are, in both directions: nothing crashes it, and nothing passes unjudged."""

import string
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.util import calc_hash

from gateway.model import DEFAULT_MESSAGES
from tests.audit.reading import events
from tests.policy.sources import SMALL
from tests.support.guard import guarded, says, takes
from tests.support.streamlit_protocol import rerun

VAULT, HALL, MAIN = calc_hash("vault"), calc_hash("hall"), "main"
FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def guard(tmp_path_factory):
    with guarded(tmp_path_factory.mktemp("guard")) as one:
        yield one


# --- inwards ------------------------------------------------------------------------------------------------------

names = st.text(string.ascii_letters + "/_-. %", max_size=12) | st.sampled_from(["vault", "vault/", "/vault", "hall"])
hashes = st.sampled_from(["", VAULT, HALL, MAIN, "0" * 32]) | st.text(max_size=40)
urls = st.sampled_from(["https://t.example/vault", "https://t.example/hall?page=vault", "::", ""]) | st.text(
    max_size=30
)


@st.composite
def reruns(draw):
    state = ClientState(
        page_name=draw(names),
        page_script_hash=draw(hashes),
        query_string=draw(st.text(max_size=20)),
        fragment_id=draw(st.sampled_from(["", "f"])),
        is_auto_rerun=draw(st.booleans()),
    )
    state.context_info.url = draw(urls)
    return BackMsg(rerun_script=state).SerializeToString()


@st.composite
def others(draw):
    message = BackMsg()
    field = draw(st.sampled_from(list(BackMsg.DESCRIPTOR.fields)))
    if field.message_type is not None:
        getattr(message, field.name).SetInParent()
    else:
        setattr(message, field.name, draw(st.booleans()))
    return message.SerializeToString()


frames = st.lists(reruns() | others() | st.binary(max_size=60) | st.text(max_size=10), max_size=8)


def kind_of(message: BackMsg) -> str | None:
    kind = message.WhichOneof("type")
    return message.backend_operation_request.WhichOneof("payload") if kind == "backend_operation_request" else kind


@FUZZ
@given(frames)
def test_only_what_is_allowed_reaches_the_application(guard, sent):
    """Whatever comes in: the application sees messages of allowed kinds, for allowed pages, and nothing else."""
    wire = guard.run(takes, sent)
    for frame in wire.arrived:
        message = BackMsg.FromString(frame)
        assert kind_of(message) in DEFAULT_MESSAGES
        if message.WhichOneof("type") == "rerun_script":
            state = message.rerun_script
            assert state.page_script_hash != VAULT
            assert state.page_script_hash in ("", HALL, MAIN) or state.page_script_hash == calc_hash(
                state.context_info.url.split("?")[0].rstrip("/").rpartition("/")[2]
            )
            assert state.page_script_hash or state.page_name.strip("/") != "vault"
    if wire.closed is not None:
        assert wire.closed[0] in (1002, 1003, 1008, 1009)


@FUZZ
@given(frames)
def test_all_frames_are_answered_for(guard, sent):
    """A frame is forwarded, or refused, or it ends the socket: none disappears with an error of ours."""
    wire = guard.run(takes, sent)
    assert wire.closed is None or wire.closed[0] != 1011


@pytest.mark.parametrize(
    ("name", "frame", "code", "reason"),
    [
        ("text", "hello", 1003, "message-malformed"),
        ("no message", b"\xff\xff\xff", 1002, "message-malformed"),
        ("an operation without a payload", b"\x9a\x01\x00", 1002, "message-malformed"),
        ("a page with an endless name", rerun(page_name="x" * 600).SerializeToString(), 1002, "message-malformed"),
        ("too large", b"\x00" * (25 * 1024 * 1024 + 1), 1009, "message-too-large"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_frames_that_end_the_socket(guard, name, frame, code, reason):
    """What cannot be read ends the socket, with the code of RFC 6455 and the reason."""
    assert guard.run(takes, [frame]).closed == (code, reason)


def test_what_a_visitor_may_think_of_is_forgotten(tmp_path):
    """Any number of names of pages and widgets comes through one socket; what is kept of them has a bound."""
    sent = []
    for number in range(2_000):
        state = rerun(page_name=f"page{number}")
        state.rerun_script.widget_states.widgets.add(id=f"$$ID-{number}-w", trigger_value=True)
        sent.append(state.SerializeToString())
    with guarded(tmp_path) as guard:
        assert guard.run(takes, sent).closed is None
    [record] = [each for each in events(tmp_path) if each["metadata"]["event_code"] == "socket.activity"]
    facts = record["unmapped"]["gateway"]["details"]
    assert facts["actions"] == ["unknown widget x2000"]


def test_widgets_that_were_shown_are_named(tmp_path):
    """A widget is recorded by kind and key; of very many the first, and the number of the rest."""
    shown, pressed = [begins(MAIN), navigates("hall")], rerun()
    for number in range(300):
        message = ForwardMsg()
        message.metadata.delta_path[:] = [0, number]
        message.delta.new_element.button.id = f"$$ID-{number:032x}-key{number}"
        shown.append(message.SerializeToString())
        pressed.rerun_script.widget_states.widgets.add(id=message.delta.new_element.button.id, trigger_value=True)
    with guarded(tmp_path, pages=("/", "/hall")) as guard:
        guard.run(says(shown), [pressed.SerializeToString()] * 2)
    sums = [each for each in events(tmp_path) if each["metadata"]["event_code"] == "socket.activity"]
    facts = sums[-1]["unmapped"]["gateway"]["details"]
    assert len(facts["actions"]) == 24
    assert facts["actions"][0] == "button key0 x2"
    assert facts["more_actions"] == 2 * (300 - 24)


# --- outwards -----------------------------------------------------------------------------------------------------

PAGES = {"hall": HALL, "vault": VAULT, "library": calc_hash("library")}


def begins(script_hash: str, fragment: bool = False) -> bytes:
    message = ForwardMsg()
    message.metadata.run.script_run_id = "run"
    if fragment:
        message.metadata.run.fragment_ids.append("f")
    message.new_session.page_script_hash, message.new_session.main_script_hash = script_hash, MAIN
    message.new_session.initialize.session_id = "s"
    return message.SerializeToString()


def navigates(to: str, default: str = "hall") -> bytes:
    message = ForwardMsg()
    message.navigation.page_script_hash = PAGES[to]
    message.navigation.sections.append("")
    for name, script_hash in PAGES.items():
        entry = message.navigation.app_pages.add(page_script_hash=script_hash, page_name=f"title of {name}")
        entry.is_default, entry.url_pathname = name == default, "" if name == default else name
    return message.SerializeToString()


def content(of: str, active: str) -> bytes:
    message = ForwardMsg()
    message.metadata.delta_path[:] = [0, 0]
    message.metadata.active_script_hash = active
    message.delta.new_element.markdown.body = f"content of {of}"
    return message.SerializeToString()


def other(kind: str) -> bytes:
    message = ForwardMsg()
    match kind:
        case "page_config_changed":
            message.page_config_changed.title = "content of vault"
        case "page_info_changed":
            message.page_info_changed.query_string = "content of vault"
        case "logo":
            message.logo.image = "content of vault"
        case "ref_hash":
            message.ref_hash = "content of vault"
        case "parent_message":
            message.parent_message.message = "content of vault"
        case "auth_redirect":
            message.auth_redirect.url = "content of vault"
        case "session_event":
            message.session_event.script_compilation_exception.message = "content of vault"
        case _:
            message.backend_operation_response.error_msg = "content of vault"
    return message.SerializeToString()


KINDS = [
    *("page_config_changed", "page_info_changed", "logo", "ref_hash", "parent_message", "auth_redirect"),
    *("session_event", "backend_operation_response"),
]


@st.composite
def scripts(draw):
    """What an app says in a run: to which page it comes, and how it gets there; its content names its page."""
    said = []
    for _ in range(draw(st.integers(1, 5))):
        page = draw(st.sampled_from(list(PAGES)))
        if draw(st.booleans()):  # by name: the run begins with the common code
            said += [begins(MAIN), content("everybody", MAIN), navigates(page)]
        else:
            said += [begins(PAGES[page], draw(st.booleans()))]
            said += [navigates(page)] if draw(st.booleans()) else []
        for _ in range(draw(st.integers(0, 3))):
            said.append(content(page, draw(st.sampled_from([PAGES[page], MAIN]))))
        if page == "vault":
            said += [other(kind) for kind in draw(st.lists(st.sampled_from(KINDS), max_size=4))]
        end = ForwardMsg(script_finished=ForwardMsg.FINISHED_SUCCESSFULLY)
        said += [end.SerializeToString()] if draw(st.booleans()) else []
    return said


@FUZZ
@given(scripts())
def test_nothing_of_a_closed_page_leaves(guard, said):
    """Whatever an app says, in whatever order, no message of a closed page's run leaves, and its title neither."""
    wire = guard.run(says(said))
    everything = b"".join(wire.left)
    assert b"content of vault" not in everything
    assert b"title of vault" not in everything
    assert wire.closed is None
    if navigates("vault") in said:
        assert b"You do not have access" in everything


@FUZZ
@given(scripts())
def test_open_pages_lose_nothing(guard, said):
    """What belongs to pages that the visitor may have arrives, all of it and in order."""
    wire = guard.run(says(said))
    wanted = [frame for frame in said if b"content of hall" in frame or b"content of library" in frame]
    assert [frame for frame in wire.left if b"content of hall" in frame or b"content of library" in frame] == wanted


def test_a_page_that_is_the_default_for_somebody_is_judged_as_such(guard):
    """The hash of `vault` stands for `/` where the app makes it the default page: the visitor may have `/`."""
    said = [begins(MAIN), navigates("vault", default="vault"), content("vault", VAULT)]
    assert any(b"content of vault" in frame for frame in guard.run(says(said)).left)


def test_content_that_names_a_closed_page_does_not_leave_on_an_open_one(guard):
    """A fragment or a thread of a closed page that goes on while another page is open."""
    said = [begins(MAIN), navigates("library"), content("vault", VAULT), content("library", PAGES["library"])]
    left = b"".join(guard.run(says(said)).left)
    assert b"content of vault" not in left
    assert b"content of library" in left


def test_nothing_leaves_before_a_run_has_begun(guard):
    """The rest of a run that an earlier socket of the session has seen begin is of a page that nobody named here."""
    said = [content("vault", VAULT), content("vault", MAIN), other("logo"), begins(MAIN), content("everybody", MAIN)]
    left = b"".join(guard.run(says(said)).left)
    assert b"content of vault" not in left
    assert b"content of everybody" in left


def test_a_menu_that_does_not_hold_its_own_page_shows_nothing(guard):
    """A page that is not among the pages that the app declares has no path to be judged by."""
    message = ForwardMsg.FromString(navigates("library"))
    message.navigation.page_script_hash = VAULT
    del message.navigation.app_pages[1]
    said = [begins(MAIN), message.SerializeToString(), content("vault", VAULT), content("vault", MAIN)]
    assert b"content of vault" not in b"".join(guard.run(says(said)).left)


def test_content_of_a_page_that_nobody_has_declared_does_not_leave(guard):
    """A hash that stands for no known page cannot be judged."""
    said = [begins(MAIN), navigates("library"), content("vault", calc_hash("never declared"))]
    assert b"content of vault" not in b"".join(guard.run(says(said)).left)


def test_bytes_that_are_no_message_of_streamlits_end_the_socket(guard):
    """What cannot be read cannot be judged, so it does not leave."""
    wire = guard.run(says([b"\xff\xff\xffsecret"]))
    assert wire.closed == (1011, "application-error")
    assert not wire.left


# --- time ---------------------------------------------------------------------------------------------------------

LAST_DAY = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "at", "expected"),
    [
        ("on the last day", LAST_DAY.replace(hour=23, minute=59), (1, [])),
        ("the day after", LAST_DAY + timedelta(hours=12), (0, ["no-rule-matched"])),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_message_is_judged_at_its_own_time(tmp_path, name, at, expected):
    """A rule that has expired since the socket was opened lets no further message in."""
    text = SMALL.replace('networks = ["office"]\n', 'networks = ["office"]\nexpires = 2026-11-22\n', 1)
    with guarded(tmp_path, text, at=at) as one:
        wire = one.run(takes, [BackMsg(stop_script=True).SerializeToString()])
    refused = [each for each in events(tmp_path) if each["metadata"]["event_code"] == "ws.message"]
    assert (len(wire.arrived), [each["unmapped"]["gateway"]["reason"] for each in refused]) == expected
