"""The policy language: what can be written, what is refused, and what people are told."""

import hashlib
from datetime import UTC, date, datetime, time, timedelta

import pytest

from gateway.model import Authenticated, Effect, Hours, Hsts, Method, NetworkEntry, Provenance, Reason, Surface
from gateway.policy.parse import PolicySource, referenced_files, source_digest, unenforced
from tests.policy.sources import FULL, HEAD, HOSTS, OFFICE, SMALL, STAFF, TODAY, VPN, parse, problems


def test_full_example():
    """A policy with every section is read into the values that it states."""
    policy = parse(FULL, {"networks/vpn.txt": VPN})
    assert policy.title == "Finance tools"
    assert policy.networks == {
        "office": (NetworkEntry("203.0.113.0/24"), NetworkEntry("2001:db8:40::/48")),
        "vpn": (NetworkEntry("100.64.0.0/10"), NetworkEntry("2001:db8:77::/48")),
        "contractor": (NetworkEntry("198.51.100.7/32", "j.doe", "SEC-1234", date(2027, 1, 31)),),
    }
    assert policy.membership.names("100.127.255.254", TODAY) == {"vpn"}
    assert policy.hosts.allowed == ("tools.corp.example", "*.tools.corp.example")
    assert (policy.proxies.trusted, policy.proxies.client_address) == (("10.20.0.0/16",), "x-forwarded-for")
    assert policy.transport.hsts == Hsts(timedelta(days=730), include_subdomains=True, preload=False)
    assert policy.content_security.add == ("maps",)
    assert (policy.sessions.idle, policy.sessions.lifetime) == (timedelta(minutes=30), timedelta(hours=12))
    assert policy.sessions.concurrent == 5
    assert policy.limits.upload == 50_000_000
    assert policy.limits.upload_types == (".csv", ".xlsx")
    assert (policy.limits.upload_files, policy.limits.upload_total) == (100, 500_000_000)
    rate = policy.limits.requests
    assert rate is not None
    assert (rate.count, rate.period, rate.burst, rate.per) == (600, 60.0, 100, "session")
    assert (policy.limits.sockets_per_session, policy.limits.sockets_per_client) == (8, 200)
    staff, finance = policy.rules
    assert (staff.id, staff.effect, staff.when.networks) == ("staff", Effect.ALLOW, ("office", "vpn"))
    assert finance.unless is not None
    assert (finance.when.pages, finance.unless.groups) == (("/ledger", "/ledger/*"), ("finance",))
    assert policy.tests[0].reason is Reason.NO_RULE_MATCHED
    assert policy.tests[0].request.client.address == "192.0.2.1"


def test_every_condition():
    """A rule can name every condition; days are counted from Monday, hours are to the minute in their zone."""
    rule = """
[[rules]]
id = "narrow"
effect = "allow"
because = "B"
networks = ["office"]
hosts = ["Tools.Corp.Example."]
surfaces = ["page", "stream"]
methods = ["GET"]
paths = ["/*"]
pages = ["/ledger/*"]
users = ["alice@corp.example"]
groups = ["finance"]
authenticated = "mfa"
days = ["mon-wed", "sat-mon"]
hours = { start = "07:00", end = "19:30", zone = "Europe/Berlin" }
expires = 2027-12-31
"""
    when = parse(HEAD + OFFICE + HOSTS + rule).rules[0].when
    assert when.hosts == ("tools.corp.example",)
    assert when.surfaces == (Surface.PAGE, Surface.STREAM)
    assert when.authenticated is Authenticated.MFA
    assert when.days == (0, 1, 2, 5, 6)
    assert when.hours == Hours(time(7), time(19, 30), "Europe/Berlin")
    assert when.expires == date(2027, 12, 31)


def test_safe_defaults():
    """A policy that says little is strict: https, HSTS for two years, no proxy believed, the usual messages only."""
    policy = parse(SMALL)
    assert policy.transport.https == "required"
    assert policy.transport.hsts == Hsts(timedelta(days=730), include_subdomains=True, preload=False)
    assert (policy.proxies.trusted, policy.proxies.client_address) == ((), "none")
    usual = ("rerun_script", "stop_script", "app_heartbeat", "file_urls_request", "deferred_file", "dataframe_chunk")
    assert policy.streamlit.messages == usual
    assert policy.streamlit.agent_api == "deny"


