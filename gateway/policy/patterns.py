"""Matching of paths and pages against the patterns of a policy.

One wildcard, as in Cedar's `like`: `*` stands for any run of characters, `/` included. Everything else is literal and
case-sensitive, as URL paths are (RFC 3986 §6.2.2.1). Matching takes one pass over the text, however many stars a
pattern has: a regular expression would backtrack over a path that the visitor chose.
"""


def matches_any(patterns: tuple[str, ...], text: str) -> bool:
    """Whether any of the patterns covers the whole text."""
    return any(matches(pattern, text) for pattern in patterns)


def matches(pattern: str, text: str) -> bool:
    """Whether the pattern covers the whole text."""
    first, *rest = pattern.split("*")
    if not rest:
        return pattern == text
    *middle, last = rest
    if not text.startswith(first) or not text.endswith(last) or len(text) < len(first) + len(last):
        return False
    at, end = len(first), len(text) - len(last)
    for literal in middle:  # the leftmost place is always a right one: what follows has the most room then
        at = text.find(literal, at, end)
        if at < 0:
            return False
        at += len(literal)
    return True
