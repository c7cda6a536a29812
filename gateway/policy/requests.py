"""The requests of a policy's own tests.

A test names what matters and leaves the rest out; what it leaves out is what an ordinary visitor's browser would send.
"""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Literal, cast

from gateway.model import (
    ANONYMOUS,
    Authenticated,
    Client,
    Method,
    PolicyTest,
    Principal,
    Provenance,
    Reason,
    RequestContext,
    Surface,
)
from gateway.policy.dates import instant
from gateway.policy.hosts import host_and_port, origin
from gateway.policy.language import KEYS, MESSAGES, METHODS
from gateway.policy.networks import parse_address
from gateway.policy.reader import Table
from gateway.policy.values import InvalidValueError, member, one_of, page, path, shown, suggestion, text

# A Wednesday at noon. Fixed, so that a test of hours or days gives the same answer whenever it is run.
DEFAULT_AT = datetime(2025, 1, 1, 12, tzinfo=UTC)

STREAM = "/_stcore/stream"
_NO_HOST: tuple[str | None, int | None] = (None, None)

# How Streamlit lays out its paths; the first prefix that fits. Everything else is a page.
_SURFACES: tuple[tuple[str, Surface], ...] = (
    ("/_stcore/upload_file/", Surface.UPLOAD),
    ("/_stcore/bidi-components/", Surface.COMPONENT),
    ("/_stcore/", Surface.GATEWAY),
    ("/media/", Surface.MEDIA),
    ("/static/", Surface.STATIC),
    ("/app/static/", Surface.STATIC),
    ("/component/", Surface.COMPONENT),
    ("/.gateway/", Surface.GATEWAY),
)


def read_tests(root: Table, rule_ids: Collection[str]) -> tuple[PolicyTest, ...]:
    """The examples that the revision carries, in the order of the file."""
    tests = tuple(_read_test(table, rule_ids) for table in root.tables("tests", KEYS["tests[]"]))
    seen: set[str] = set()
    for index, test in enumerate(tests):
        if test.name and test.name in seen:
            root.problem(f"tests[{index}].name", f"{shown(test.name)} is the name of another test")
        seen.add(test.name)
    return tests


def _read_test(table: Table, rule_ids: Collection[str]) -> PolicyTest:
    expect = table.need("expect", one_of(("allow", "deny", "challenge", "redirect"), "outcome"), "deny")
    request = table.table("request", KEYS["tests[].request"])
    for key in ("client", "host"):
        # No silent default: a request without them is refused at once, and a test of a refusal would pass for nothing.
        if not request.has(key):
            request.problem(key, "is missing")
    return PolicyTest(
        name=table.need("name", text, ""),
        request=_read_request(request),
        expect=cast("Literal['allow', 'deny', 'challenge', 'redirect']", expect),
        reason=table.get("reason", member(Reason, "reason"), None),
        rule=table.get("rule", one_of(sorted(rule_ids), "rule"), None),
    )


def _read_request(table: Table) -> RequestContext:
    client = table.get("client", _address, None)
    peer = table.get("peer", _address, client)
    host, port = table.get("host", _host, _NO_HOST)
    message = table.get("message", one_of(MESSAGES, "message kind"), None)
    where = table.get("path", path, "/" if message is None else STREAM)
    surface = table.get(
        "surface", member(Surface, "surface"), _surface_of(where) if message is None else Surface.MESSAGE
    )
    principal, session = _read_principal(table)
    return RequestContext(
        received_at=table.get("at", instant, DEFAULT_AT),
        kind="websocket" if surface in (Surface.STREAM, Surface.MESSAGE) else "http",
        peer=peer,
        client=_client(client, peer),
        scheme=cast("Literal['http', 'https']", table.get("scheme", one_of(("http", "https"), "scheme"), "https")),
        method=table.get("method", one_of(METHODS, "method"), "GET"),
        path=where,
        surface=surface,
        host=host,
        port=port,
        host_problem=None if host else Reason.HOST_MISSING,
        page=table.get("page", page, where.rstrip("/") or "/" if surface is Surface.PAGE else None),
        message=message,
        origin=table.get("origin", _origin, None),
        principal=principal,
        session=session,
    )


def _surface_of(where: str) -> Surface:
    if where == STREAM:
        return Surface.STREAM
    return next((surface for prefix, surface in _SURFACES if where.startswith(prefix)), Surface.PAGE)


def _address(value: object) -> str | None:
    """A canonical address; None for the word `unknown`."""
    word = text(value)
    if word == "unknown":
        return None
    try:
        return str(parse_address(word))
    except ValueError as error:
        raise InvalidValueError(f"{shown(word)} is not an address", 'write an address, or "unknown"') from error


def _client(address: str | None, peer: str | None) -> Client:
    if address is None:
        return Client(None, Provenance.UNKNOWN, Reason.CLIENT_ADDRESS_UNKNOWN)
    return Client(address, Provenance.DIRECT if address == peer else Provenance.FORWARDED)


def _host(value: object) -> tuple[str | None, int | None]:
    """Host and port; an empty text is a request without Host."""
    return _NO_HOST if value == "" else host_and_port(value)


def _origin(value: object) -> str:
    """An origin; `null` too, which sandboxed pages send."""
    return "null" if value == "null" else origin(value)


def _read_principal(table: Table) -> tuple[Principal, str | None]:
    """Who asks, and the fingerprint of the session if there is one."""
    user = table.get("user", text, None)
    groups = table.items("groups", text, may_be_empty=True) or ()
    default = None if user is None else Authenticated.SSO
    shows = table.get("authenticated", member(Authenticated, "kind of sign-in"), default)
    if user is None and (groups or shows not in (None, Authenticated.SESSION)):
        table.problem("user", "is missing", "groups and sign-in belong to a user")
    if user is not None and shows is Authenticated.SESSION:
        table.problem("authenticated", "'session' is a session without sign-in", suggestion("", ("any", "sso", "mfa")))
    session = None if shows is None else "example"
    if user is None:
        return ANONYMOUS, session
    method = Method.LOCAL if shows is Authenticated.ANY else Method.OIDC
    return Principal(user, method, groups, mfa=shows is Authenticated.MFA), session
