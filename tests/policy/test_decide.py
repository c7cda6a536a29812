"""The engine, on policies built by hand: what each gate and each condition does to a request."""

from dataclasses import replace
from datetime import UTC, date, datetime, time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import (
    Allow,
    Authenticated,
    Challenge,
    Client,
    Conditions,
    Deny,
    Effect,
    Hosts,
    Hours,
    Method,
    NetworkEntry,
    Policy,
    PolicyRef,
    Principal,
    Provenance,
    Reason,
    Redirect,
    RequestContext,
    Rule,
    Surface,
    Transport,
)
from gateway.policy.decide import decide
from gateway.policy.networks import NetworkIndex

NOON = datetime(2026, 11, 18, 12, 0, tzinfo=UTC)  # a Wednesday
NETWORKS = {
    "office": (NetworkEntry("203.0.113.0/24"), NetworkEntry("2001:db8:40::/48")),
    "guests": (NetworkEntry("198.51.100.7/32", expires=date(2026, 11, 20)),),
    "empty": (),
}
STAFF = Rule("staff", Effect.ALLOW, "Staff in the office.", Conditions(networks=("office",)))


def policy(*rules, **parts):
    return Policy(
        ref=PolicyRef("0001", "sha256:0"),
        title="test",
        networks=NETWORKS,
        membership=NetworkIndex.build(NETWORKS),
        hosts=parts.pop("hosts", Hosts(("tools.example",))),
        rules=rules or (STAFF,),
        **parts,
    )


def request(client="203.0.113.5", **changes):
    context = RequestContext(
        received_at=NOON,
        kind="http",
        peer=client,
        client=Client(client, Provenance.DIRECT),
        scheme="https",
        method="GET",
        path="/",
        surface=Surface.PAGE,
        host="tools.example",
        page="/",
    )
    return replace(context, **changes)


def when(**conditions):
    return policy(Rule("r", Effect.ALLOW, "because", Conditions(**conditions)))


ALICE = Principal("alice", Method.OIDC, ("finance",))

GATES = [
    ("an address inside the network is allowed", request(), Reason.ALLOWED_BY_RULE),
    ("an IPv6 address inside the network is allowed", request("2001:db8:40::1"), Reason.ALLOWED_BY_RULE),
    ("an address outside finds no rule", request("192.0.2.1"), Reason.NO_RULE_MATCHED),
    ("a missing host is refused", request(host=None), Reason.HOST_MISSING),
    ("a malformed host is refused", request(host=None, host_problem=Reason.HOST_MALFORMED), Reason.HOST_MALFORMED),
    ("another host is refused", request(host="evil.test"), Reason.HOST_NOT_ALLOWED),
    ("plain http is sent on", request(scheme="http"), Reason.HTTPS_REQUIRED),
    (
        "an unknown client is refused with its reason",
        replace(request(), client=Client(None, Provenance.UNKNOWN, Reason.CLIENT_ADDRESS_ALL_TRUSTED)),
        Reason.CLIENT_ADDRESS_ALL_TRUSTED,
    ),
    ("a socket without an origin is refused", request(kind="websocket", surface=Surface.STREAM), Reason.ORIGIN_MISSING),
    (
        "a socket with a foreign origin is refused",
        request(kind="websocket", surface=Surface.STREAM, origin="https://evil.test"),
        Reason.ORIGIN_NOT_ALLOWED,
    ),
    (
        "a socket with the host's own origin is allowed",
        request(kind="websocket", surface=Surface.STREAM, origin="https://tools.example"),
        Reason.ALLOWED_BY_RULE,
    ),
    ("a foreign origin may read a page", request(origin="https://evil.test"), Reason.ALLOWED_BY_RULE),
    (
        "a foreign origin may change nothing",
        request(origin="https://evil.test", method="POST"),
        Reason.ORIGIN_NOT_ALLOWED,
    ),
    ("what we do not serve is not found", request(surface=Surface.PROBE, page=None), Reason.NOT_FOUND),
    (
        "what we do not serve says nothing to outsiders",
        request("192.0.2.1", surface=Surface.PROBE, page=None),
        Reason.NO_RULE_MATCHED,
    ),
    (
        "a message of a known kind is allowed",
        request(surface=Surface.MESSAGE, message="rerun_script"),
        Reason.ALLOWED_BY_RULE,
    ),
    (
        "clearing everybody's cache is refused by default",
        request(surface=Surface.MESSAGE, message="clear_cache"),
        Reason.MESSAGE_NOT_ALLOWED,
    ),
]


