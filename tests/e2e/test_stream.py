"""Inside the socket: Streamlit's protocol through the guard, and what the script is told of its visitor."""

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg

from tests.e2e.conftest import COLLEAGUE, PROXY, ROOT, STAFF, gateway_served, wait_for
from tests.support.streamlit_client import visit

PROBE = ROOT / "tests" / "data" / "streamlit" / "probe.py"


@pytest.fixture(scope="module")
def probed(tmp_path_factory):
    with gateway_served(tmp_path_factory.mktemp("probe"), script=PROBE) as gateway:
        yield gateway


def shown(page):
    """What the probe printed, by name."""
    return dict(line.partition("=")[::2] for line in page.text.splitlines() if "=" in line)


def test_a_script_runs_and_its_widgets_work(served):
    """Reruns, widgets and buttons work through the gateway as they do without it."""
    with served.connect() as client:
        client.rerun()
        assert "hello Ada" in client.change({"Name": "Ada", "Greet": True}).text


def test_an_upload_reaches_the_script(tmp_path):
    """A file goes up by PUT, into the session that asked for it."""
    policy_open = "pages = ['/closed']"
    from tests.e2e.conftest import POLICY

    with gateway_served(tmp_path, policy=POLICY.replace('pages = ["/ledger"]', policy_open)) as gateway:
        with gateway.connect() as client:
            client.rerun(page_name="ledger")
            page = client.upload("Bookings", "bookings.csv", b"a,b\n1,2\n")
            assert "bookings.csv has 8 bytes" in page.text
            [urls] = client.upload_urls(["big.csv"])
            response = client.put(urls, "big.csv", b"a" * 300_000)
        assert response.status_code == 413
        uploads = [event for event in gateway.records() if event["unmapped"]["gateway"].get("surface") == "upload"]
        assert uploads
        assert not any(client.page.session_id in str(event) for event in gateway.records())


def test_the_script_sees_the_client_and_not_the_wire(probed):
    """The address as the policy found it; no forwarding header, no cookie of ours, no identity from outside."""
    claims = {"X-Forwarded-For": "203.0.113.5", "X-Forwarded-User": "admin", "X-Gateway-Exchange": "guess"}
    visitor = visit(probed.url, source_address=PROXY, headers=claims)
    from tests.support.streamlit_client import StreamlitClient

    with StreamlitClient(visitor) as client:
        seen = shown(client.rerun())
    assert seen["address"] == "203.0.113.5"
    assert seen["client"] == "203.0.113.5 forwarded"
    assert seen["decision"].startswith("staff 0001 ")
    assert "x-forwarded" not in seen["headers"].lower()
    assert "gateway" not in seen["cookies"]
    assert "admin" not in seen["user"]
    assert "'id': 'anonymous', 'method': 'none', 'groups': '', 'session': '" in seen["user"]


def test_the_scripts_exchange_is_in_the_record(probed):
    """The request id that the script shows is the one of the socket's decision."""
    with probed.connect() as client:
        request_id = shown(client.rerun())["decision"].split()[2]
    decision, outcome = probed.exchange(request_id)
    assert decision["metadata"]["event_code"] == "ws.open"
    assert outcome["metadata"]["event_code"] == "ws.close"
    assert outcome["traffic"]["bytes_out"] > 0


def test_an_error_in_the_script_shows_no_detail(probed):
    """The visitor learns that something failed, not what the code and the data look like."""
    with probed.connect() as client:
        client.rerun()
        page = client.change({"Fail": True})
    assert "4711" not in page.text
    assert not any(b"4711" in message.SerializeToString() for message in client.page.messages)


OPERATION = "backend_operation_request"
FIELDS = BackMsg.DESCRIPTOR.fields_by_name
PAYLOADS = FIELDS[OPERATION].message_type.oneofs_by_name["payload"].fields
ALLOWED = {"rerun_script", "stop_script", "app_heartbeat", "file_urls_request", "deferred_file", "dataframe_chunk"}
KINDS = ({*FIELDS, *(field.name for field in PAYLOADS)}) - {OPERATION}


@pytest.mark.parametrize("kind", sorted(KINDS - ALLOWED))
def test_messages_that_the_policy_does_not_let_in(served, kind):
    """Clearing everybody's cache and the like are dropped and recorded; the visitor's socket stays."""
    message = BackMsg()
    if kind not in FIELDS:
        getattr(message.backend_operation_request, kind).SetInParent()
    else:
        setattr(message, kind, True)
    with served.connect() as client:
        client.send(message)
        assert client.rerun().text  # the socket is alive, and nothing was answered to the message
    refused = [
        event for event in served.records() if event["unmapped"]["gateway"].get("reason") == "message-not-allowed"
    ]
    assert kind in {event["unmapped"]["gateway"]["inputs"]["message"] for event in refused}


FRAMES = [
    ("a text frame", "hello", 1003, "message-malformed"),
    ("bytes that are no message", b"\xff\xff\xff\xff", 1002, "message-malformed"),
    ("an empty frame", b"", 1002, "message-malformed"),
    ("a message of no known kind", b"\xf2\x3f\x01a", 1002, "message-malformed"),
]


@pytest.mark.parametrize(("name", "frame", "code", "reason"), FRAMES, ids=[row[0] for row in FRAMES])
def test_frames_that_are_no_messages(served, name, frame, code, reason):
    """A frame that does not parse ends the socket with a code and a reason, a record, and no traceback in the log."""
    with served.connect() as client:
        client.send(frame)
        assert client.wait_closed() == (code, reason)
    wait_for(lambda: served.records()[-1], lambda last: last["unmapped"]["gateway"].get("reason") == reason)
    assert served.records()[-1]["metadata"]["event_code"] == "ws.close"
    assert "Traceback" not in served.process.output()


def test_a_socket_belongs_to_the_session_of_its_cookie(served):
    """Page and socket of one visitor have one session in the record, and another visitor another one."""
    with served.connect(STAFF) as one, served.connect(COLLEAGUE) as other:
        one.rerun()
        other.rerun()
    sessions = {
        event["src_endpoint"]["ip"]: event["actor"]["session"]["uid"]
        for event in served.records()
        if event["metadata"]["event_code"] == "ws.open" and "session" in event["actor"]
    }
    assert sessions[STAFF] != sessions[COLLEAGUE]
