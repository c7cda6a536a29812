"""HTML for people, JSON for programs: content negotiation by the Accept header (RFC 9110 §12.5.1)."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, Literal

Form = Literal["html", "json"]

_LIMIT: Final = 512  # characters; browsers send about 140
_CACHED: Final = 256
_QUALITY = re.compile(r"\s*q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\s*\Z", re.IGNORECASE)
_HTML: Final = frozenset({"text/html"})
_JSON: Final = frozenset({"application/problem+json", "application/json"})


def negotiate(accept: str) -> Form:
    """Which form the client likes better: `html` or `json`.

    HTML if it is acceptable and JSON is not preferred. JSON is preferred by a higher quality, or at the same quality by
    being named more precisely (`application/json, */*`). JSON too for a client that accepts neither: it is a program.
    No header at all accepts anything. What does not parse is as if it were not there.
    """
    return _cached(accept) if len(accept) <= _CACHED else _negotiate(accept)


def _negotiate(accept: str) -> Form:
    if not accept.strip():
        return "html"
    ranges = tuple(_ranges(accept[:_LIMIT]))
    html, json = _preference(ranges, _HTML, "text/*"), _preference(ranges, _JSON, "application/*")
    return "html" if html[0] > 0 and html >= json else "json"


_cached = lru_cache(maxsize=128)(_negotiate)  # few browsers, many refusals; long values are not kept for anybody


def _ranges(accept: str) -> Iterator[tuple[str, float]]:
    """Each media range with its quality. Parameters other than `q` are not told apart: we have one of each form."""
    for member in accept.split(","):
        name, *parameters = member.split(";")
        quality = 1.0
        for parameter in parameters:
            if parameter.strip()[:2].lower() == "q=":
                match = _QUALITY.match(parameter)
                quality = float(match[1]) if match else -1.0
        if quality >= 0:
            yield name.strip().lower(), quality


def _preference(ranges: tuple[tuple[str, float], ...], names: frozenset[str], group: str) -> tuple[float, int]:
    """Quality, and how precisely it was asked for. The most precise range counts, whatever the others say."""
    for precision, wanted in ((2, names), (1, frozenset({group})), (0, frozenset({"*/*"}))):
        if found := [quality for name, quality in ranges if name in wanted]:
            return max(found), precision
    return 0.0, 0
