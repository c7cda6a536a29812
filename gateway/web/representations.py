"""Which of several forms of a file answers a request: content coding, conditions and ranges, as RFC 9110 has them.

Header values are what the client sent, or None when it sent none. A value that does not parse is as if it were not
there: these headers make an answer smaller, and none of them is worth a refusal.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

IDENTITY: Final = "identity"

_LIMIT: Final = 512  # characters of Accept-Encoding that are read; browsers send about 25
_MEMBERS: Final = 64
_QUALITY = re.compile(r"\s*q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\s*\Z", re.IGNORECASE)
_ALIASES: Final = {"x-gzip": "gzip"}  # RFC 9110 §8.4.1.3
_RANGE = re.compile(r"bytes=[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*\Z", re.IGNORECASE)
_TAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')


def negotiate(accept_encoding: str | None, ours: tuple[str, ...]) -> str:
    """The coding to answer with: one of `ours`, which is in our order of preference, or `identity` (§12.5.3).

    The client's highest quality wins, then our order. `identity` that is not named comes after every coding that is
    welcome. Without the header nothing is known of the client, so it gets identity. It also gets identity when it
    accepts nothing that we have: the section allows 406, which helps nobody.
    """
    return IDENTITY if accept_encoding is None else _negotiate(accept_encoding[:_LIMIT], ours)


@lru_cache(maxsize=128)  # few browsers, many files
def _negotiate(accept_encoding: str, ours: tuple[str, ...]) -> str:
    qualities = dict(_codings(accept_encoding))
    others = qualities.get("*", 0.0)
    best, quality = IDENTITY, qualities.get(IDENTITY, 0.0)
    for coding in reversed(ours):
        asked = qualities.get(coding, others)
        if asked > 0 and asked >= quality:
            best, quality = coding, asked
    return best


def _codings(accept_encoding: str) -> Iterator[tuple[str, float]]:
    """Each coding that is named, in small letters, with its quality."""
    for member in accept_encoding.split(",", _MEMBERS)[:_MEMBERS]:
        name, semicolon, weight = member.partition(";")
        match = _QUALITY.match(weight) if semicolon else None
        coding = name.strip().lower()
        if coding and (match or not semicolon):
            yield _ALIASES.get(coding, coding), float(match[1]) if match else 1.0


def none_match(if_none_match: str, etag: str) -> bool:
    """Whether If-None-Match lets the request through: no tag in it is ours, weakly compared (§13.1.2, §8.8.3.2)."""
    return if_none_match.strip() != "*" and etag not in _TAG.findall(if_none_match)


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes `first` to `last`, both included, as Content-Range counts them."""

    first: int
    last: int


class Unsatisfiable:
    """The range begins behind the end: 416."""


UNSATISFIABLE: Final = Unsatisfiable()


def part_of(header: str, if_range: str | None, etag: str, size: int) -> Part | Unsatisfiable | None:
    """The part that a Range header asks for of `size` bytes, or None: the whole (§14.2).

    Several ranges give the whole: their overlap has no bound (CVE-2025-62727), and no browser asks for them here. So
    does If-Range that is not exactly our tag (§13.1.5); a date never is, since we send no Last-Modified.
    """
    match = _RANGE.match(header)
    if match is None or (if_range is not None and if_range.strip() != etag):
        return None
    first, last = match[1], match[2]
    if not first and not last:
        return None
    if not first:
        length = min(int(last), size)
        return Part(size - length, size - 1) if length else UNSATISFIABLE
    if last and int(last) < int(first):
        return None  # not a range (§14.1.1)
    if int(first) >= size:
        return UNSATISFIABLE
    return Part(int(first), min(int(last), size - 1) if last else size - 1)


def header(headers: Sequence[tuple[bytes, bytes]], name: bytes) -> str | None:
    """The value of a list-valued header, its lines joined (§5.3); None when it was not sent."""
    values = [value for key, value in headers if key == name]
    return b", ".join(values).decode("latin-1") if values else None