@pytest.mark.parametrize(
    ("name", "section", "read", "expected"),
    [
        ("hsts off", "[transport]\nhsts = false", lambda p: p.transport.hsts, None),
        ("hsts forgotten", '[transport]\nhsts = { max_age = "0d" }', lambda p: p.transport.hsts.max_age, timedelta(0)),
        ("decimal size", '[limits]\ntarget = "8KB"', lambda p: p.limits.target, 8000),
        ("binary size", '[limits]\ntarget = "8KiB"', lambda p: p.limits.target, 8192),
        ("binary millions", '[limits]\nmessage = "25MiB"', lambda p: p.limits.message, 26_214_400),
        ("no uploads", '[limits]\nupload = { max = "0B" }', lambda p: p.limits.upload, 0),
        ("rate a second", '[limits]\nrequests = { rate = "5/s" }', lambda p: p.limits.requests.period, 1.0),
        ("burst is the rate", '[limits]\nrequests = { rate = "5/h" }', lambda p: p.limits.requests.burst, 5),
        ("header limits", "[limits.headers]\ncount = 64", lambda p: p.limits.header_count, 64),
        ("days", '[sessions]\nidle = "1d"\nlifetime = "1w"', lambda p: p.sessions.lifetime, timedelta(days=7)),
        ("pages", '[streamlit]\npages = ["/ledger"]', lambda p: p.streamlit.pages, ("/ledger",)),
        ("hops", '[proxies]\ntrusted=["10.1.2.3"]\nclient_address="forwarded"\nhops=2', lambda p: p.proxies.hops, 2),
        ("bare proxy", '[proxies]\ntrusted=["10.1.2.3"]', lambda p: p.proxies.trusted, ("10.1.2.3/32",)),
    ],
)
def test_values(name, section, read, expected):
    """Each value is read in its unit."""
    assert read(parse(SMALL + section)) == expected


@pytest.mark.parametrize(
    ("name", "written", "canonical"),
    [
        ("upper case", "Tools.CORP.example", "tools.corp.example"),
        ("trailing dot", "tools.corp.example.", "tools.corp.example"),
        ("wildcard", "*.Corp.Example", "*.corp.example"),
        ("IPv4", "127.0.0.1", "127.0.0.1"),
        ("IPv6 in brackets", "[::1]", "::1"),
        ("IPv6 bare", "2001:DB8::1", "2001:db8::1"),
        ("container name", "tool_1", "tool_1"),
    ],
)
def test_hosts_have_one_spelling(name, written, canonical):
    """Host names are compared without regard to case, a trailing dot or brackets."""
    assert parse(SMALL.replace("tools.corp.example", written)).hosts.allowed == (canonical,)


def office(value: str) -> str:
    """A policy whose network is written like this."""
    return SMALL.replace('["203.0.113.0/24"]', value)


def origins(entry: str) -> str:
    return SMALL.replace(HOSTS, f"{HOSTS}origins = [{entry}]\n")


def proxies(lines: str) -> str:
    return f'{SMALL}[proxies]\ntrusted = ["10.0.0.1"]\n{lines}'


def example(lines: str) -> str:
    """A policy with a test like this, its name apart; it expects a refusal unless it says what it expects."""
    expect = "" if "expect" in lines else 'expect = "deny"\n'
    return f'{SMALL}[[tests]]\nname = "n"\n{expect}{lines}\n'