@pytest.mark.parametrize(("name", "context", "reason"), GATES, ids=[name for name, *_ in GATES])
def test_gates(name, context, reason):
    """Each gate refuses with its own reason; the rules are asked last."""
    assert decide(policy(), context).reason is reason


CONDITIONS = [
    ("network holds", {"networks": ("office",)}, request(), True),
    ("any of the networks", {"networks": ("guests", "office")}, request(), True),
    ("network does not hold", {"networks": ("guests",)}, request(), False),
    ("an empty list of networks never holds", {"networks": ()}, request(), False),
    ("a network without entries never holds", {"networks": ("empty",)}, request(), False),
    (
        "an entry holds on its last day",
        {"networks": ("guests",)},
        request("198.51.100.7", received_at=datetime(2026, 11, 20, 23, 59, tzinfo=UTC)),
        True,
    ),
    (
        "an entry has ended the day after",
        {"networks": ("guests",)},
        request("198.51.100.7", received_at=datetime(2026, 11, 21, tzinfo=UTC)),
        False,
    ),
    ("host by wildcard", {"hosts": ("*.example",)}, request(), True),
    ("host by another wildcard", {"hosts": ("*.test",)}, request(), False),
    ("surface", {"surfaces": (Surface.PAGE,)}, request(), True),
    ("another surface", {"surfaces": (Surface.UPLOAD,)}, request(), False),
    ("method", {"methods": ("GET",)}, request(), True),
    ("another method", {"methods": ("POST",)}, request(), False),
    ("path exactly", {"paths": ("/ledger",)}, request(path="/ledger"), True),
    ("path is case-sensitive", {"paths": ("/ledger",)}, request(path="/Ledger"), False),
    ("path by star", {"paths": ("/api/*",)}, request(path="/api/v1/x"), True),
    ("a star does not match less than its literals", {"paths": ("/api/*",)}, request(path="/api"), False),
    ("page", {"pages": ("/ledger", "/ledger/*")}, request(page="/ledger"), True),
    ("a request that is no page has none", {"pages": ("*",)}, request(page=None), False),
    ("user", {"users": ("alice",)}, request(principal=ALICE), True),
    ("nobody is called anonymous", {"users": ("anonymous",)}, request(), False),
    ("group", {"groups": ("finance",)}, request(principal=ALICE), True),
    ("another group", {"groups": ("it",)}, request(principal=ALICE), False),
    (
        "a group without a method is not believed",
        {"groups": ("finance",)},
        request(principal=Principal(groups=("finance",))),
        False,
    ),
    ("any authentication", {"authenticated": Authenticated.ANY}, request(principal=ALICE), True),
    ("no authentication", {"authenticated": Authenticated.ANY}, request(), False),
    ("a session", {"authenticated": Authenticated.SESSION}, request(session="abc"), True),
    ("no session", {"authenticated": Authenticated.SESSION}, request(), False),
    ("single sign-on", {"authenticated": Authenticated.SSO}, request(principal=ALICE), True),
    (
        "a local user is not single sign-on",
        {"authenticated": Authenticated.SSO},
        request(principal=Principal("bob", Method.LOCAL)),
        False,
    ),
    ("one factor is not two", {"authenticated": Authenticated.MFA}, request(principal=ALICE), False),
    ("two factors", {"authenticated": Authenticated.MFA}, request(principal=replace(ALICE, mfa=True)), True),
    ("a weekday", {"days": (2,)}, request(), True),
    ("another weekday", {"days": (3,)}, request(), False),
    ("the day is the zone's", {"days": (3,), "hours": Hours(time(0), time(12), "Pacific/Auckland")}, request(), True),
    ("within the hours", {"hours": Hours(time(8), time(18), "Europe/Zurich")}, request(), True),
    ("the end is excluded", {"hours": Hours(time(8), time(13), "Europe/Zurich")}, request(), False),
    (
        "hours past midnight, inside",
        {"hours": Hours(time(22), time(6), "UTC")},
        request(received_at=NOON.replace(hour=23)),
        True,
    ),
    ("hours past midnight, outside", {"hours": Hours(time(22), time(6), "UTC")}, request(), False),
    ("a rule holds on its last day", {"expires": date(2026, 11, 18)}, request(), True),
    ("a rule has ended", {"expires": date(2026, 11, 17)}, request(), False),
    ("all conditions must hold", {"networks": ("office",), "methods": ("POST",)}, request(), False),
]


