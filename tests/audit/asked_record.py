"""A record that a real ledger has written about decisions of real policies, for tests that ask it."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from gateway.audit import Durability, Ledger, closed, lifecycle, opened, script_error, stamp
from gateway.audit.activity import Happening, happened
from gateway.audit.exchanges import message
from gateway.audit.files import Transfer, transferred
from gateway.model import (
    ANONYMOUS,
    Allow,
    Client,
    Deny,
    ExchangeClosed,
    ExchangeOpened,
    Method,
    Principal,
    Provenance,
    Reason,
    RequestContext,
    Surface,
)
from gateway.policy.decide import decide
from gateway.releases import Released, release
from gateway.state.directory import StateDirectory

FIRST = """\
schema = 1
title = "Finance tools"
default = "deny"

[networks]
office = ["203.0.113.0/24"]

[hosts]
allowed = ["tools.corp.example"]

[[rules]]
id = "staff"
effect = "allow"
because = "Staff in the office use the tools."
networks = ["office"]

[[rules]]
id = "no-ledger"
effect = "deny"
because = "Ledger pages are for the finance group."
pages = ["/ledger"]
unless = { groups = ["finance"] }
"""
SECOND = FIRST.replace('"203.0.113.0/24"', '"203.0.113.0/24", "198.51.100.0/24"').replace("Finance", "Finance and more")
ALICE = Principal("alice@corp.example", Method.OIDC, ("finance",))
BOB = Principal("bob@corp.example", Method.OIDC, ("staff",))


@dataclass
class Record:
    """Where it is, and what it was made with."""

    state: Path
    policies: Path
    log: str
    directory: Path


def context(**changes):
    basis = RequestContext(
        received_at=datetime.now(UTC),
        kind="http",
        peer="203.0.113.7",
        client=Client("203.0.113.7", Provenance.DIRECT),
        scheme="https",
        method="GET",
        path="/",
        surface=Surface.PAGE,
        host="tools.corp.example",
        page="/",
        principal=ALICE,
        session="5b0e77a1c2d94f30",
    )
    return replace(basis, **changes)


def policies(directory: Path) -> Path:
    """A directory with two released revisions, the second of which is active."""
    directory.mkdir(parents=True)
    for name, text in (("0001-first.toml", FIRST), ("0002-second.toml", SECOND)):
        (directory / name).write_text(text)
        assert isinstance(release(directory, None, datetime.now(UTC).date()), Released)
    return directory


def write(tmp_path: Path, *, revision: str = "0001") -> Record:
    """The record: five exchanges judged under a revision, a socket with everything in it, and the log's own life."""
    folder = policies(tmp_path / "policies")
    policy = of_revision(folder, revision)
    state = StateDirectory.prepare(tmp_path / "state")
    directory = state.audit_directory("w0")
    log = f"{state.instance}/w0"
    with Ledger.open(directory, origin=log) as ledger:
        for event in events(policy):
            ledger.append(event, Durability.BEFORE).wait(5)
    return Record(tmp_path / "state", folder, log, directory)


def of_revision(folder: Path, revision: str):
    from gateway.releases import load_released, read_lock

    return load_released(folder, read_lock(folder).revisions[revision], datetime.now(UTC).date())


def events(policy):
    yield from exchange(policy, "req-allowed", 200, context())
    yield from exchange(policy, "req-ledger", 403, context(path="/ledger", page="/ledger", principal=BOB))
    yield from exchange(policy, "req-outside", 403, outside())
    yield from exchange(policy, "req-probe", 404, context(path="/.env", page=None, surface=Surface.PROBE))
    limited = ExchangeOpened("req-limited", context(), Deny(Reason.RATE_LIMITED, policy.ref), "1.1", 5000)
    yield opened(limited, stamp())
    yield from socket(policy)
    yield lifecycle("audit.suppressed", "events were lost", {"count": 3}, stamp())


def outside():
    return context(
        peer="198.51.100.9",
        client=Client("198.51.100.9", Provenance.DIRECT),
        principal=ANONYMOUS,
        session="9999999999999999",
    )


def exchange(policy, request, status, asked):
    begun = ExchangeOpened(request, asked, decide(policy, asked), "1.1", 50000, (), "Mozilla/5.0 (tests)")
    yield opened(begun, stamp())
    yield closed(ExchangeClosed(begun, begun.decision.reason, status, 12, 0, 4123), stamp())


def socket(policy):
    """A visit: a page in a socket, widgets, a file each way, a refusal, an error, and the end."""
    asked = context(
        kind="websocket",
        path="/_stcore/stream",
        surface=Surface.STREAM,
        page=None,
        origin="https://tools.corp.example",
        principal=BOB,
    )
    begun = ExchangeOpened("req-socket", asked, decide(policy, asked), "1.1", 50001, (), "Mozilla/5.0 (tests)")
    assert isinstance(begun.decision, Allow)
    yield opened(begun, stamp())
    yield happened(Happening(begun, "page.open", "/", {"name": "home"}), stamp())
    facts = {"reruns": 3, "runs": 4, "run_ms": 900, "longest_run_ms": 400, "actions": ["button pay x3"]}
    yield happened(Happening(begun, "socket.activity", "/", facts), stamp())
    within = ExchangeOpened("req-socket", context(principal=BOB), begun.decision, "1.1", 50001)
    yield transferred(Transfer("upload", "figures.csv", 1200, "ab" * 32, "text/csv"), within, stamp())
    yield transferred(Transfer("download", "report.xlsx", 5_000_000, "cd" * 32, "application/x"), within, stamp())
    refused = replace(asked, surface=Surface.MESSAGE, message="clear_cache", page="/")
    yield message(replace(begun, context=refused, decision=decide(policy, refused)), stamp())
    yield script_error("ValueError", "0badc0de", BOB, stamp(), page="/", request_id="req-socket")
    yield closed(ExchangeClosed(begun, Reason.ALLOWED_BY_RULE, 101, 61_000, 900, 80_000, close_code=1001), stamp())
