"""Which relaxation a violation asks for that a browser has reported."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.streamlit.asks import Ask
from gateway.streamlit.profiles import RELAXATIONS, Relaxation

# Relaxations that cover so much that none is suggested where a smaller one, or a host, will do.
_LAST: Final = ("inline", "external-media")
_KINDS: Final[Mapping[str, str]] = {
    "style-src": "styles",
    "font-src": "fonts",
    "img-src": "images",
    "media-src": "media",
    "frame-src": "frames",
    "connect-src": "connect",
}
# Where a mark in a relaxation's sources stands for a place of ours, as it is recorded.
_PLACES: Final[Mapping[str, str]] = {"{components}": "/component/", "{packaged}": "/_stcore/bidi-components"}


@dataclass(frozen=True, slots=True)
class Reported:
    """A violation of the record: the page, the directive, what was blocked, how often, and whether it was blocked."""

    page: str
    directive: str
    blocked: str
    enforced: bool
    count: int = 1


def reported(events: Iterable[Mapping[str, Any]]) -> tuple[Reported, ...]:
    """The violations among events of the record, those that came most often first."""
    counted: dict[Reported, int] = {}
    for event in events:
        facts = event.get("unmapped", {}).get("gateway", {})
        if event.get("metadata", {}).get("event_code") != "csp.violation" or not isinstance(facts, dict):
            continue
        page, directive, blocked = (str(facts.get(name, "")) for name in ("page", "directive", "blocked"))
        violation = Reported(page, directive, blocked, bool(facts.get("enforced", True)))
        counted[violation] = counted.get(violation, 0) + int(event.get("count", 1))
    found = [Reported(each.page, each.directive, each.blocked, each.enforced, count) for each, count in counted.items()]
    return tuple(sorted(found, key=lambda each: (-each.count, each.page, each.directive, each.blocked)))


def asks_of(violation: Reported) -> Ask | None:
    """What a policy would have to add so that nothing is blocked; None when no entry of it can.

    Of several relaxations the one that comes first in their table, the last resort never but for script in the page.
    """
    directive = violation.directive.removesuffix("-elem")
    for name, relaxation in RELAXATIONS.items():
        if name not in _LAST and _covers(relaxation, directive, violation.blocked):
            return Ask("add", name)
    if directive.startswith("script-src"):
        return Ask("add", "inline") if violation.blocked in ("inline", "blob", "data") else None
    kind = _KINDS.get(directive)
    if kind is None or not violation.blocked.startswith(("https://", "http://")):
        return None
    return Ask(f"external.{kind}", "https://" + violation.blocked.partition("://")[2])


def _covers(relaxation: Relaxation, directive: str, blocked: str) -> bool:
    return any(
        _matches(source, blocked)
        for entry in relaxation.entries
        if entry.directive == directive
        for source in entry.sources
    )


def _matches(source: str, blocked: str) -> bool:
    if source in _PLACES:
        return blocked.startswith(_PLACES[source])
    if source == "'unsafe-eval'":
        return blocked == "eval"
    if source.startswith("https://*."):
        return blocked.startswith("https://") and blocked.endswith(source.removeprefix("https://*"))
    return blocked == source.removesuffix(":")
