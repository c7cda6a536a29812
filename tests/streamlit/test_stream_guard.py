"""The guard of the socket, at times of our choosing: the clock is handed in."""

import asyncio
from datetime import UTC, date, datetime

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg

from gateway.audit import Ledger
from gateway.audit.recorder import Recorder
from gateway.middleware.exchange import SCOPE_KEY, Exchange
from gateway.model import Conditions, Effect, Rule, Surface, Target
from gateway.policy.decide import decide
from gateway.streamlit.pages import Pages
from gateway.streamlit.stream import StreamGuard
from tests.audit.reading import events
from tests.policy.test_decide import policy, request

LAST_DAY = date(2026, 11, 18)  # the day on which `request` comes


def passed(tmp_path, at):
    """What of one rerun, sent through an open socket at that time, arrives at the application."""
    rules = policy(Rule("today", Effect.ALLOW, "b", Conditions(networks=("office",), expires=LAST_DAY)))
    context = request(kind="websocket", surface=Surface.STREAM, origin="https://tools.example")
    exchange = Exchange("req-1", context, rules, Target(Surface.STREAM), decision=decide(rules, context))
    frame = BackMsg(stop_script=True).SerializeToString()
    wire = [{"type": "websocket.receive", "bytes": frame}, {"type": "websocket.disconnect", "code": 1001}]
    arrived = []

    async def tool(_scope, receive, _send):
        while (message := await receive())["type"] == "websocket.receive":
            arrived.append(message["bytes"])

    async def receive():
        return wire.pop(0)

    async def send(_message):
        raise AssertionError("nothing is to be sent")

    with Ledger.open(tmp_path, origin="o") as ledger:
        recorder, pages = Recorder(ledger), Pages(frozenset(), complete=True)
        guard = StreamGuard(tool, recorder=recorder, pages=pages, clock=lambda: at)
        asyncio.run(guard({"type": "websocket", SCOPE_KEY: exchange}, receive, send))
    refused = [each for each in events(tmp_path) if each["metadata"]["event_code"] == "ws.message"]
    return len(arrived), [each["unmapped"]["gateway"]["reason"] for each in refused]


@pytest.mark.parametrize(
    ("name", "at", "expected"),
    [
        ("on the last day", datetime(2026, 11, 18, 23, 59, tzinfo=UTC), (1, [])),
        ("the day after", datetime(2026, 11, 19, tzinfo=UTC), (0, ["no-rule-matched"])),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_message_is_judged_at_its_own_time(tmp_path, name, at, expected):
    """A rule that has expired since the socket was opened lets no further message in."""
    assert passed(tmp_path, at) == expected