@pytest.mark.parametrize(
    ("name", "conditions", "context", "allowed"), CONDITIONS, ids=[name for name, *_ in CONDITIONS]
)
def test_conditions(name, conditions, context, allowed):
    """All keys of a rule must match; a list matches if any of its entries does."""
    assert isinstance(decide(when(**conditions), context), Allow) is allowed


def test_plain_http_is_redirected_only_where_a_browser_can_follow():
    """A safe request over plain http is sent to https; a form or a socket is refused."""
    assert isinstance(decide(policy(), request(scheme="http")), Redirect)
    assert isinstance(decide(policy(), request(scheme="http", method="POST")), Deny)
    assert isinstance(decide(policy(), request(scheme="http", kind="websocket", origin="http://tools.example")), Deny)
    assert isinstance(decide(policy(transport=Transport("optional")), request(scheme="http")), Allow)


def test_a_host_that_is_not_ours_is_never_redirected():
    """The redirect names the host, so the host is checked first."""
    assert decide(policy(), request(scheme="http", host="evil.test")).reason is Reason.HOST_NOT_ALLOWED


def test_deny_wins_and_unless_excepts():
    """A deny that applies wins over any allow; `unless` takes people out of it."""
    ledger = Rule(
        "ledger", Effect.DENY, "Finance only.", Conditions(pages=("/ledger",)), Conditions(groups=("finance",))
    )
    judged = decide(policy(STAFF, ledger), request(page="/ledger"))
    assert (judged.reason, judged.rule) == (Reason.DENIED_BY_RULE, "ledger")
    assert isinstance(decide(policy(STAFF, ledger), request(page="/ledger", principal=ALICE)), Allow)


def test_who_could_be_allowed_after_signing_in_is_challenged():
    """Somebody in the right network who only lacks an identity is asked to sign in, not turned away."""
    people = Rule("people", Effect.ALLOW, "b", Conditions(networks=("office",), groups=("finance",)))
    assert decide(policy(people), request()).reason is Reason.SIGN_IN_REQUIRED
    assert isinstance(decide(policy(people), request()), Challenge)
    assert decide(policy(people), request("192.0.2.1")).reason is Reason.NO_RULE_MATCHED
    assert decide(policy(people), request(principal=Principal("bob", Method.LOCAL))).reason is Reason.NO_RULE_MATCHED


def test_a_second_factor_is_asked_for_where_it_would_help():
    """Somebody signed in who only lacks the second factor is asked for it."""
    strong = Rule("strong", Effect.ALLOW, "b", Conditions(groups=("finance",), authenticated=Authenticated.MFA))
    assert decide(policy(strong), request(principal=ALICE)).reason is Reason.STEP_UP_REQUIRED


