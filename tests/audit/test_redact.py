"""What may never stand in the record: a corpus of secrets where clients and Streamlit put them."""

import json
import re

import pytest

from gateway.audit import closed, lifecycle, opened
from gateway.audit.redact import path, pseudonym, text
from gateway.model import Check, Deny, Reason, Surface
from tests.audit.samples import POLICY, STAMP, end, exchange, line, socket

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
