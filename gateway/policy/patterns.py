"""Matching of paths, pages and users against the patterns of a policy.

One wildcard, as in Cedar's `like`: `*` stands for any run of characters, `/` included. Everything else is
literal and case-sensitive, as URL paths are (RFC 3986 §6.2.2.1).
"""

import re
from functools import lru_cache


def matches_any(patterns: tuple[str, ...], text: str) -> bool:
    """Whether any of the patterns covers the whole text."""
    return any(_matches(pattern, text) for pattern in patterns)


def _matches(pattern: str, text: str) -> bool:
    if "*" not in pattern:
        return pattern == text
    return _compiled(pattern).fullmatch(text) is not None


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    # Runs of `*` are one `*`: `a**********b` must not backtrack for ever.
    literals = re.split(r"\*+", pattern)
    return re.compile(".*".join(re.escape(literal) for literal in literals), re.DOTALL)