def test_the_lease_ends_when_time_alone_could_change_the_answer():
    """A socket is judged again when a window closes or an entry ends, not later."""
    socket = {"kind": "websocket", "surface": Surface.STREAM, "origin": "https://tools.example"}
    assert decide(policy(), request(**socket)).lease is None
    open_hours = when(hours=Hours(time(8), time(18), "Europe/Zurich"))
    assert decide(open_hours, request(**socket)).lease == datetime(2026, 11, 18, 17, 0, tzinfo=UTC)
    guests = when(networks=("guests",))
    assert decide(guests, request("198.51.100.7", **socket)).lease == datetime(2026, 11, 21, tzinfo=UTC)


def test_a_fault_in_the_engine_denies():
    """Whatever breaks inside the engine, the answer is no."""

    class Broken:
        def contains(self, *_):
            raise ZeroDivisionError

    judged = decide(replace(policy(), membership=Broken()), request())
    assert isinstance(judged, Deny)
    assert judged.reason is Reason.ENGINE_ERROR


def test_every_decision_names_policy_and_checks():
    """A decision carries the revision, its digest and the checks that led to it."""
    judged = decide(policy(), request())
    assert judged.policy == PolicyRef("0001", "sha256:0")
    assert [(check.name, check.held) for check in judged.trace] == [
        ("host", True), ("transport", True), ("client", True), ("origin", True), ("message", True),
        ("rules", True), ("surface", True),
    ]  # fmt: skip


# --- properties -----------------------------------------------------------------------------------------------

conditions = st.builds(
    Conditions,
    networks=st.none() | st.lists(st.sampled_from(sorted(NETWORKS)), max_size=2).map(tuple),
    methods=st.none() | st.lists(st.sampled_from(["GET", "POST"]), max_size=2).map(tuple),
    pages=st.none() | st.lists(st.sampled_from(["/", "/ledger", "/l*"]), max_size=2).map(tuple),
    groups=st.none() | st.lists(st.sampled_from(["finance", "it"]), max_size=2).map(tuple),
    authenticated=st.none() | st.sampled_from(Authenticated),
    days=st.none() | st.lists(st.integers(0, 6), max_size=3).map(tuple),
)
rules = st.lists(
    st.builds(
        Rule, st.sampled_from("abcdefgh"), st.sampled_from(Effect), st.just("b"), conditions, st.none() | conditions
    ),
    max_size=6,
    unique_by=lambda rule: rule.id,
)
requests = st.builds(
    request,
    st.sampled_from(["203.0.113.5", "198.51.100.7", "192.0.2.1", "2001:db8:40::9"]),
    method=st.sampled_from(["GET", "POST"]),
    page=st.sampled_from([None, "/", "/ledger"]),
    surface=st.sampled_from(Surface),
    message=st.sampled_from([None, "rerun_script", "clear_cache"]),
    host=st.sampled_from([None, "tools.example", "evil.test"]),
    origin=st.sampled_from([None, "https://tools.example", "null", "\x00"]),
    principal=st.sampled_from([Principal(), ALICE]),
)


@given(rules, requests, st.randoms())
def test_the_order_of_rules_never_matters(some, context, random):
    """The same rules in any order give the same decision, the same rule id and the same trace."""
    shuffled = list(some)
    random.shuffle(shuffled)
    assert decide(policy(*some), context) == decide(policy(*shuffled), context)


@given(rules, requests, conditions)
def test_adding_a_deny_never_widens(some, context, more):
    """What was refused stays refused, whatever deny is added."""
    before = decide(policy(*some), context)
    after = decide(policy(*some, Rule("z", Effect.DENY, "b", more)), context)
    assert isinstance(before, Allow) or not isinstance(after, Allow)


@given(rules, requests)
def test_nothing_is_allowed_without_an_allow_rule(some, context):
    """Default deny: no allow rule, no access; and the engine never raises."""
    judged = decide(
        policy(*[rule for rule in some if rule.effect is Effect.DENY] or [Rule("d", Effect.DENY, "b")]), context
    )
    assert not isinstance(judged, Allow)
    assert judged.reason is not Reason.ENGINE_ERROR
