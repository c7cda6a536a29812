"""Findings: what a browser reports that it did not load, or would not have loaded.

Every constructor is pure: the stamp is passed in.
"""

import hashlib
from dataclasses import dataclass, replace
from typing import Final, Literal

from msgspec import UNSET, UnsetType

from gateway.audit import ocsf
from gateway.audit.event import Event, actor, event_of, metadata, short
from gateway.audit.masking import Words, person
from gateway.audit.masks import CLEAR, Masks
from gateway.audit.stamp import Stamp
from gateway.model import PolicyRef, Principal

_FINDING, _CREATE, _UPDATE = 2004, 1, 2
_NEW: Final = 1  # OCSF `status_id` of a finding: nobody has looked at it yet
_INFORMATIONAL, _LOW = 1, 2


@dataclass(frozen=True, slots=True)
class Violation:
    """One violation of a Content-Security-Policy, with everything taken away that may be secret.

    `page` is the path of the page; `blocked` an origin outside, a place of ours, or one of CSP's own words such as
    `inline` and `eval`; `source` the script that asked for it, `line` where in it. `disposition` is `enforce` when it
    was blocked, `report` when a candidate policy would have blocked it.
    """

    page: str
    directive: str
    blocked: str
    disposition: Literal["enforce", "report"] = "enforce"
    source: str | None = None
    line: int | None = None


class _Facts(ocsf.Object, frozen=True):
    """`unmapped.gateway` of a finding."""

    phase: str
    policy_digest: str
    page: str
    directive: str
    blocked: str
    enforced: bool
    source: str | UnsetType
    line: int | UnsetType
    masked: tuple[str, ...] | UnsetType


def csp_violation(
    violation: Violation,
    principal: Principal,
    session: str | None,
    policy: PolicyRef,
    stamp: Stamp,
    *,
    count: int = 1,
    since: int | None = None,
    masks: Masks = CLEAR,
) -> Event:
    """A violation that a browser has reported (`csp.violation`): the first time, or `count` more since `since`."""
    activity = _CREATE if since is None else _UPDATE
    by = person(principal, masks, session)
    violation = _masked(violation, by.words)
    enforced = violation.disposition == "enforce"
    said = f"{violation.directive} {'blocked' if enforced else 'would block'} {violation.blocked}"
    return event_of(
        ocsf.DetectionFinding(
            metadata=metadata(stamp, "csp.violation", ("host",)),
            category_uid=2,
            class_uid=_FINDING,
            activity_id=activity,
            type_uid=_FINDING * 100 + activity,
            time=stamp.time,
            severity_id=_LOW if enforced else _INFORMATIONAL,
            status_id=_NEW,
            message=short(said),
            count=count,
            finding_info=ocsf.FindingInfo(
                uid=_uid(violation),
                title="Content-Security-Policy violation",
                types=("csp-violation",),
                first_seen_time=stamp.time if since is None else since,
                last_seen_time=stamp.time,
            ),
            actor=actor(Principal(short(by.principal.id), principal.method), by.session),
            unmapped=ocsf.Unmapped(
                _Facts(
                    "finding",
                    policy.digest,
                    violation.page,
                    violation.directive,
                    violation.blocked,
                    enforced,
                    violation.source or UNSET,
                    violation.line if violation.line is not None else UNSET,
                    (*by.masked, *by.words.found) or UNSET,
                )
            ),
        )
    )


def _masked(violation: Violation, words: Words) -> Violation:
    """What a browser says about a page may name the visitor."""
    at = "/unmapped/gateway/"
    return replace(
        violation,
        page=words.text(violation.page, f"{at}page"),
        blocked=words.text(violation.blocked, f"{at}blocked", "/message"),
        source=words.maybe(violation.source, f"{at}source"),
    )


def _uid(violation: Violation) -> str:
    """The same for the same violation, whoever reports it, so that a search finds all of them."""
    parts = (violation.page, violation.directive, violation.blocked, violation.disposition, violation.source or "")
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
