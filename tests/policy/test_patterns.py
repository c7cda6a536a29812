"""Patterns of paths and pages."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.patterns import matches

ROWS = [
    ("the same text", "/ledger", "/ledger", True),
    ("another text", "/ledger", "/ledgers", False),
    ("a star at the end", "/ledger/*", "/ledger/2026/q1", True),
    ("a star needs what stands before it", "/ledger/*", "/ledger", False),
    ("a star alone", "*", "", True),
    ("a star at the start", "*.csv", "/a/b.csv", True),
    ("a star in the middle", "/a/*/z", "/a/b/c/z", True),
    ("start and end may not overlap", "/aba*aba", "/aba", False),
    ("several stars", "/a*b*c", "/a--b--c", True),
    ("several stars in another order", "/a*b*c", "/a--c--b", False),
    ("no other character is special", "/a.b", "/axb", False),
    ("a line break is a character", "/a*", "/a\nb", True),
]


@pytest.mark.parametrize(("name", "pattern", "text", "expected"), ROWS, ids=[row[0] for row in ROWS])
def test_patterns(name, pattern, text, expected):
    """`*` stands for any run of characters; everything else is literal."""
    assert matches(pattern, text) is expected


@given(st.text("ab*/", max_size=8), st.text("ab/", max_size=12))
def test_patterns_mean_what_a_regular_expression_would(pattern, text):
    """The one pass finds exactly what trying every division would."""
    expression = ".*".join(re.escape(part) for part in pattern.split("*"))
    assert matches(pattern, text) is (re.fullmatch(expression, text, re.DOTALL) is not None)


def test_a_long_path_cannot_hold_up_the_engine():
    """Doubling the path doubles the work at most: no path makes a pattern with stars explode."""

    def spent(length):
        text = "/" + "ab" * length + "x"
        start = time.process_time()
        for _ in range(20):
            matches("/a*b*a*b*c", text)
        return time.process_time() - start

    spent(1000)
    assert spent(40_000) < 200 * max(spent(4_000), 1e-4)  # a cubic matcher needs a thousand times as long