# Each row: what is written, where the problem is, and a word of the message or the hint.
WRONG = [
    ("no schema", SMALL.replace("schema = 1\n", ""), "schema", "missing"),
    ("another schema", SMALL.replace("schema = 1", "schema = 2"), "schema", "schema = 1"),
    ("schema is true", SMALL.replace("schema = 1", "schema = true"), "schema", "true or false"),
    ("no title", SMALL.replace('title = "T"\n', ""), "title", "missing"),
    ("blank title", SMALL.replace('"T"', '" "'), "title", "empty"),
    ("control character", SMALL.replace('"T"', r'"\u001b[2J"'), "title", "control"),
    ("NUL", SMALL.replace('"T"', r'"a\u0000b"'), "title", "control"),
    ("direction override", SMALL.replace('"T"', r'"a\u202Eb"'), "title", "invisible"),
    ("no default", SMALL.replace('default = "deny"\n', ""), "default", "missing"),
    ("default allow", SMALL.replace('default = "deny"', 'default = "allow"'), "default", "deny"),
    ("unknown section", SMALL + "[limit]\n", "", "did you mean 'limits'"),
    ("unknown key", SMALL + '[sessions]\nidel = "3m"', "sessions", "did you mean 'idle'"),
    ("section is no table", "hosts = 3\n" + HEAD + STAFF, "hosts", "table"),
    ("no hosts", HEAD + OFFICE + STAFF, "hosts.allowed", "missing"),
    ("no host", SMALL.replace('["tools.corp.example"]', "[]"), "hosts.allowed", "empty list"),
    ("any host", SMALL.replace('"tools.corp.example"', '"*"'), "hosts.allowed[0]", "first label"),
    ("leading dot", SMALL.replace('"tools.corp.example"', '".corp.example"'), "hosts.allowed[0]", "*.corp.example"),
    ("inner wildcard", SMALL.replace('"tools.corp', '"a.*.corp'), "hosts.allowed[0]", "first label"),
    ("half wildcard", SMALL.replace('"tools.corp', '"a*.corp'), "hosts.allowed[0]", "first label"),
    ("host with port", SMALL.replace("corp.example", "corp.example:8501"), "hosts.allowed[0]", "port"),
    ("host with scheme", SMALL.replace('"tools', '"https://tools'), "hosts.allowed[0]", "without scheme"),
    ("international host", SMALL.replace("tools", "wörk"), "hosts.allowed[0]", "xn--"),
    ("host like a number", SMALL.replace("tools.corp.example", "127.1"), "hosts.allowed[0]", "not a host"),
    ("wildcard before address", SMALL.replace("tools.corp.example", "*.127.0.0.1"), "hosts.allowed[0]", "address"),
    ("host twice", SMALL.replace('["tools', '["TOOLS.corp.example", "tools'), "hosts.allowed[1]", "twice"),
    ("origin with path", origins('"https://a.example/"'), "hosts.origins[0]", "origin"),
    ("origin default port", origins('"https://a.example:443"'), "hosts.origins[0]", "browser"),
    ("origin upper case", origins('"https://A.example"'), "hosts.origins[0]", "https://a.ex"),
    ("null origin", origins('"null"'), "hosts.origins[0]", "not an origin"),
    ("any origin", origins('"*"'), "hosts.origins[0]", "not an origin"),
    ("websocket origin", origins('"wss://a.example"'), "hosts.origins[0]", "not an origin"),
    ("host bits", SMALL.replace("203.0.113.0/24", "203.0.113.1/24"), "networks.office[0]", "203.0.113.0/24"),
    ("leading zero", SMALL.replace("203.0.113.0/24", "010.0.0.1"), "networks.office[0]", "010.0.0.1"),
    ("zone", SMALL.replace("203.0.113.0/24", "fe80::1%eth0"), "networks.office[0]", "zone"),
    ("mapped", SMALL.replace("203.0.113.0/24", "::ffff:10.0.0.0/104"), "networks.office[0]", "10.0.0.0/8"),
    ("netmask", SMALL.replace("113.0/24", "113.0/255.255.255.0"), "networks.office[0]", "prefix length"),
    ("network twice", SMALL.replace('["203', '["203.0.113.0/24", "203'), "networks.office[1]", "twice"),
    (
        "network table twice",
        SMALL.replace('["203', '[{ cidr = "203.0.113.0/24", owner = "o" }, "203'),
        "networks.office",
        "twice",
    ),
    ("empty network", office("[]"), "networks.office", "empty"),
    ("network is text", office('"203.0.113.0/24"'), "networks.office", "must be a list"),
    ("network name", SMALL.replace("office", "Office"), "networks", "kebab-case"),
    ("entry key", office('[{ cdir = "10.0.0.0/8" }]'), "networks.office[0]", "'cidr'"),
    ("entry without cidr", office("[{ }]"), "networks.office[0].cidr", "missing"),
    ("entry expired", office('[{ cidr="10.0.0.0/8", expires=2026-11-21 }]'), "networks.office[0].expires", "expired"),
    (
        "entry with a time",
        office('[{ cidr="10.0.0.0/8", expires=2027-11-21T00:00:00Z }]'),
        "networks.office[0].expires",
        "must be a date",
    ),
    ("entry without end", office('[{ cidr="10.0.0.0/8", expires=9999-12-31 }]'), "networks.office[0].expires", "leave"),
    ("absolute file", office('{ file = "/etc/passwd" }'), "networks.office.file", "relative"),
    ("file above", office('{ file = "networks/../../x.txt" }'), "networks.office.file", "relative"),
    ("file elsewhere", office('{ file = "vpn.txt" }'), "networks.office.file", "networks/vpn.txt"),
    ("all trusted", SMALL + '[proxies]\ntrusted = ["*"]', "proxies.trusted[0]", "everybody"),
    ("all IPv4 trusted", SMALL + '[proxies]\ntrusted = ["0.0.0.0/0"]', "proxies.trusted[0]", "strangers"),
    ("half of IPv4 trusted", SMALL + '[proxies]\ntrusted = ["128.0.0.0/1"]', "proxies.trusted[0]", "strangers"),
    ("all IPv6 trusted", SMALL + '[proxies]\ntrusted = ["::/0"]', "proxies.trusted[0]", "strangers"),
    ("header of nobody", SMALL + '[proxies]\nclient_address = "forwarded"', "proxies.client_address", "nobody"),
    ("unknown header", proxies('client_address = "x-forwarded"'), "proxies.client_address", "did you mean"),
    ("two headers", proxies('client_address = ["forwarded"]'), "proxies.client_address", "text"),
    ("hops of one address", proxies('client_address="x-real-ip"\nhops=1'), "proxies.hops", "x-forwarded-for"),
    ("no hops", proxies('client_address="forwarded"\nhops=0'), "proxies.hops", "from 1"),
    ("https word", SMALL + '[transport]\nhttps = "yes"', "transport.https", "required"),
    ("hsts true", SMALL + "[transport]\nhsts = true", "transport.hsts", "table"),
    (
        "preload alone",
        SMALL + '[transport]\nhsts = { preload = true, max_age = "30d" }',
        "transport.hsts.preload",
        "365d",
    ),
    ("profile", SMALL + '[content_security]\nprofile = "stricter"', "content_security.profile", "strict"),
    ("relaxation", SMALL + '[content_security]\nadd = ["map"]', "content_security.add[0]", "maps"),
    ("bare duration", SMALL + "[sessions]\nidle = 30", "sessions.idle", "30m"),
    ("duration unit", SMALL + '[sessions]\nidle = "30min"', "sessions.idle", "30m"),
    ("negative duration", SMALL + '[sessions]\nidle = "-1m"', "sessions.idle", "duration"),
    ("idle too long", SMALL + '[sessions]\nidle = "2h"\nlifetime = "1h"', "sessions.idle", "lifetime"),
    ("not a number", SMALL + "[sessions]\nconcurrent = true", "sessions.concurrent", "whole number"),
    ("bare size", SMALL + "[limits]\nbody = 1000", "limits.body", "quotes"),
    ("size unit", SMALL + '[limits]\nbody = "1mb"', "limits.body", "MB"),
    ("size too large", SMALL + '[limits]\nbody = "9999999999GB"', "limits.body", "between"),
    ("rate", SMALL + '[limits]\nrequests = { rate = "600/minute" }', "limits.requests.rate", "600/min"),
    ("no rate", SMALL + "[limits]\nrequests = { burst = 3 }", "limits.requests.rate", "missing"),
    ("per", SMALL + '[limits]\nrequests = { rate = "6/s", per = "user" }', "limits.requests.per", "session"),
    ("extension", SMALL + '[limits]\nupload = { types = ["CSV"] }', "limits.upload.types[0]", ".csv"),
    ("no files", SMALL + "[limits]\nupload = { files = 0 }", "limits.upload.files", "from 1 to 1000"),
    ("total", SMALL + '[limits]\nupload = { max = "2MB", total = "1MB" }', "limits.upload.total", "smaller"),
    ("message", SMALL + '[streamlit]\nmessages = ["rerun"]', "streamlit.messages[0]", "rerun_script"),
    ("no message", SMALL + "[streamlit]\nmessages = []", "streamlit.messages", "empty"),
    ("page", SMALL + '[streamlit]\npages = ["ledger"]', "streamlit.pages[0]", "'/'"),
    ("rules no list", HEAD + OFFICE + HOSTS + '[rules]\nid = "x"', "rules", "[[rules]]"),
    ("no id", SMALL.replace('id = "staff"\n', ""), "rules[0].id", "missing"),
    ("id", SMALL.replace('"staff"', '"Staff 1"'), "rules[0].id", "kebab-case"),
    ("id twice", SMALL + STAFF, "rules[1].id", "another rule"),
    ("no effect", SMALL.replace('effect = "allow"\n', ""), "rules[0].effect", "missing"),
    ("effect", SMALL.replace('"allow"', '"permit"'), "rules[0].effect", "allow, deny"),
    ("no because", SMALL.replace('because = "B"\n', ""), "rules[0].because", "missing"),
    ("empty because", SMALL.replace('"B"', '""'), "rules[0].because", "empty"),
    ("allow all", SMALL.replace('networks = ["office"]\n', ""), "rules[0]", "everybody"),
    ("allow all for a time", SMALL.replace('networks = ["office"]', "expires = 2027-01-01"), "rules[0]", "everybody"),
    ("allow all but", SMALL.replace('networks = ["office"]', 'unless = { users = ["eve"] }'), "rules[0]", "everybody"),
    ("condition", SMALL + 'network = ["office"]', "rules[0]", "did you mean 'networks'"),
    ("unknown network", SMALL.replace('["office"]', '["ofice"]'), "rules[0].networks[0]", "did you mean 'office'"),
    ("empty networks", SMALL.replace('["office"]', "[]"), "rules[0].networks", "empty list"),
    ("networks is text", SMALL.replace('["office"]', '"office"'), "rules[0].networks", "list"),
    ("surface", SMALL + 'surfaces = ["pages"]', "rules[0].surfaces[0]", "did you mean 'page'"),
    ("method", SMALL + 'methods = ["get"]', "rules[0].methods[0]", "GET"),
    ("TRACE", SMALL + 'methods = ["TRACE"]', "rules[0].methods[0]", "always refused"),
    ("path", SMALL + 'paths = ["admin"]', "rules[0].paths[0]", "start with"),
    ("path with query", SMALL + 'paths = ["/a?b"]', "rules[0].paths[0]", "without query"),
    ("encoded path", SMALL + 'paths = ["/a%20b"]', "rules[0].paths[0]", "decoded"),
    ("dot segment", SMALL + 'paths = ["/a/../b"]', "rules[0].paths[0]", "dot segment"),
    ("wildcards", SMALL + 'paths = ["/*a*b*c*d*"]', "rules[0].paths[0]", "wildcards"),
    ("authenticated", SMALL + 'authenticated = "yes"', "rules[0].authenticated", "sso"),
    ("day", SMALL + 'days = ["monday"]', "rules[0].days[0]", "mon"),
    ("hours as text", SMALL + 'hours = "8-18"', "rules[0].hours", "table"),
    ("hour", SMALL + 'hours = { start="24:00", end="08:00", zone="UTC" }', "rules[0].hours.start", "23:59"),
    ("same hours", SMALL + 'hours = { start="08:00", end="08:00", zone="UTC" }', "rules[0].hours", "starts when"),
    ("no zone", SMALL + 'hours = { start="08:00", end="09:00" }', "rules[0].hours.zone", "missing"),
    ("zone name", SMALL + 'hours = { start="08:00", end="09:00", zone="Mars/Base" }', "rules[0].hours.zone", "IANA"),
    ("zone folder", SMALL + 'hours = { start="08:00", end="09:00", zone="Europe" }', "rules[0].hours.zone", "IANA"),
    (
        "zone path",
        SMALL + 'hours = { start="08:00", end="09:00", zone="../x" }',
        "rules[0].hours.zone",
        "not a time zone",
    ),
    ("rule expired", SMALL + "expires = 2026-11-21", "rules[0].expires", "expired"),
    ("empty unless", SMALL + "unless = {}", "rules[0].unless", "no condition"),
    ("unless in unless", SMALL + 'unless = { users = ["a"], unless = {} }', "rules[0].unless", "unknown key 'unless'"),
    ("test without request", example('expect="deny"'), "tests[0].request.client", "missing"),
    ("test outcome", example('expect="refuse"\nrequest={client="::1",host="h"}'), "tests[0].expect", "deny"),
    ("test reason", example('reason="no-rule"\nrequest={client="::1",host="h"}'), "tests[0].reason", "no-rule-matched"),
    ("test rule", example('rule="stuff"\nrequest={client="::1",host="h"}'), "tests[0].rule", "did you mean 'staff'"),
    ("test address", example('request={client="here",host="h"}'), "tests[0].request.client", "unknown"),
    (
        "test instant",
        example('request={client="::1",host="h",at=2026-01-01T00:00:00}'),
        "tests[0].request.at",
        "offset",
    ),
    ("test groups", example('request={client="::1",host="h",groups=["g"]}'), "tests[0].request.user", "missing"),
    ("test key", example('request={client="::1",host="h",user-agent="x"}'), "tests[0].request", "unknown key"),
    (
        "same test name",
        example('request={client="::1",host="h"}') + '[[tests]]\nname="n"',
        "tests[1].name",
        "another test",
    ),
]


