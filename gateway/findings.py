"""Everything that a checker may find, with its stable id: what is wrong, what may come of it, what to mind.

An id is never reused and its meaning never changes; docs/findings.md has a heading for each (a test holds the two
together). A checker makes a `Finding` from a `Kind`. The numbers:

    GW001-GW099     policies            `gateway policy check`
    GW100-GW199     the record          `gateway audit verify`
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


UNKNOWN_LINE: Final = Kind(
    "GW101",
    "A line that the gateway does not write",
    "Somebody has put it there. What the log says besides is verified as if the line were not there.",
    "Keep the file as it is: the line itself may say who has written it.",
)
CHANGED: Final = Kind(
    "GW102",
    "Events that are not those that were signed for",
    "The record was altered, or the disk has failed: what these events say cannot be relied on.",
    "The events named are those of one commit, one to some thousand: not each of them need be altered. Compare "
    "them with a copy that was shipped elsewhere.",
)
OUT_OF_SEQUENCE: Final = Kind(
    "GW103",
    "Events out of sequence",
    "An event was deleted, inserted, repeated or moved.",
    "What follows in this segment is not judged: there may be more.",
)
NOT_SIGNED: Final = Kind(
    "GW104",
    "A commit that its segment's key has not signed",
    "Somebody without the key has altered the events before it, or the commit itself.",
    "A key of a later segment counts for nothing here, whoever has it: so it must be.",
)
BAD_HEADER: Final = Kind(
    "GW105",
    "A segment without a header that fits",
    "It cannot be told what the segment holds and which key may sign in it: nothing in it is verified.",
    "A file that was renamed by hand looks the same.",
)
NOT_CONTINUED: Final = Kind(
    "GW106",
    "A segment that does not continue the one before",
    "Two histories were put together: events of one of them are missing.",
    "Which of the two is the true one, the segments do not say: an anchor does.",
)
MISSING: Final = Kind(
    "GW107",
    "A part of the log that is missing",
    "Events were removed. Nothing ties what comes after them to what comes before.",
    "What was pruned by retention is not missing: its seal is there, and an event tells of it.",
)
KEY_NOT_VOUCHED: Final = Kind(
    "GW108",
    "A key that the key before has not signed for",
    "The segment, and all after it, may have been written by somebody else.",
    "A log that was set aside because it was damaged, and the one that began after it, are two logs.",
)
OTHER_FIRST_KEY: Final = Kind(
    "GW109",
    "A log that begins with another key than the one that was given",
    "All of the log may have been written anew, from its first event on.",
    "Compare where the key that you have given comes from: `gateway audit key` on the same machine is no proof.",
)
BAD_SEAL: Final = Kind(
    "GW110",
    "A seal that does not fit what it seals",
    "The sealed file or its seal was altered or mixed up. Questions about a time may pass over the segment.",
    "The seal is not signed. When there is no other finding, the events are those that were signed for.",
)
TWICE: Final = Kind(
    "GW111",
    "A segment that is there twice, with different lines",
    "One reader may be shown the one, and another reader the other.",
    "Both may be there while a segment is sealed, and after a crash in that: then their lines are the same.",
)
NOT_ANNOUNCED: Final = Kind(
    "GW112",
    "A segment that was pruned without a word",
    "Events were removed, and the seal was made to say that retention did it.",
    "Retention writes `audit.pruned` into the log before it removes anything.",
)
CUT: Final = Kind(
    "GW113",
    "A log whose end is missing",
    "The newest events were removed.",
    "A disk that loses what it has acknowledged looks the same.",
)
BAD_CHECKPOINT: Final = Kind(
    "GW114",
    "A checkpoint beside the log that is not the log's own",
    "The log, or the checkpoint, was replaced.",
    "The checkpoint is written anew at most once a second: an older one that is right is no finding.",
)
CONTRADICTED: Final = Kind(
    "GW115",
    "An anchor that contradicts the log",
    "The log was rolled back, or written anew with a key that was stolen.",
    "An anchor proves as much as the place where it was kept: whoever could change it there could make this finding.",
)
NOT_COMMITTED: Final = Kind(
    "GW116",
    "Events behind the last commit of a finished segment",
    "They were never acknowledged, and nobody has signed for them: they may be anybody's.",
    "In the segment that is being written they are no finding: a commit for them is under way, or a crash has "
    "prevented it.",
)
UNREADABLE: Final = Kind(
    "GW117",
    "A segment that cannot be read",
    "What it holds is not verified.",
    "Look at the disk and at the permissions first; a sealed file that was altered does not decompress either.",
)
BAD_TREE_FILE: Final = Kind(
    "GW118",
    "Stored hashes that are not those of the events",
    "Proofs that are made from them prove nothing.",
    "The events themselves are verified without them. The file can be made again.",
)
NO_SUCH_LOG: Final = Kind(
    "GW119",
    "A log that is not there",
    "A whole log was removed, or moved.",
    "Give the directories that you mean when you verify a part of what you have keys for.",
)
NOT_ANCHORED: Final = Kind(
    "GW120",
    "A record without an anchor",
    "That all of it was put back to an older state, or lost with the machine, cannot be detected.",
    "An anchor that the same administrator can change proves little: choose another machine, or another account.",
)
ANCHOR_FAILS: Final = Kind(
    "GW121",
    "An anchor that does not work",
    "What is changed in the record from now on cannot be detected there.",
    "It may have been stopped on purpose: look at when it began, and at what happened then.",
)
ANCHOR_CONFLICT: Final = Kind(
    "GW122",
    "An anchor that contradicts the record",
    "The record was put back to an older state, or changed.",
    "A restored backup and a log that was set aside look the same: keep both sides before you change anything.",
)
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
    UNKNOWN_LINE,
    CHANGED,
    OUT_OF_SEQUENCE,
    NOT_SIGNED,
    BAD_HEADER,
    NOT_CONTINUED,
    MISSING,
    KEY_NOT_VOUCHED,
    OTHER_FIRST_KEY,
    BAD_SEAL,
    TWICE,
    NOT_ANNOUNCED,
    CUT,
    BAD_CHECKPOINT,
    CONTRADICTED,
    NOT_COMMITTED,
    UNREADABLE,
    BAD_TREE_FILE,
    NO_SUCH_LOG,
    NOT_ANCHORED,
    ANCHOR_FAILS,
    ANCHOR_CONFLICT,
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
