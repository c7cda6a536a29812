"""Events about what happens inside an open socket, as a reviewer means it: a page was opened, widgets were used.

Every constructor is pure: the stamp is passed in. No value that a visitor has entered and nothing that a script has
shown is ever in them; names of widgets are those that the tool's owner has chosen.
"""

from collections.abc import Mapping
from typing import Final

from msgspec import UNSET, Struct, UnsetType

from gateway.audit.details import Details, details
from gateway.audit.event import Event, fits, truncated
from gateway.audit.exchanges import Facts, network
from gateway.audit.masking import mask_facts, of_event, words
from gateway.audit.masks import CLEAR, Masks
from gateway.audit.outcomes import ALLOWED, Outcome
from gateway.audit.redact import NORMAL, TIGHT, Caps, redact
from gateway.audit.stamp import Stamp
from gateway.model import ExchangeOpened

_TRAFFIC: Final = 6
_PAGE: Final = "/unmapped/gateway/page"
# Somebody tries something: medium; what was tried did not happen.
_ATTEMPTS: Final = {"session.foreign": Outcome(2, 2, 3, 2)}


class Happening(Struct, frozen=True, gc=False):
    """Something that happened in the socket of an exchange.

    `code` is the event's; `page` the page that it happened on; `facts` are scalars and short lists of them.
    """

    opened: ExchangeOpened
    code: str
    page: str | None
    facts: Mapping[str, object]


class _Happened(Facts, frozen=True):
    """`unmapped.gateway` of an activity."""

    page: str | UnsetType
    details: Details
    erased: tuple[str, ...] | UnsetType
    masked: tuple[str, ...] | UnsetType


def happened(happening: Happening, stamp: Stamp, masks: Masks = CLEAR) -> Event:
    """`page.open`, `socket.activity` or `session.foreign`: see docs/audit-record.md."""
    event = _event(happening, stamp, NORMAL, masks)
    return event if fits(event) else truncated(_event(happening, stamp, TIGHT, masks))


def _event(happening: Happening, stamp: Stamp, caps: Caps, masks: Masks) -> Event:
    redacted = redact(happening.opened, caps, masks)
    known = words(happening.opened, masks)
    page = known.maybe(happening.page, _PAGE)
    kept, erased = details(mask_facts(happening.facts, masks, known), caps)
    unmapped = _Happened(
        "activity",
        redacted.exchange.decision.reason,
        page[: caps.path] if page else UNSET,
        kept,
        erased or UNSET,
        (*of_event(redacted.masked, _PAGE), *known.found) or UNSET,
    )
    outcome = _ATTEMPTS.get(happening.code, ALLOWED)
    return network(redacted, stamp, outcome, unmapped, code=happening.code, activity=_TRAFFIC)