@pytest.mark.parametrize(("name", "text", "where", "word"), WRONG, ids=[row[0] for row in WRONG])
def test_wrong_policies(name, text, where, word):
    """Whatever is wrong is reported with its file, its key path, and words that help."""
    found = problems(text)
    place = "policies/0001-t.toml" + (f": {where}" if where else "")
    assert [each for each in found if each.place == place and word in f"{each.message} {each.hint}"], found


def test_messages_are_one_style():
    """Messages start in lower case or with what they quote, have no full stop, and fit on one line."""
    for row in WRONG:
        for problem in problems(row[1]):
            for part in (problem.message, *(problem.hint or "x").split("\n")):
                assert not part.endswith("."), part
                assert part.isprintable(), part
                assert not part[0].isupper() or part.split(" ")[0].isupper(), part


def test_all_problems_at_once():
    """Three mistakes are three problems, not one after the other."""
    found = problems(SMALL.replace("203.0.113.0/24", "203.0.113.1/24") + 'days = ["x"]\n[sessions]\nidle = 3')
    assert [each.place.partition(": ")[2] for each in found] == [
        "networks.office[0]",
        "rules[0].days[0]",
        "sessions.idle",
    ]


def test_deny_without_condition():
    """A deny rule without conditions is the way to shut the tool."""
    policy = parse(SMALL + '[[rules]]\nid = "shut"\neffect = "deny"\nbecause = "Maintenance."\n')
    assert policy.rules[1].effect is Effect.DENY


