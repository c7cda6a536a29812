"""Files that are made to break their reader: a problem each, never a traceback, never a long wait."""

import time
from datetime import UTC, date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import PolicyError
from gateway.policy.language import CONDITION_KEYS, KEYS, POLICY_BYTES
from gateway.policy.lock import parse_lock
from gateway.policy.parse import PolicySource, parse_policy, policy_of, referenced_files, unenforced
from gateway.policy.reader import PROBLEMS_LISTED
from tests.policy.sources import SMALL, parse, problems

SECONDS = 10  # generous for a loaded machine; each of these took far below one second, or for ever


def lines(line: str) -> str:
    return "\n".join(line.replace("@", str(number)) for number in range((POLICY_BYTES - 5000) // (len(line) + 5)))


HOSTILE = [
    ("empty", b"", "schema"),
    ("NUL", b"\x00", "not TOML"),
    ("no UTF-8", b"schema = 1\ntitle = \xff", "line 2: is not UTF-8"),
    ("byte order mark", b"\xef\xbb\xbfschema = 1", "line 1, column 1"),
    ("UTF-16", "schema = 1".encode("utf-16"), "line 1: is not UTF-8"),
    ("ten megabytes", b"#" * 10_000_000, "larger than"),
    ("nested arrays", b"a = " + b"[" * 100_000, "nested too deeply"),
    ("nested tables", b"a = " + b"{a=" * 60_000, "nested too deeply"),
    ("one long dotted key", b"a." * 100_000 + b"a = 1", "line 1: has more than 256 dots"),
    ("many long dotted keys", lines("x@." + "a." * 250 + "a = 1").encode(), "unknown key"),
    ("many long headers", lines("[x@." + "a." * 250 + "a]").encode(), "unknown key"),
    ("a long decimal", b"schema = " + b"9" * 100_000, "out of range"),
    ("a long hexadecimal", b"schema = 0x" + b"f" * 100_000, "schema = 1"),
    ("infinity", b"schema = inf", "schema = 1"),
    ("no such day", b"schema = 2026-02-30", "not TOML"),
    ("syntax", b'schema = 1\ntitle = "T\n', "line 2, column 11"),
    ("many unknown keys", lines("k@ = 1").encode(), "more problems are not listed"),
    ("a long unknown key", b"schemes" * 30_000 + b" = 1", "unknown key"),
    ("many rules", lines("[[rules]]").encode(), "more problems are not listed"),
    ("many networks", ("[networks]\n" + lines("n@ = 1")).encode(), "more problems are not listed"),
]


@pytest.mark.parametrize(("name", "data", "word"), HOSTILE, ids=[row[0] for row in HOSTILE])
def test_hostile_files(name, data, word):
    """No file can crash or stall the reader, and what is told about it is short."""
    start = time.monotonic()
    found = problems(data)
    assert time.monotonic() - start < SECONDS
    assert len(found) <= PROBLEMS_LISTED + 1
    assert word in "\n".join(f"{each} {each.hint}" for each in found)
    assert all(len(f"{each}") < 700 for each in found)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=2000))
def test_any_bytes(data):
    """Any bytes are a policy or a list of problems."""
    _parse_or_problems(data)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=300))
def test_any_text_after_a_policy(text):
    """Whatever is appended to a policy, it stays a policy or becomes a list of problems."""
    _parse_or_problems((SMALL + text).encode("utf-8", "surrogatepass"))


def _parse_or_problems(data: bytes) -> None:
    source = PolicySource("f.toml", "0001", data)
    for read in (
        lambda: parse_policy(source, today=date.min),
        lambda: unenforced(source),
        lambda: parse_lock(data, "l"),
    ):
        try:
            read()
        except PolicyError as error:
            assert error.problems
    assert all(".." not in path for path in referenced_files(data))


# Every word of the language, so that documents get past the first check and reach the readers of values.
WORDS = sorted({key for keys in KEYS.values() for key in keys} | set(CONDITION_KEYS))
SCALARS = (
    st.booleans()
    | st.integers()
    | st.builds(lambda: 16**5000)  # more digits than Python prints
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(
        ["deny", "allow", "office", "1.2.3.4/8", "::/0", "*", "/", "/*", "30m", "5MB", "5/s", "UTC", "08:00"]
    )
    | st.dates()
    | st.times()
    | st.datetimes()
    | st.datetimes(timezones=st.just(UTC))
)
TREES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=5), inner, max_size=6)
    ),
    max_leaves=40,
)
DOCUMENTS = st.dictionaries(st.sampled_from(KEYS[""]), TREES | st.lists(TREES, max_size=3), max_size=13)


@settings(max_examples=600, deadline=None)
@given(DOCUMENTS)
def test_any_document(document):
    """Any document that TOML can express is a policy or a list of problems, whatever the types of its values."""
    try:
        policy_of(document, PolicySource("f.toml", "0001", b""), today=date(2026, 11, 22))
    except PolicyError as error:
        assert error.problems


def test_expiry_never_overflows():
    """Dates at the ends of the calendar are refused: what is computed from them later cannot overflow."""
    late = datetime.max.replace(tzinfo=UTC)
    found = problems(
        SMALL + f'[[tests]]\nname="n"\nexpect="deny"\nrequest={{client="::1",host="h",at={late.isoformat()}}}'
    )
    assert "between the years" in found[0].message


def test_hundred_thousand_networks():
    """A list of 100 000 networks is read and indexed in seconds, and answers like a short one."""
    data = b"".join(b"%d.%d.%d.0/25\n" % (1 + n // 65536, n // 256 % 256, n % 256) for n in range(100_000))
    start = time.monotonic()
    policy = parse(SMALL.replace('["203.0.113.0/24"]', '{ file = "networks/long.txt" }'), {"networks/long.txt": data})
    taken = time.monotonic() - start
    print(f"100 000 networks: {taken:.2f} s")
    assert len(policy.networks["office"]) == 100_000
    assert policy.membership.names("2.134.159.127", date(2026, 1, 1)) == {"office"}
    assert not policy.membership.names("2.134.159.128", date(2026, 1, 1))
    assert taken < 20
