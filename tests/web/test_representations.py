"""Content negotiation, conditions and ranges. Expectations are those of RFC 9110, whose sections are named."""

import pytest

from gateway.web.representations import IDENTITY, UNSATISFIABLE, Part, header, negotiate, none_match, part_of

OURS = ("br", "zstd", "gzip")

# name, Accept-Encoding, the coding that answers
CODINGS = [
    ("no header: nothing is known of the client", None, IDENTITY),
    ("an empty header: no coding (§12.5.3 rule 4)", "", IDENTITY),
    ("Chromium on https", "gzip, deflate, br, zstd", "br"),
    ("Chromium on http", "gzip, deflate", "gzip"),
    ("Firefox", "gzip, deflate, br, zstd", "br"),
    ("one that we do not have", "deflate", IDENTITY),
    ("the old name of gzip (§8.4.1.3)", "x-gzip", "gzip"),
    ("names in capitals (§8.4.1)", "GZIP", "gzip"),
    ("the higher quality", "br;q=0.5, gzip;q=0.8", "gzip"),
    ("the RFC's second example", "compress, gzip", "gzip"),
    ("the RFC's last example", "gzip;q=1.0, identity; q=0.5, *;q=0", "gzip"),
    ("anything", "*", "br"),
    ("anything but brotli", "br;q=0, *", "zstd"),
    ("anything but what is named", "gzip, *;q=0", "gzip"),
    ("identity is preferred", "identity, gzip;q=0.5", IDENTITY),
    ("identity is as welcome as gzip", "identity, gzip", "gzip"),
    ("refused by quality 0", "gzip;q=0", IDENTITY),
    ("refused by quality 0.000", "gzip;q=0.000", IDENTITY),
    ("a very low quality is not 0", "gzip;q=0.001", "gzip"),
    ("identity is refused, gzip is there", "identity;q=0, gzip", "gzip"),
    ("identity is refused, anything else goes", "identity;q=0, *", "br"),
    ("everything is refused: identity instead of 406", "identity;q=0, *;q=0", IDENTITY),
    ("a quality above 1 is none", "gzip;q=2, zstd;q=0.5", "zstd"),
    ("a quality that is no number", "gzip;q=high", IDENTITY),
    ("four decimals are one too many", "gzip;q=0.1234", IDENTITY),
    ("blanks and empty members", " ,, gzip ; q=0.5 ,", "gzip"),
    ("a quality in capitals (§12.4.2)", "gzip;Q=0.5", "gzip"),
    ("nonsense", ";;==,q=1,\x00", IDENTITY),
    ("a very long header", "x," * 10_000 + "gzip", IDENTITY),
]


@pytest.mark.parametrize(("accept_encoding", "expected"), [row[1:] for row in CODINGS], ids=[row[0] for row in CODINGS])
def test_the_coding_that_the_client_likes_best(accept_encoding, expected):
    """The highest quality wins, then the smallest form; a client that accepts nothing gets the file as it is."""
    assert negotiate(accept_encoding, OURS) == expected


def test_a_file_without_compressed_forms_is_sent_as_it_is():
    """What is compressed already has one form, whatever the client would take."""
    assert negotiate("gzip, deflate, br, zstd", ()) == IDENTITY


TAG = '"abc"'

# name, If-None-Match, whether the file is sent
CONDITIONS = [
    ("the same", '"abc"', False),
    ("another", '"abd"', True),
    ("the same among others (§13.1.2)", '"x", "abc"', False),
    ("weakly the same (§8.8.3.2)", 'W/"abc"', False),
    ("anything", "*", False),
    ("anything, with blanks", " * ", False),
    ("without quotes", "abc", True),
    ("half a tag", '"abc', True),
    ("empty", "", True),
    ("another that ends the same", '"xabc"', True),
    ("a tag with a comma in it", '"a,b", "abc"', False),
]


@pytest.mark.parametrize(
    ("if_none_match", "expected"), [row[1:] for row in CONDITIONS], ids=[row[0] for row in CONDITIONS]
)
def test_a_tag_that_is_known_is_not_sent_again(if_none_match, expected):
    """If-None-Match compares weakly, and knows lists and the star."""
    assert none_match(if_none_match, TAG) is expected


# name, Range, If-Range, size, what is sent; the first ones are the examples of §14.1.2 for 10000 bytes
RANGES = [
    ("the first 500", "bytes=0-499", None, 10_000, Part(0, 499)),
    ("the second 500", "bytes=500-999", None, 10_000, Part(500, 999)),
    ("the final 500", "bytes=-500", None, 10_000, Part(9500, 9999)),
    ("the final 500 again", "bytes=9500-", None, 10_000, Part(9500, 9999)),
    ("first and last byte: several ranges, so all of it", "bytes=0-0,-1", None, 10_000, None),
    ("many ranges", "bytes=" + ",".join(["0-"] * 5000), None, 10_000, None),
    ("beyond the end is the end", "bytes=9000-20000", None, 10_000, Part(9000, 9999)),
    ("more from the end than there is", "bytes=-20000", None, 10_000, Part(0, 9999)),
    ("begins at the end", "bytes=10000-", None, 10_000, UNSATISFIABLE),
    ("begins behind the end", "bytes=20000-30000", None, 10_000, UNSATISFIABLE),
    ("the last none", "bytes=-0", None, 10_000, UNSATISFIABLE),
    ("of nothing", "bytes=0-0", None, 0, UNSATISFIABLE),
    ("backwards is no range (§14.1.1)", "bytes=5-4", None, 10_000, None),
    ("no numbers", "bytes=-", None, 10_000, None),
    ("another unit", "lines=0-4", None, 10_000, None),
    ("the unit in capitals (§14.1)", "Bytes=0-4", None, 10_000, Part(0, 4)),
    ("a sign", "bytes=+1-4", None, 10_000, None),
    ("other digits", "bytes=\u0661-4", None, 10_000, None),
    ("a number with 5000 digits", "bytes=0-" + "9" * 5000, None, 10_000, None),
    ("if it is still the same (§13.1.5)", "bytes=0-4", '"abc"', 10_000, Part(0, 4)),
    ("it is another now", "bytes=0-4", '"abd"', 10_000, None),
    ("weak tags never match there", "bytes=0-4", 'W/"abc"', 10_000, None),
    ("a date, which we never gave", "bytes=0-4", "Wed, 21 Oct 2026 07:28:00 GMT", 10_000, None),
]


@pytest.mark.parametrize(
    ("value", "if_range", "size", "expected"), [row[1:] for row in RANGES], ids=[row[0] for row in RANGES]
)
def test_one_range_is_cut_out(value, if_range, size, expected):
    """One range is served; several, and what does not parse, give the whole file."""
    assert part_of(value, if_range, TAG, size) == expected


def test_lines_of_a_header_are_one_list():
    """A list may come in several lines (§5.3)."""
    headers = [(b"accept-encoding", b"br;q=0"), (b"host", b"x"), (b"accept-encoding", b"gzip")]
    assert header(headers, b"accept-encoding") == "br;q=0, gzip"
    assert header(headers, b"range") is None