def test_last_day_counts():
    """An entry holds on its last day: only from the day after is the policy refused."""
    text = office('[{ cidr = "203.0.113.0/24", expires = 2026-11-22 }]')
    assert parse(text, today=date(2026, 11, 22)).networks["office"][0].expires == date(2026, 11, 22)
    with pytest.raises(Exception, match="expired on 2026-11-22"):
        parse(text, today=date(2026, 11, 23))


# --- network files --------------------------------------------------------------------------------------------

WITH_FILE = office('{ file = "networks/vpn.txt" }')


@pytest.mark.parametrize(
    ("name", "data", "where", "word"),
    [
        ("missing", None, "", "cannot be read"),
        ("empty", b"# nobody\n\n", "", "no network"),
        ("host bits", b"10.0.0.0/8\n\n10.0.0.1/8 # x\n", ": line 3", "10.0.0.0/8"),
        ("twice", b"10.0.0.0/8\n10.0.0.0/8\n", ": line 2", "twice"),
        ("two on a line", b"10.0.0.0/8, 11.0.0.0/8\n", ": line 1", ""),
        ("binary", b"\xff\xfe\x00\n", ": line 1", ""),
    ],
)
def test_network_files(name, data, where, word):
    """What is wrong in a network file is reported with that file and the line."""
    found = problems(WITH_FILE, {"networks/vpn.txt": data})
    assert [each.place for each in found] == [f"policies/networks/vpn.txt{where}"]
    assert word in f"{found[0].message} {found[0].hint}"


