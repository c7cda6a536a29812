"""What may never stand in the record: a corpus of secrets where clients and Streamlit put them."""

import json
import re
import typing
from dataclasses import replace
from datetime import datetime
from enum import StrEnum

import msgspec
import pytest

from gateway.audit import activity, closed, exchanges, files, findings, lifecycle, notices, ocsf, opened
from gateway.audit.encode import encode
from gateway.audit.redact import path, pseudonym, text
from gateway.model import Check, Client, Deny, Principal, Reason, RequestContext, Surface
from gateway.state.secrets import Secret
from tests.audit.samples import CONTEXT, POLICY, STAMP, end, exchange, line, socket

SECRET = "9d0c3e3e-1111-4222-8333-abcdefabcdef"  # a Streamlit session is a UUID
FILE = "c0ffee00-1111-4222-8333-abcdefabcdef"
MEDIA = "f1e2d3c4b5a697887766554433221100ffeeddccbbaa99887766554433221100"
TOKEN = "hunter2-token-value"

PLACES = {
    "upload": exchange(method="PUT", path=f"/_stcore/upload_file/{SECRET}/{FILE}", surface=Surface.UPLOAD, page=None),
    "upload of a session only": exchange(path=f"/_stcore/upload_file/{SECRET}", surface=Surface.UPLOAD),
    "upload below a page": exchange(path=f"/app/_stcore/upload_file/{SECRET}/{FILE}", surface=Surface.PROBE),
    "upload with doubled slashes": exchange(path=f"//_stcore//upload_file//{SECRET}//{FILE}", surface=Surface.PROBE),
    "upload in capitals": exchange(path=f"/_STCORE/UPLOAD_FILE/{SECRET.upper()}/x", surface=Surface.PROBE),
    "upload with a line feed": exchange(path=f"/_stcore/upload_file/\n{SECRET}\n/{FILE}", surface=Surface.PROBE),
    "media": exchange(path=f"/media/{MEDIA}.csv", surface=Surface.MEDIA),
    "media in a folder": exchange(path=f"/media/x/{MEDIA}.csv", surface=Surface.MEDIA),
    "session at an unknown path": exchange(path=f"/x/{SECRET}", surface=Surface.PROBE),
    "session on a page": exchange(path=f"/ledger/{SECRET}", page=f"/ledger/{SECRET}"),
    "query string that was encoded": exchange(path=f"/ledger?token={TOKEN}", surface=Surface.PROBE),
    "password in the origin": socket(origin=f"https://user:{TOKEN}@tools.example.internal"),
    "upload in a socket's path": socket(path=f"/_stcore/upload_file/{SECRET}/{FILE}"),
    "quoted by a check": exchange(
        Deny(Reason.NO_RULE_MATCHED, POLICY, None, (Check("path", False, f"/_stcore/upload_file/{SECRET}/{FILE}"),)),
        path=f"/_stcore/upload_file/{SECRET}/{FILE}",
    ),
    "query quoted by a check": exchange(
        Deny(Reason.NO_RULE_MATCHED, POLICY, None, (Check("path", False, f"/ledger?token={TOKEN} is not listed"),)),
        path=f"/ledger?token={TOKEN}",
    ),
    "origin quoted by a check": socket(
        Deny(Reason.ORIGIN_NOT_ALLOWED, POLICY, None, (Check("origin", False, f"https://a:{TOKEN}@b.example"),)),
        origin=f"https://a:{TOKEN}@b.example",
    ),
    "page quoted by a check": exchange(
        Deny(Reason.NO_RULE_MATCHED, POLICY, None, (Check("page", False, f"/p/{SECRET}"),)), page=f"/p/{SECRET}"
    ),
}


@pytest.mark.parametrize("where", PLACES.values(), ids=PLACES.keys())
def test_no_secret_of_the_corpus_reaches_the_record(where):
    """Sessions, media ids, query strings and passwords never stand in the record; what was removed is named."""
    for event in (opened(where, STAMP), closed(end(where), STAMP)):
        written = line(event).decode().lower()
        for secret in (SECRET, FILE, MEDIA, TOKEN):
            assert secret not in written
    assert json.loads(line(opened(where, STAMP)))["unmapped"]["gateway"]["erased"]


PATHS = [
    ("a page", "/ledger", None, "/ledger"),
    ("an API's UUID stays", f"/api/orders/{SECRET}", Surface.API, f"/api/orders/{SECRET}"),
    ("upload", f"/_stcore/upload_file/{SECRET}/a", None, f"/_stcore/upload_file/{pseudonym(SECRET)}/{pseudonym('a')}"),
    ("media", "/media/abc.csv", None, f"/media/{pseudonym('abc.csv')}"),
    ("query", "/a?b=c", None, "/a?{query}"),
    ("an empty query", "/a?", None, "/a?"),
]


@pytest.mark.parametrize(("name", "before", "surface", "after"), PATHS, ids=[row[0] for row in PATHS])
def test_a_path_keeps_its_route(name, before, surface, after):
    """Of a path with a secret, the route and a pseudonym stay; and redacting it again changes nothing."""
    assert path(before, surface=surface) == after
    assert path(after, surface=surface) == after


