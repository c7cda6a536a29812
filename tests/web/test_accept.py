"""HTML for people, JSON for programs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.web.accept import negotiate

# RFC 9110 §12.5.1: quality values, precedence of the more specific range, q=0 is "not acceptable".
CASES = [
    ("no header accepts anything", "", "html"),
    ("blanks only", "  ", "html"),
    ("anything", "*/*", "html"),
    (
        "chromium navigation",
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
        "html",
    ),
    ("firefox navigation", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "html"),
    ("html only", "text/html", "html"),
    ("case does not matter", "Text/HTML;Q=0.5", "html"),
    ("any text", "text/*", "html"),
    ("html with a charset", "text/html; charset=utf-8", "html"),
    ("json only", "application/json", "json"),
    ("problem json only", "application/problem+json", "json"),
    ("any application", "application/*", "json"),
    ("json is named, the rest is a wildcard", "application/json, text/plain, */*", "json"),
    ("json is preferred", "text/html;q=0.5, application/json", "json"),
    ("html is preferred", "application/json;q=0.5, text/html", "html"),
    ("both alike", "application/json, text/html", "html"),
    ("three decimals", "text/html;q=0.899, application/json;q=0.9", "json"),
    ("html is refused", "text/html;q=0, */*", "json"),
    ("the precise range wins over a wildcard", "text/*;q=0.9, text/html;q=0.1, application/json;q=0.5", "json"),
    ("json is refused", "application/json;q=0, application/problem+json;q=0, */*;q=0.1", "html"),
    ("neither", "image/png", "json"),
    ("everything is refused", "*/*;q=0", "json"),
    ("a quality above one is no quality", "text/html;q=2, application/json;q=0.1", "json"),
    ("four decimals are no quality", "text/html;q=0.1234, application/json;q=0.1", "json"),
    ("nonsense is as if absent, the rest counts", ";;,,q=1, /, text/html", "html"),
    ("nonsense only", "\x00\xff", "json"),
    ("far behind is not read", "a/b," * 500 + "text/html", "json"),
]


@pytest.mark.parametrize(("accept", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_negotiation(accept: str, expected: str) -> None:
    """A refusal is HTML for who accepts it, and JSON for who prefers that or accepts neither."""
    assert negotiate(accept) == expected


@given(st.text(max_size=2000))
def test_any_accept_header_gets_an_answer(accept: str) -> None:
    """No Accept header, however broken, stops the refusal."""
    assert negotiate(accept) in {"html", "json"}