def test_many_wrong_lines():
    """A file that is wrong throughout shows twenty of its lines and counts the rest."""
    found = problems(WITH_FILE, {"networks/vpn.txt": b"x\n" * 1000})
    assert len(found) == 21
    assert found[-1].message == "has 980 more lines that are wrong"


def test_referenced_files():
    """Which files to read beside a policy can be told before it is checked; none of them lies outside."""
    text = '[networks]\na = { file = "networks/b.txt" }\nb = { file = "../x.txt" }\nc = { file = "networks/a.txt" }\n'
    assert referenced_files(text.encode()) == ("networks/a.txt", "networks/b.txt")
    assert referenced_files(b"\xff[") == ()


# --- digest ---------------------------------------------------------------------------------------------------


def test_digest_is_reproducible():
    """The digest follows from the files alone, in the framing that the manual states."""

    def hexdigest(data: bytes) -> str:
        return hashlib.sha256(data).hexdigest()

    text = FULL.encode()
    framed = f"gateway policy digest 1\n{hexdigest(text)}  policy\n{hexdigest(VPN)}  networks/vpn.txt\n"
    expected = "sha256:" + hexdigest(framed.encode())
    assert parse(FULL, {"networks/vpn.txt": VPN}).ref.digest == expected


def test_digest_covers_network_files():
    """Another line in a network file is another digest; a file that the policy does not name is not part of it."""

    def digest(files):
        return source_digest(PolicySource("f", "0001", FULL.encode(), files))

    one = digest({"networks/vpn.txt": b"10.0.0.0/8\n"})
    assert one != digest({"networks/vpn.txt": b"10.0.0.0/9\n"})
    assert one == digest({"networks/vpn.txt": b"10.0.0.0/8\n", "networks/other.txt": b"x"})


