"""Everything that a checker may find, with its stable id: what is wrong, what may come of it, what to mind.

An id is never reused and its meaning never changes; docs/findings.md has a heading for each (a test holds the two
together). A checker makes a `Finding` from a `Kind`. The numbers:

    GW001-GW099     policies            `gateway policy check`
    GW100-GW199     the record
    GW200-GW299     the installation    `gateway doctor`
    GW300-GW399     content security    `gateway doctor csp`
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of finding. `risk` is what may come of it, `caution` what to mind before acting on it."""

    id: str
    title: str
    risk: str
    caution: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One result of a checker: where (`tool.py:12`, an option, a route), what, and what to do about it."""

    kind: Kind
    place: str
    message: str
    hint: str

    def __str__(self) -> str:
        return f"{self.kind.id} {self.place}: {self.message}"


UNKNOWN_ROUTE: Final = Kind(
    "GW201",
    "A route that the manifest does not name",
    "Nobody has looked at what it does. It is not served, so whatever Streamlit needs it for does not work.",
    "Do not add a route of your own at its path to open it: what it gives away is not known.",
)
VERSION_UNKNOWN: Final = Kind(
    "GW202",
    "A version of Streamlit that is not known",
    "What rests on the parts of Streamlit that change without notice is not guaranteed.",
    "A newer version may carry fixes that you need: compare before you go back.",
)
VERSION_UNSUPPORTED: Final = Kind(
    "GW203",
    "A version of Streamlit that is not supported",
    "The gateway does not start.",
    "Try the tool with the version that you install before you release it: Streamlit removes what it has deprecated.",
)
OPTION_MISSING: Final = Kind(
    "GW204",
    "A hardened option that cannot be set",
    "Streamlit would run without a protection that the gateway relies on, so the gateway does not start.",
    "An option may have been renamed: its successor must be known to the gateway, not only set by hand.",
)
POLICY_INVALID: Final = Kind(
    "GW205",
    "Policies that cannot be used",
    "The gateway does not start; a running one keeps the last good revision.",
    "Never edit a released file: make a new revision.",
)
STATE_UNUSABLE: Final = Kind(
    "GW206",
    "A state directory that cannot be used",
    "The gateway does not start: without it there is no record.",
    "It holds keys: give it to the gateway's user alone, and run this command as that user.",
)
DOCUMENT_UNKNOWN: Final = Kind(
    "GW207",
    "A document that is laid out in another way",
    "Scripts cannot be given the nonce that the content-security policy asks for, and pages would stay blank: the"
    " gateway does not start.",
    "Somebody may have changed the installed files: compare them with a fresh installation.",
)
INTERNAL_MISSING: Final = Kind(
    "GW208",
    "A part of Streamlit that is not where it was",
    "A guarantee of the gateway rests on it.",
    "It is private to Streamlit and may have moved to a place that looks alike and behaves differently.",
)
SCRIPT_INVALID: Final = Kind(
    "GW209",
    "A script that cannot be used",
    "The gateway does not start.",
    "Only the syntax is looked at: nothing of the script is run.",
)
MESSAGE_UNKNOWN: Final = Kind(
    "GW210",
    "A kind of message that is not known",
    "It is refused, whatever the policy says; what the browser sends it for does not work.",
    "What it makes the server do is not known.",
)
RELAXATION_MISSING: Final = Kind(
    "GW301",
    "A call that needs a relaxation",
    "The visitor meets an element that stays empty, often with a message that misleads.",
    "Every relaxation holds for all pages of the tool: prefer a call that needs none.",
)
RELAXATION_POSSIBLE: Final = Kind(
    "GW302",
    "A call that may need a relaxation",
    "With some data, or some addresses, the element stays empty.",
    "Try the page with the largest data before you add anything.",
)
NEVER_WORKS: Final = Kind(
    "GW303",
    "A call that no good policy permits",
    "What it embeds does not run.",
    "The relaxation `inline` would switch the protection against cross-site scripting off for the whole tool.",
)
VIOLATION: Final = Kind(
    "GW304",
    "A violation that browsers have reported",
    "A visitor has met something that did not load.",
    "Browser extensions and attacks cause reports as well: add nothing that you cannot find in the tool.",
)

KINDS: Final[tuple[Kind, ...]] = (
    UNKNOWN_ROUTE,
    VERSION_UNKNOWN,
    VERSION_UNSUPPORTED,
    OPTION_MISSING,
    POLICY_INVALID,
    STATE_UNUSABLE,
    DOCUMENT_UNKNOWN,
    INTERNAL_MISSING,
    SCRIPT_INVALID,
    MESSAGE_UNKNOWN,
    RELAXATION_MISSING,
    RELAXATION_POSSIBLE,
    NEVER_WORKS,
    VIOLATION,
)
REGISTRY: Final[Mapping[str, Kind]] = MappingProxyType({kind.id: kind for kind in KINDS})
