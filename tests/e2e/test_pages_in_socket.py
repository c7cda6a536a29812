"""Pages inside the socket: the attack that works through every outside proxy does not work here."""

import time

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.util import calc_hash

from tests.e2e.conftest import COLLEAGUE, POLICY, ROOT, STAFF, gateway_served, wait_for
from tests.support.streamlit_protocol import rerun

ROOMS = ROOT / "tests" / "data" / "streamlit" / "rooms.py"
SECRET = b"vault-combination-4711"
VAULT = calc_hash("vault")

# The rule that people write for nginx: a path, and who may not have it. Staff may open everything else.
VAULT_CLOSED = (
    POLICY[: POLICY.index("[[rules]]")].replace(
        'staff = ["127.0.0.1",', 'guards = ["127.0.0.2"]\nstaff = ["127.0.0.1",'
    )
    + """
[[rules]]
id = "staff"
effect = "allow"
because = "Staff use the tool."
networks = ["staff"]

[[rules]]
id = "vault"
effect = "deny"
because = "The vault is for guards."
paths = ["/vault*"]
unless = { networks = ["guards"] }
"""
)
RULE_BY_PAGE = VAULT_CLOSED.replace('paths = ["/vault*"]', 'pages = ["/vault"]')
RULE_BY_SURFACE = VAULT_CLOSED.replace('paths = ["/vault*"]', 'pages = ["/vault"]\nsurfaces = ["page"]')


@pytest.fixture(scope="module", params=[VAULT_CLOSED, RULE_BY_PAGE, RULE_BY_SURFACE], ids=["path", "page", "surface"])
def rooms(request, tmp_path_factory):
    with gateway_served(tmp_path_factory.mktemp("rooms"), policy=request.param, script=ROOMS) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def closed(tmp_path_factory):
    with gateway_served(tmp_path_factory.mktemp("closed"), policy=VAULT_CLOSED, script=ROOMS) as gateway:
        yield gateway


def frames(client) -> bytes:
    return b"".join(message.SerializeToString() for message in client.page.messages)