# --- requests of tests ----------------------------------------------------------------------------------------


def request(**keys: str):
    written = ", ".join(f"{key.replace('_', '-')} = {value}" for key, value in keys.items())
    return parse(SMALL + f'[[tests]]\nname="n"\nexpect="deny"\nrequest={{ {written} }}').tests[0].request


@pytest.mark.parametrize(
    ("path", "surface", "kind", "page"),
    [
        ("/", Surface.PAGE, "http", "/"),
        ("/ledger/", Surface.PAGE, "http", "/ledger"),
        ("/_stcore/stream", Surface.STREAM, "websocket", None),
        ("/_stcore/streams", Surface.GATEWAY, "http", None),
        ("/_stcore/upload_file/a/b", Surface.UPLOAD, "http", None),
        ("/media/0a.png", Surface.MEDIA, "http", None),
        ("/static/js/i.js", Surface.STATIC, "http", None),
        ("/component/x/i.html", Surface.COMPONENT, "http", None),
        ("/.gateway/whoami", Surface.GATEWAY, "http", None),
    ],
)
def test_surface_of_a_test(path, surface, kind, page):
    """The surface of an example follows from its path, as Streamlit lays out its paths."""
    made = request(client='"192.0.2.1"', host='"h"', path=f'"{path}"')
    assert (made.surface, made.kind, made.page) == (surface, kind, page)


def test_request_of_a_test():
    """An example can say who asks, through which proxy, when, and with which sign-in."""
    made = request(
        client='"::ffff:192.0.2.1"', peer='"10.0.0.1"', host='"[::1]:8501"', user='"alice"', groups='["finance"]',
        authenticated='"mfa"', at="2026-03-02T09:30:00+01:00", message='"rerun_script"', page='"/ledger"',
    )  # fmt: skip
    assert (made.client.address, made.client.provenance, made.peer) == ("192.0.2.1", Provenance.FORWARDED, "10.0.0.1")
    assert (made.host, made.port) == ("::1", 8501)
    assert (made.principal.id, made.principal.method, made.principal.mfa) == ("alice", Method.OIDC, True)
    assert made.received_at == datetime(2026, 3, 2, 8, 30, tzinfo=UTC)
    assert (made.surface, made.message, made.page) == (Surface.MESSAGE, "rerun_script", "/ledger")


def test_request_defaults():
    """Without a user the visitor is anonymous and has no session; the day is always the same Wednesday."""
    made = request(client='"unknown"', host='""')
    assert (made.client.address, made.client.problem) == (None, Reason.CLIENT_ADDRESS_UNKNOWN)
    assert (made.host, made.host_problem) == (None, Reason.HOST_MISSING)
    assert (made.principal.method, made.session) == (Method.NONE, None)
    assert made.received_at.weekday() == 2


def test_notes_on_what_is_not_enforced():
    """A key that this release does not act on is named, so that nobody relies on it."""
    source = PolicySource("f", "0001", FULL.encode(), {})
    assert {note.place for note in unenforced(source)} >= {"f: sessions.concurrent"}
    assert unenforced(PolicySource("f", "0001", SMALL.encode(), {})) == ()