def test_a_pseudonym_joins_two_lines_and_tells_nothing():
    """The same session has the same pseudonym, of 64 bits of its SHA-256."""
    assert pseudonym(SECRET) == pseudonym(SECRET) != pseudonym(FILE)
    assert re.fullmatch(r"\{sha256:[0-9a-f]{16}\}", pseudonym(SECRET))


def test_a_line_of_the_process_log_loses_its_session():
    """A library's own message that quotes an upload's address is shown without the session."""
    shown = text(f'PUT "/_stcore/upload_file/{SECRET}/{FILE}?x=1" 204, GET /media/{MEDIA}.png 200')
    assert SECRET not in shown and FILE not in shown and MEDIA not in shown
    assert shown.startswith('PUT "/_stcore/upload_file/{sha256:') and shown.endswith(" 200")


DETAILS = {
    "password": TOKEN,
    "api_key": TOKEN,
    "Set-Cookie": TOKEN,
    "authorization": TOKEN,
    "object": ValueError(TOKEN),
    "bytes": TOKEN.encode(),
    "nested": {"a": TOKEN},
    "list of objects": [ValueError(TOKEN)],
}


def test_details_are_scalars_with_harmless_names():
    """A caller's facts are scalars and lists of them; one whose name or kind may hide a secret is erased and named."""
    facts = {**DETAILS, "count": 3, "ratio": 0.5, "ok": True, "none": None, "names": ["a", 1], "big": 2**70}
    event = json.loads(line(lifecycle("report.approved", "approved", facts, STAMP)))
    gateway = event["unmapped"]["gateway"]
    assert TOKEN not in json.dumps(event)
    kept = {"count": 3, "ratio": 0.5, "ok": True, "none": None, "names": ["a", 1], "big": str(2**70)}
    assert gateway["details"] == kept
    assert len(gateway["erased"]) == len(DETAILS)


# --- by type --------------------------------------------------------------------------------------------------

# Everything that an event may be made of, besides the structs of `ocsf` and of the constructors themselves: text and
# numbers, lists of them, the words of the model, and two pieces of JSON that were encoded when the module was loaded.
SCALARS = {str, int, bool, float, type(None), msgspec.UnsetType, datetime}
OF_THE_MODEL = {RequestContext, Client, Principal, Check}
ENCODED_BEFORE = {("Metadata", "product"), ("ApplicationLifecycle", "app")}
MODULES = (exchanges, activity, files, findings, notices, ocsf)


def structs():
    """Every struct that can become a part of an event."""
    found = {each for module in MODULES for each in vars(module).values() if isinstance(each, type)}
    return sorted((each for each in found if issubclass(each, ocsf.Object)), key=lambda each: each.__name__)


def leaves(kind):
    """The types that a type is made of; the values of a mapping and the items of a tuple, too."""
    parts = typing.get_args(kind)
    if not parts or typing.get_origin(kind) is typing.Literal:
        return {kind} if not parts else {type(part) for part in parts}
    return set().union(*(leaves(part) for part in parts if part is not ...))


def is_harmless(kind):
    known = SCALARS | OF_THE_MODEL | set(structs())
    return kind in known or (isinstance(kind, type) and issubclass(kind, StrEnum))


@pytest.mark.parametrize("struct", structs(), ids=lambda each: each.__name__)
def test_an_event_is_made_of_known_types_only(struct):
    """Each field of each event is text, a number, a word of the model or such a struct: a secret is none of them."""
    for name, kind in typing.get_type_hints(struct).items():
        if (struct.__name__, name) in ENCODED_BEFORE:
            continue
        bad = [each for each in leaves(kind) if not is_harmless(each)]
        assert bad == [], f"{struct.__name__}.{name}"


@pytest.mark.parametrize("kind", sorted(OF_THE_MODEL, key=lambda each: each.__name__), ids=lambda each: each.__name__)
def test_what_the_engine_looks_at_is_plain(kind):
    """The inputs of a decision stand in the record as they are, so their fields are of known types, too."""
    for name, each in typing.get_type_hints(kind).items():
        assert all(is_harmless(leaf) for leaf in leaves(each)), name


def test_a_secret_cannot_be_encoded():
    """A `Secret` has no JSON: an event that held one could not be made, wherever it stood."""
    for where in (Secret(TOKEN.encode()), [Secret(b"x")], {"a": Secret(b"x")}, replace(CONTEXT, session=Secret(b"x"))):
        with pytest.raises(TypeError, match="Secret"):
            encode(where)
    held = exchange(session=Secret(TOKEN.encode()))
    with pytest.raises((TypeError, AttributeError)):
        opened(held, STAMP)


@pytest.mark.parametrize("value", [Secret(TOKEN.encode()), [Secret(TOKEN.encode())], (1, Secret(TOKEN.encode()))])
def test_a_secret_among_the_facts_is_erased(value):
    """A fact that is a secret, or a list with one in it, is erased under whatever name, and named."""
    event = json.loads(line(lifecycle("report.approved", "approved", {"harmless": value, "count": 1}, STAMP)))
    assert event["unmapped"]["gateway"]["details"] == {"count": 1}
    assert event["unmapped"]["gateway"]["erased"] == ["/unmapped/gateway/details/harmless"]
    assert TOKEN not in json.dumps(event) and "hidden" not in json.dumps(event)
