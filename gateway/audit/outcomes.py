"""Which OCSF numbers say what became of an exchange: one table, so that the same outcome always has the same numbers.

Numbers of OCSF 1.8.0, profile `security_control`. Action: 1 Allowed, 2 Denied, 4 Modified. Disposition: 1 Allowed,
2 Blocked, 7 Custom Action, 23 Challenge, 24 Access Revoked, 25 Rejected, 27 Error. Severity: 1 Informational, 2 Low,
3 Medium, 4 High. Status: 1 Success, 2 Failure.
"""

from dataclasses import dataclass, replace
from typing import Final, assert_never

from gateway.model import Allow, Challenge, Decision, Deny, ExchangeClosed, Reason, Redirect


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of it, in OCSF's numbers."""

    action: int
    disposition: int
    severity: int
    status: int


ALLOWED: Final = Outcome(1, 1, 1, 1)
CHALLENGED: Final = Outcome(2, 23, 1, 2)
# The request was neither let in nor refused: it was sent to https. OCSF has no number for that.
REDIRECTED: Final = Outcome(4, 7, 1, 1)
BROKEN: Final = Outcome(1, 27, 3, 2)

_REJECTED: Final = frozenset(
    {  # never looked at as a request: malformed, too large, too many
        Reason.REQUEST_MALFORMED,
        Reason.REQUEST_TIMEOUT,
        Reason.TARGET_MALFORMED,
        Reason.TARGET_TOO_LONG,
        Reason.HEADERS_MALFORMED,
        Reason.HEADERS_TOO_LARGE,
        Reason.BODY_TOO_LARGE,
        Reason.METHOD_NOT_ALLOWED,
        Reason.NOT_FOUND,
        Reason.UPLOADS_TOO_MANY,
        Reason.UPLOADS_TOO_LARGE,
        Reason.MESSAGE_MALFORMED,
        Reason.MESSAGE_TOO_LARGE,
        Reason.RATE_LIMITED,
        Reason.TOO_MANY_SOCKETS,
        Reason.READER_TOO_SLOW,
        Reason.TOO_MANY_CONNECTIONS,
        Reason.HOST_MISSING,
        Reason.HOST_MALFORMED,
    }
)
_MEDIUM: Final = frozenset(
    {  # somebody tries something: no browser and no correct proxy sends these by itself
        Reason.IDENTITY_HEADER_SMUGGLED,
        Reason.ORIGIN_NOT_ALLOWED,
        Reason.ORIGIN_MISSING,
        Reason.MESSAGE_NOT_ALLOWED,
        Reason.MESSAGE_MALFORMED,
        Reason.CLIENT_ADDRESS_MALFORMED,
        Reason.CLIENT_ADDRESS_AMBIGUOUS,
        Reason.CLIENT_ADDRESS_CHAIN_TOO_SHORT,
        Reason.MEDIA_NOT_YOURS,
        Reason.UPLOAD_NOT_YOURS,
        Reason.UPLOAD_NOT_EXPECTED,
        Reason.UPLOAD_MALFORMED,
        Reason.UPLOAD_TYPE_MISMATCH,
    }
)
# We are broken, not the request.
_HIGH: Final = frozenset({Reason.ENGINE_ERROR, Reason.AUDIT_UNAVAILABLE})


def _refused(reason: Reason) -> Outcome:
    if reason in _HIGH:
        return Outcome(2, 27, 4, 2)
    return Outcome(2, 25 if reason in _REJECTED else 2, 3 if reason in _MEDIUM else 2, 2)


# Every reason once, so that the request path only looks up.
_REFUSALS: Final = {reason: _refused(reason) for reason in Reason}


def outcome_at_the_door(decision: Decision) -> Outcome:
    """What the decision says, before it takes effect."""
    match decision:
        case Allow():
            return ALLOWED
        case Deny():
            return _REFUSALS[decision.reason]
        case Challenge():
            return CHALLENGED
        case Redirect():
            return REDIRECTED
        case _:
            assert_never(decision)


def outcome_at_the_end(end: ExchangeClosed) -> Outcome:
    """What became of the exchange: the decision, unless something later refused it, ended it, or broke."""
    decision = end.opened.decision
    if end.reason is decision.reason:
        outcome = outcome_at_the_door(decision)
        return replace(outcome, status=2) if isinstance(decision, Allow) and not _succeeded(end) else outcome
    if end.reason is Reason.APPLICATION_ERROR:
        return BROKEN
    if end.reason is Reason.APPLICATION_REFUSED:
        return replace(ALLOWED, status=2)
    refused = _REFUSALS[end.reason]
    # An open socket that we end is not blocked at the door: what had been granted is taken back.
    return replace(refused, disposition=24) if end.status == 101 and refused.disposition != 27 else refused


def _succeeded(end: ExchangeClosed) -> bool:
    if end.status == 101:
        return True  # a socket that opened; how it closed is in its close code
    return end.status is not None and end.status < 400 and end.complete
