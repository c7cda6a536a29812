"""Pseudonyms: what they are, that nothing is left in clear beside them, and that a decision can be made again."""

import hashlib
import hmac
import json
import re
import string
from functools import partial

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.audit import admin_action, closed, lifecycle, opened, policy_change, script_error
from gateway.audit.activity import Happening, happened
from gateway.audit.events import HARD_CAP, Violation, csp_violation
from gateway.audit.exchanges import message, rejudged
from gateway.audit.files import Transfer, transferred
from gateway.audit.masks import KINDS, MaskKey, Masks, canonical
from gateway.model import (
    ANONYMOUS,
    Check,
    Client,
    Deny,
    Method,
    PolicyRef,
    Principal,
    Provenance,
    Reason,
)
from gateway.state.secrets import Secret
from tests.audit.ocsf import problems
from tests.audit.samples import ALLOW, CONTEXT, DENY, POLICY, STAFF, STAMP, end, exchange, line, socket

KEY = bytes(range(32))
MASK_KEY = MaskKey("k7", Secret(KEY))
ALL = Masks(KINDS, lambda: MASK_KEY)
PSEUDONYM = re.compile(r"hmac:k[0-9]+:[0-9a-f]{32}")


def hkdf(ikm, salt, info, length):
    """HKDF-SHA256 as RFC 5869 §2 defines it, with nothing but HMAC."""
    prk = hmac.new(salt or bytes(32), ikm, hashlib.sha256).digest()
    output, block = b"", b""
    for counter in range(1, -(-length // 32) + 1):
        block = hmac.new(prk, block + info + bytes([counter]), hashlib.sha256).digest()
        output += block
    return output[:length]


def expected(kind, value, key=KEY, kid="k7"):
    derived = hkdf(key, b"", b"streamlit-gateway.pseudonym/1\n" + kind.encode(), 32)
    return f"hmac:{kid}:{hmac.new(derived, value.encode(), hashlib.sha256).hexdigest()[:32]}"


def event(built):
    return json.loads(line(built))


def at(value, pointer):
    """What stands at a JSON pointer (RFC 6901); None when nothing does."""
    for name in (part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def test_the_test_s_own_hkdf_is_that_of_the_rfc():
    """RFC 5869, appendices A.1 and A.3."""
    okm = hkdf(b"\x0b" * 22, bytes(range(13)), bytes(range(0xF0, 0xFA)), 42)
    assert okm.hex() == ("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865")
    assert hkdf(b"\x0b" * 22, b"", b"", 42).hex().startswith("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", ["j.doe@example.com", "192.0.2.7", "5b0e77a1c2d94f30", "zoë", "x" * 5000])
def test_a_pseudonym_is_an_hmac_under_a_key_of_its_kind(kind, value):
    """`hmac:<kid>:` and 128 bits of HMAC-SHA256, under a key that HKDF makes for each kind of value."""
    assert MASK_KEY.pseudonym(kind, value) == expected(kind, value)
    assert ALL.of(kind, value) == expected(kind, value)


def test_kinds_do_not_meet_and_keys_do_not_show():
    """A user and a session of the same name have different pseudonyms; a key shows in no text."""
    assert len({MASK_KEY.pseudonym(kind, "same") for kind in KINDS}) == 3
    assert KEY.hex() not in repr(MASK_KEY) and str(KEY)[2:-1] not in repr(MASK_KEY)


def test_nobody_has_no_pseudonym():
    """Nobody's name is masked: neither `anonymous` nor nothing; and a kind that is not chosen stays in clear."""
    assert ALL.of("user", "anonymous") == "anonymous"
    assert ALL.of("session", "") == ""
    assert Masks(("session",), lambda: MASK_KEY).of("user", "alice") == "alice"
    assert event(opened(exchange(), STAMP, ALL))["actor"]["user"]["uid"] == "anonymous"


def test_sessions_alone_by_default_cost_no_other_field():
    """With sessions masked, user and address stay in clear, and the two places of the session are listed."""
    masks = Masks(("session",), lambda: MASK_KEY)
    shown, clear = (event(opened(exchange(principal=STAFF), STAMP, *more)) for more in ((masks,), ()))
    pseudonym = expected("session", CONTEXT.session)
    assert shown["actor"]["session"]["uid"] == shown["unmapped"]["gateway"]["inputs"]["session"] == pseudonym
    assert shown["unmapped"]["gateway"].pop("masked") == ["/actor/session/uid", "/unmapped/gateway/inputs/session"]
    clear["actor"]["session"]["uid"] = clear["unmapped"]["gateway"]["inputs"]["session"] = pseudonym
    assert shown == clear


def test_a_masked_address_is_a_uid_and_a_proxy_stays():
    """OCSF has only addresses in `ip`: a pseudonym is the endpoint's `uid`; the trusted proxies stay in clear."""
    behind = exchange(
        peer="10.0.0.1",
        client=Client("192.0.2.7", Provenance.FORWARDED),
        forwarded=("10.0.0.1", "192.0.2.7"),
    )
    shown = event(opened(behind, STAMP, ALL))
    assert shown["src_endpoint"] == {"uid": expected("client", "192.0.2.7"), "intermediate_ips": ["10.0.0.1"]}
    assert shown["unmapped"]["gateway"]["inputs"]["peer"] == "10.0.0.1"
    assert "/src_endpoint/intermediate_ips" in shown["unmapped"]["gateway"]["masked"]


@pytest.mark.parametrize(
    ("client", "peer"),
    [
        (Client("192.0.2.7", Provenance.DIRECT), "192.0.2.7"),
        (Client(None, Provenance.UNKNOWN, Reason.CLIENT_ADDRESS_UNKNOWN), "192.0.2.7"),
    ],
    ids=["direct", "unknown"],
)
def test_a_peer_that_may_be_a_person_is_masked(client, peer):
    """The peer's address is masked unless it is a trusted proxy that has named the client."""
    shown = event(opened(exchange(DENY, client=client, peer=peer), STAMP, ALL))
    pseudonym = expected("client", "192.0.2.7")
    assert shown["src_endpoint"]["uid"] == shown["unmapped"]["gateway"]["inputs"]["peer"] == pseudonym
    assert "192.0.2.7" not in json.dumps(shown)


# --- every kind of event --------------------------------------------------------------------------------------


def everywhere(user, address, session):
    """Events of every kind that carries identities, each quoting them wherever a text can."""
    quoted = f"x {user} y {address} z"
    who = Principal(user, Method.OIDC, ("finance",))
    given = {
        "principal": who,
        "session": session,
        "client": Client(address, Provenance.DIRECT),
        "peer": address,
        "path": f"/reports/{user}/{address}",
        "page": f"/{user}",
        "host": address,
        "origin": f"https://{user}@{address}",
        "message": quoted,
        "method": f"X-{user}",
        "user_agent": quoted,
        "request_id": f"req-{user}",
        "forwarded": (address, "10.9.9.9"),
    }
    trace = (Check("client", True, f"{address} (direct)"), Check("rules", False, quoted))
    refused = Deny(Reason.NO_RULE_MATCHED, POLICY, None, trace)
    facts = {"user": user, "peer": address, "session": session, "said": quoted, "list": [quoted], "a/b~c": quoted}
    violation = Violation(f"/{user}", "img-src", f"https://{user}.example", "enforce", f"/static/{user}.js", 1)
    transfer = Transfer("upload", f"{user}_q3.csv", 12, "ab" * 32, "text/csv")
    for decision in (ALLOW, refused):
        for make in (exchange, socket):
            yield partial(opened, make(decision, **given), STAMP)
            yield partial(closed, end(make(decision, **given), status=403), STAMP)
        yield partial(transferred, transfer, exchange(decision, **given | {"method": "PUT"}), STAMP)
        yield partial(message, socket(decision, **given), STAMP)
        yield partial(rejudged, socket(decision, **given), STAMP)
    for code in ("page.open", "socket.activity", "session.foreign"):
        yield partial(happened, Happening(socket(**given), code, f"/{user}", facts), STAMP)
    yield partial(csp_violation, violation, who, session, POLICY, STAMP)
    yield partial(script_error, "ValueError", "9f2c", who, STAMP, page=f"/{user}", request_id=f"req-{user}")
    yield partial(policy_change, POLICY, PolicyRef("0008", "sha256:00"), who, facts, STAMP)
    yield partial(admin_action, "session.revoke", who, address, facts, STAMP)
    yield partial(lifecycle, "report.approved", "approved", facts, STAMP)


TOKENS = st.text(string.ascii_lowercase + string.digits, min_size=8, max_size=12)
USERS = st.one_of(
    st.builds("{}.{}@{}.example".format, TOKENS, TOKENS, TOKENS),
    st.builds("CORP\\{}".format, TOKENS),
    st.builds("zoë-{}".format, TOKENS),
    st.builds("cn={},ou=(staff)+*".format, TOKENS),
)
ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str)


@settings(max_examples=60, deadline=None)
@given(user=USERS, address=ADDRESSES, session=st.text("0123456789abcdef", min_size=16, max_size=16))
@example(user="j.doe@example.com", address="::1", session="5b0e77a1c2d94f30")
def test_nothing_that_is_masked_stands_in_clear_anywhere(user, address, session):
    """Whatever quotes a masked user, address or session: no line has it in clear, and each place is listed."""
    for make in everywhere(user, address, session):
        shown = event(make(masks=ALL))
        texts = list(_texts(shown))
        assert [text for text in texts if user.lower() in text.lower()] == []
        assert [text for text in texts if session in text] == []
        assert [text for text in texts if address != "::" and _holds(text, address)] == []
        assert problems(shown) == []
        masked = shown["unmapped"]["gateway"]["masked"]
        assert len(set(masked)) == len(masked)
        for pointer in masked:
            if pointer != "/src_endpoint/intermediate_ips":  # the only place where something is left out
                assert PSEUDONYM.search(json.dumps(at(shown, pointer))), pointer
        assert {pointer for pointer, text in _places(shown) if PSEUDONYM.search(text)} <= set(masked)


def _holds(text, address):
    # Not as a part of a longer number: ::1 does not stand in 2001:db8::10.
    return re.search(rf"(?<![0-9A-Za-z]){re.escape(address)}(?![0-9A-Za-z])", text) is not None


def _texts(value):
    match value:
        case str():
            yield value
        case dict():
            for name, each in value.items():
                yield name
                yield from _texts(each)
        case list():
            for each in value:
                yield from _texts(each)


def _places(value, pointer=""):
    match value:
        case dict():
            for name, each in value.items():
                yield from _places(each, f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}")
        case list() | str():
            yield pointer, json.dumps(value)


def test_a_word_is_masked_and_not_a_part_of_one():
    """`10.0.0.1` is not masked in `10.0.0.11`, `alice` is in `alice_q3.csv` and `Alice`, and not in `malice`."""
    given = exchange(
        principal=Principal("alice", Method.OIDC),
        client=Client("10.0.0.1", Provenance.DIRECT),
        path="/malice/alice_q3.csv/Alice/10.0.0.11/10.0.0.1",
    )
    shown = event(opened(given, STAMP, ALL))["http_request"]["url"]["path"]
    user, address = expected("user", "alice"), expected("client", "10.0.0.1")
    assert shown == f"/malice/{user}_q3.csv/{user}/10.0.0.11/{address}"


def test_a_pseudonym_is_not_searched_for_the_next_value():
    """A user whose name is a part of every pseudonym does not break the others."""
    given = exchange(DENY, principal=Principal("hmac", Method.OIDC), path="/k7/hmac/10.20.30.40")
    shown = event(opened(given, STAMP, ALL))
    assert shown["src_endpoint"]["uid"] == expected("client", "10.20.30.40")
    assert shown["http_request"]["url"]["path"] == f"/k7/{expected('user', 'hmac')}/{expected('client', '10.20.30.40')}"


@pytest.mark.parametrize("text", ["A" * 65536, '"' * 65536, "\U000e0041" * 65536], ids=["long", "quotes", "astral"])
def test_a_masked_event_stays_bounded_and_its_pseudonyms_whole(text):
    """However much a client sends, the line keeps its bound, and half a pseudonym never stands in it."""
    hostile = socket(
        Deny(Reason.TARGET_MALFORMED, POLICY, None, (Check("target", False, text),) * 50),
        path="/" + text,
        origin=text,
        host=text,
        page=text,
        message=text,
        method=text,
        user_agent=text,
        request_id=text,
        principal=Principal("zoë" + text, Method.OIDC, (text,) * 200),
        session="s" * 500,
    )
    for built in (opened(hostile, STAMP, ALL), closed(end(hostile, status=400), STAMP, ALL)):
        shown = event(built)
        assert len(line(built)) < HARD_CAP
        assert problems(shown) == []
        assert PSEUDONYM.fullmatch(shown["actor"]["user"]["uid"])
        assert PSEUDONYM.fullmatch(shown["actor"]["session"]["uid"])
        assert PSEUDONYM.fullmatch(shown["src_endpoint"]["uid"])


@pytest.mark.parametrize(
    ("written", "meant"),
    [("192.0.2.7", "192.0.2.7"), ("2001:DB8:0::7", "2001:db8::7"), ("[::1]", "::1"), ("::ffff:192.0.2.7", "192.0.2.7")],
)
def test_an_address_may_be_written_in_any_way(written, meant):
    """What is looked for is the address, not its spelling."""
    assert canonical("client", written) == meant
    assert canonical("user", written) == written


def test_anonymous_needs_no_key():
    """An event in which nobody is named is made even when there is no key."""

    def no_key():
        raise AssertionError

    built = opened(exchange(principal=ANONYMOUS, session=None), STAMP, Masks(("session",), no_key))
    assert "masked" not in event(built)["unmapped"]["gateway"]
