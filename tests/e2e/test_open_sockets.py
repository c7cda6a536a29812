"""Open sockets follow the policy: releases, entries that expire, sessions that end, readers that do not read."""

import asyncio
import datetime
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from tests.e2e.conftest import COLLEAGUE, GATEWAY, POLICY, STAFF, gateway_served, wait_for
from tests.support.processes import clean_environment
from tests.support.streamlit_client import StreamlitClient, Visitor, connect_async, visit
from tests.support.streamlit_protocol import rerun


def release(gateway, text: str, revision: str = "0002") -> float:
    """Release another policy; the moment when the command was done."""
    (gateway.policies / f"{revision}-next.toml").write_text(text)
    command = [*GATEWAY, "policy", "release", revision, "--policies", str(gateway.policies)]
    done = subprocess.run(command, capture_output=True, text=True, env=clean_environment(), timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return time.monotonic()


def closings(gateway) -> list[dict]:
    return [event for event in gateway.records() if event["metadata"]["event_code"] == "ws.close"]


def test_a_release_ends_the_sockets_of_those_it_takes_out(tmp_path):
    """50 open sockets of a network that a release removes close within a second, each with a record; those who may
    stay notice nothing and keep their state.
    """
    policy = POLICY.replace("[networks]", '[networks]\nvisitors = ["127.0.0.3"]').replace(
        'networks = ["staff"]', 'networks = ["staff", "visitors"]'
    )
    with gateway_served(tmp_path, policy=policy) as gateway:
        asyncio.run(revoked(gateway))
        ended = wait_for(lambda: closings(gateway), lambda found: len(found) >= 53)
        reasons = [event["status_detail"] for event in ended]
        assert reasons.count("no-rule-matched") == 50
        leases = [event for event in gateway.records() if event["metadata"]["event_code"] == "ws.lease"]
        assert len(leases) == 53
        assert {event["policy"]["version"] for event in leases} == {"0002"}
        assert sum(event["action_id"] == 2 for event in leases) == 50


async def revoked(gateway) -> None:
    outsiders = [await opened(gateway, "127.0.0.3") for _ in range(50)]
    insiders = [await opened(gateway, STAFF) for _ in range(3)]
    for client in insiders:
        assert "hello Ada" in await greet(client)
    for client in outsiders[:5]:
        await client.rerun()  # some have a page, some never sent a word
    await silence(insiders[0])  # what belongs to the last run has come
    before = len(insiders[0].page.messages)
    released = await asyncio.to_thread(release, gateway, POLICY)
    codes = await asyncio.gather(*(ended(client) for client in outsiders))
    took = time.monotonic() - released
    assert set(codes) == {(4403, "no-rule-matched")}
    assert took <= 1.0, f"{took:.2f} s"
    await silence(insiders[0])
    assert len(insiders[0].page.messages) == before
    for client in insiders:
        assert "hello Ada" in (await client.rerun()).text
        await client.close()


async def silence(client) -> None:
    """Until nothing has come for half a second."""
    with suppress(TimeoutError):
        while True:
            async with asyncio.timeout(0.5):
                await client.receive()


async def opened(gateway, source: str):
    visitor = await asyncio.to_thread(visit, gateway.url, source_address=source)
    return await connect_async(visitor)


async def greet(client) -> str:
    await client.rerun()
    client.page.set({"Name": "Ada", "Greet": True})
    return (await client.rerun()).text


async def ended(client) -> tuple[int, str]:
    try:
        async with asyncio.timeout(10):
            while True:
                await client.receive()
    except ConnectionClosed as closed:
        return (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (1006, "")


def test_a_release_takes_a_page_away_from_those_who_look_at_it(tmp_path):
    """Whoever looks at a page when a release closes it sees the notice, and no more of the page; the socket stays."""
    policy = POLICY.replace('pages = ["/ledger"]', 'pages = ["/other"]')
    with gateway_served(tmp_path, policy=policy) as gateway, gateway.connect() as client:
        client.rerun()
        assert "Bookings" in client.rerun(page_name="ledger").text
        release(gateway, POLICY)
        deadline = time.monotonic() + 2
        while "You do not have access" not in client.page.text:
            assert time.monotonic() < deadline
            client.receive(timeout=2)
        assert "Home" in client.rerun(page_name="home").text


def test_a_session_that_ends_takes_its_sockets_along(tmp_path):
    """At the end of the session's lifetime its socket is closed with 4401, idle or not."""
    policy = POLICY + '\n[sessions]\nidle = "1m"\nlifetime = "1m"\n'
    with gateway_served(tmp_path, policy=policy) as gateway:
        begun = time.monotonic()
        with gateway.connect() as client:
            client.rerun()
            assert client.wait_closed(timeout=65) == (4401, "session-ended")
            assert 55 <= time.monotonic() - begun <= 63
        wait_for(lambda: closings(gateway)[-1:], lambda found: found and found[0]["status_detail"] == "session-ended")


def test_an_entry_that_expires_ends_the_socket(tmp_path):
    """A network entry holds to the end of its last day, in UTC: at midnight its socket is closed."""
    faketime = shutil.which("faketime")
    if faketime is None:
        pytest.skip("faketime is not installed")
    today = datetime.datetime.now(datetime.UTC).date()
    policy = POLICY.replace(
        'staff = ["127.0.0.1", "127.0.0.2", "203.0.113.0/24"]',
        f'staff = ["127.0.0.2", {{ cidr = "127.0.0.1", owner = "x", ticket = "T-1", expires = {today} }}]',
    )
    before_midnight = f"{today} 23:59:50"
    clock = [faketime, "-f", f"@{before_midnight}"]
    with (
        gateway_served(tmp_path, policy=policy, prefix=clock) as gateway,
        gateway.connect() as client,
        gateway.connect(COLLEAGUE) as colleague,
    ):
        client.rerun()
        assert client.wait_closed(timeout=25) == (4403, "no-rule-matched")
        assert colleague.rerun().text


def test_somebody_elses_streamlit_session_is_not_resumed(served):
    """Whoever comes with another visitor's session id gets a fresh session, and it is in the record; the id is not."""
    with served.connect(STAFF) as one:
        one.rerun()
        one.change({"Name": "Ada", "Greet": True})
        stolen = one.page.session_id
        thief = visit(served.url, source_address=COLLEAGUE, session_id=stolen)
        with StreamlitClient(thief) as other:
            assert "hello Ada" not in other.rerun().text
            assert other.page.session_id != stolen
        assert "hello Ada" in one.rerun().text  # and the owner's session goes on
    attempts = wait_for(
        lambda: [event for event in served.records() if event["metadata"]["event_code"] == "session.foreign"], bool
    )
    assert attempts[-1]["src_endpoint"]["ip"] == COLLEAGUE
    assert stolen not in str(served.records())
    assert stolen not in served.process.output()


def test_ones_own_streamlit_session_is_resumed(served):
    """After the network has dropped, the browser comes back to the state that it had."""
    visitor = visit(served.url, source_address=STAFF)
    with StreamlitClient(visitor) as first:
        first.rerun()
        first.change({"Name": "Ada", "Greet": True})
        session, widgets = first.page.session_id, dict(first.page.widgets)
    options = {"source_address": STAFF, "cookies": visitor.cookies, "session_id": session}
    with StreamlitClient(Visitor(served.url, **options)) as again:
        again.page.widgets.update(widgets)
        assert "hello Ada" in again.rerun().text
        assert again.page.session_id == session
        with StreamlitClient(Visitor(served.url, **options)) as beside:  # a tab that was duplicated
            assert beside.rerun().text
    assert session not in str(served.records())
    assert session not in served.process.output()


def test_a_flood_of_messages_ends_the_socket(tmp_path):
    """Messages beyond the rate of the policy close the socket with 4429."""
    policy = POLICY.replace("[limits]", '[limits]\nmessages = { rate = "5/s", burst = 20 }')
    with gateway_served(tmp_path, policy=policy) as gateway, gateway.connect() as client:
        client.rerun()
        with pytest.raises(ConnectionClosed):
            for _ in range(200):
                client.send(b"\x88\x01\x01")  # app_heartbeat
                time.sleep(0.001)
            client.wait_closed()
            client.send(b"\x88\x01\x01")
        assert client.socket.close_code == 4429


def test_new_sockets_are_counted(tmp_path):
    """One session may not open sockets without end, nor all of them more than the process is to hold."""
    policy = POLICY.replace("[limits]", '[limits]\nsockets = { total = 4, new = "3/min" }')
    with gateway_served(tmp_path, policy=policy) as gateway:
        visitor = visit(gateway.url, source_address=STAFF)
        clients = [StreamlitClient(visitor) for _ in range(3)]
        assert status_of(visitor) == 429
        other = visit(gateway.url, source_address=COLLEAGUE)
        clients.append(StreamlitClient(other))
        assert status_of(other) == 429
        for client in clients:
            client.close()
    reasons = [event["status_detail"] for event in gateway.records() if event["metadata"]["event_code"] == "ws.close"]
    assert "rate-limited" in reasons
    assert "too-many-sockets" in reasons


def status_of(visitor) -> int:
    from websockets.exceptions import InvalidStatus

    with pytest.raises(InvalidStatus) as refused:
        StreamlitClient(visitor)
    return refused.value.response.status_code


def test_a_reader_that_does_not_read_is_closed(tmp_path):
    """Whoever asks for page after page and reads none is closed with 4408, and memory stays bounded meanwhile."""
    script = tmp_path / "big.py"
    script.write_text("import streamlit as st\nfor n in range(60):\n    st.text(f'{n}' + 'x' * 1_000_000)\n")
    with gateway_served(tmp_path, script=script) as gateway, gateway.connect() as client:
        client.rerun()
        before = resident(gateway.process.pid)
        peak = 0
        for _ in range(200):  # nothing is received from here on
            client.send(rerun(page_script_hash=client.page.page_script_hash))
        deadline = time.monotonic() + 30
        while not (ended := closings(gateway)):
            peak = max(peak, resident(gateway.process.pid) - before)
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert ended[0]["status_detail"] == "reader-too-slow"
        assert ended[0]["unmapped"]["gateway"]["close_code"] == 4408
        assert peak < 100e6, f"{peak / 1e6:.0f} MB"


def resident(pid: int) -> int:
    """Bytes of memory that the process holds."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024