def listen(client, seconds: float) -> None:
    """Take whatever the server still says."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        try:
            client.receive(timeout=left)
        except TimeoutError:
            return


def refused(gateway, since=0):
    events = gateway.records()[since:]
    return [event for event in events if event["metadata"]["event_code"] == "ws.message"]


def test_the_room_is_there(closed):
    """Whoever may have the page gets it, so what is refused below is not simply broken."""
    with closed.connect(COLLEAGUE) as client:
        client.rerun()
        assert SECRET.decode() in client.rerun(page_name="vault").text


STATES = [
    ("by name", ClientState(page_name="vault")),
    ("by name with a slash", ClientState(page_name="vault/")),
    ("by hash", ClientState(page_script_hash=VAULT)),
    ("by hash, under another name", ClientState(page_script_hash=VAULT, page_name="library")),
    ("by name, with a query", ClientState(page_name="vault", query_string="page=hall")),
    ("by hash, as an automatic rerun", ClientState(page_script_hash=VAULT, is_auto_rerun=True)),
    ("by hash, as history", ClientState(page_script_hash=VAULT, is_history_navigation=True)),
]


@pytest.mark.parametrize(("name", "state"), STATES, ids=[row[0] for row in STATES])
@pytest.mark.parametrize("first", [True, False], ids=["at once", "later"])
def test_a_page_is_refused_however_it_is_asked_for(rooms, name, state, first):
    """The script does not run, nothing of the page leaves, the visitor is told why, and the record says so."""
    before = len(rooms.records())
    with rooms.connect(STAFF) as client:
        if not first:
            client.rerun()
        client.send(BackMsg(rerun_script=state))
        page = client.wait_finished()
        listen(client, 0.5)
        assert SECRET not in frames(client)
        assert "You do not have access" in page.text
        assert "denied-by-rule" in page.text
        reference = rooms.records()[-1]["metadata"]["correlation_uid"]
        assert reference in page.text
        hall = client.rerun(page_name="hall" if first else "")
        assert "opened=False" in client.rerun(page_script_hash=calc_hash("hall")).text, hall.text
    [event] = refused(rooms, before)
    assert event["status_detail"] == "denied-by-rule"
    assert event["firewall_rule"]["uid"] == "vault"
    assert event["unmapped"]["gateway"]["page"] == "/vault"


@pytest.mark.parametrize("button", ["Switch", "Switch with a query", "Switch in a callback", "Switch after a while"])
def test_a_script_that_switches_to_the_page_shows_nothing_of_it(rooms, button):
    """The script switches pages itself, so no message asks for the page; what it says there does not leave."""
    with rooms.connect(STAFF) as client:
        client.rerun()
        before = len(rooms.records())
        client.change({button: True})
        listen(client, 1.5)
        assert SECRET not in frames(client)
        assert "You do not have access" in client.page.text
        assert refused(rooms, before)
        library = client.rerun(page_script_hash=calc_hash("library")).text
        assert "Library" in library
        assert "opened=False" in library  # the page did not even run
        listen(client, 1.0)
        assert SECRET not in frames(client)


def test_a_fragment_that_switches_shows_nothing_either(closed):
    """A run of a fragment alone can switch pages, too."""
    with closed.connect(STAFF) as client:
        client.rerun()
        deltas = [message.delta for message in client.page.of_type("delta")]
        fragment = next(delta.fragment_id for delta in deltas if delta.fragment_id)
        states = client.page.set({"Switch in a fragment": True})
        client.send(rerun(page_script_hash=client.page.page_script_hash, widget_states=states, fragment_id=fragment))
        listen(client, 2)
        assert SECRET not in frames(client)
        assert "You do not have access" in client.page.text, client.page.text


def test_the_menu_has_no_entry_for_it(closed):
    """Navigation shows the pages that the visitor may open, and no empty section; others see all."""
    with closed.connect(STAFF) as client:
        client.rerun()
        navigation = client.page.of_type("navigation")[-1].navigation
        assert [page.url_pathname for page in navigation.app_pages] == ["", "library"]
        assert list(navigation.sections) == ["Rooms"]
        assert b"Vault" not in frames(client)
    with closed.connect(COLLEAGUE) as client:
        client.rerun()
        navigation = client.page.of_type("navigation")[-1].navigation
        assert [page.url_pathname for page in navigation.app_pages] == ["", "library", "vault"]


def test_a_page_asked_for_by_a_hash_that_nobody_knows_is_the_default_page(closed):
    """An invented hash names no page, so it opens none."""
    with closed.connect(STAFF) as client:
        assert "Hall" in client.rerun(page_script_hash="0" * 32).text
        assert client.page.page_script_hash == calc_hash("hall")


def test_where_the_script_lies_is_not_told(closed):
    """The browser learns neither directories nor versions of the machine."""
    with closed.connect(STAFF) as client:
        client.rerun()
        session = client.page.of_type("new_session")[0].new_session
        assert session.main_script_path == "rooms.py"
        assert not session.initialize.environment_info.python_version
        assert str(ROOT).encode() not in frames(client)


def test_what_happened_is_recorded_as_a_reviewer_means_it(closed):
    """Pages opened, widgets by kind and key without their values, runs, errors by type: and nothing of their texts."""
    with closed.connect(STAFF) as client:
        client.rerun()
        client.change({"Note": "my private words"})
        client.change({"Work": True})
        client.change({"Fail": True})
        client.rerun(page_name="library")
    events = wait_for(lambda: activity(closed), lambda found: coded(found, "socket.activity")[1:])
    request_id = events[-1]["metadata"]["correlation_uid"]
    mine = [event for event in events if event["metadata"].get("correlation_uid") == request_id]
    pages = [event["unmapped"]["gateway"]["page"] for event in coded(mine, "page.open")]
    assert pages == ["/", "/library"]
    hall, library = (event["unmapped"]["gateway"]["details"] for event in coded(mine, "socket.activity"))
    assert {"text_input note", "button work", "button fail"} == set(hall["actions"])
    assert hall["runs"] >= 4
    assert hall["longest_run_ms"] >= 500
    assert hall["bytes_out"] > 0
    assert library["bytes_out"] > 0
    [error] = coded(mine, "script.error")
    assert error["unmapped"]["gateway"]["details"]["exception"] == "RuntimeError"
    everything = str(closed.records())
    assert "my private words" not in everything
    assert "1234-5678" not in everything


def coded(events, code):
    return [event for event in events if event["metadata"]["event_code"] == code]


def activity(gateway):
    """What happened in the socket that was closed last."""
    codes = ("page.open", "socket.activity", "script.error", "ws.close")
    events = [event for event in gateway.records() if event["metadata"]["event_code"] in codes]
    closings = coded(events, "ws.close")
    last = closings[-1]["metadata"]["correlation_uid"] if closings else None
    return [event for event in events if event["metadata"].get("correlation_uid") == last]


def test_pages_of_a_folder_are_judged_in_the_same_way(tmp_path):
    """In a tool with a `pages/` folder the page is refused by name, by hash and by switch, and is not run."""
    (tmp_path / "pages").mkdir()
    script = tmp_path / "home.py"
    script.write_text(
        "import streamlit as st\nst.title('Home')\nif st.button('Go'):\n    st.switch_page('pages/vault.py')\n"
    )
    ran = tmp_path / "ran"
    (tmp_path / "pages" / "vault.py").write_text(
        f"import pathlib, streamlit as st\npathlib.Path({str(ran)!r}).touch()\nst.title('{SECRET.decode()}')\n"
    )
    with gateway_served(tmp_path, policy=VAULT_CLOSED, script=script) as gateway:
        with gateway.connect(STAFF) as client:
            assert "You do not have access" in client.rerun(page_name="vault").text
            assert "Home" in client.rerun(page_name="home").text
            assert "You do not have access" in client.rerun(page_script_hash=VAULT).text
            client.rerun(page_script_hash=calc_hash("home"))
            client.change({"Go": True})
            listen(client, 1)
            assert "You do not have access" in client.page.text
            assert SECRET not in frames(client)
        assert gateway.get("/vault").status_code == 403
        assert not ran.exists()
        with gateway.connect(COLLEAGUE) as client:
            assert SECRET.decode() in client.rerun(page_name="vault").text
