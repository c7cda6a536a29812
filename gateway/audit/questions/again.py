"""A recorded decision, made again: from the inputs that stand in the event, with the engine that serves traffic.

It is exact when the event holds all that the engine looked at and the policy is the one of the event, byte for byte.
What was shortened, erased or masked is named.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from gateway.audit.masks import Exact, MaskKey, unmask
from gateway.model import Decision, Policy, Reason, RequestContext
from gateway.policy.decide import decide
from gateway.policy.examples import outcome_of

_INPUTS: Final = "/unmapped/gateway/inputs"
_WORDS: Final = {1: "allow", 2: "deny", 4: "redirect"}
_CHALLENGED: Final = 23
# What the engine itself may say. Everything else was decided beside it: by a limit, by a check of the wire.
_OF_THE_ENGINE: Final = frozenset(
    {
        *(Reason.ALLOWED_BY_RULE, Reason.DENIED_BY_RULE, Reason.NO_RULE_MATCHED, Reason.SIGN_IN_REQUIRED),
        *(Reason.STEP_UP_REQUIRED, Reason.HOST_MISSING, Reason.HOST_MALFORMED, Reason.HOST_NOT_ALLOWED),
        *(Reason.HTTPS_REQUIRED, Reason.CLIENT_ADDRESS_UNKNOWN, Reason.CLIENT_ADDRESS_MALFORMED),
        *(Reason.CLIENT_ADDRESS_ALL_TRUSTED, Reason.CLIENT_ADDRESS_AMBIGUOUS, Reason.CLIENT_ADDRESS_CHAIN_TOO_SHORT),
        *(Reason.ORIGIN_MISSING, Reason.ORIGIN_NOT_ALLOWED, Reason.MESSAGE_NOT_ALLOWED, Reason.NOT_FOUND),
        Reason.ENGINE_ERROR,
    }
)


@dataclass(frozen=True, slots=True)
class Recorded:
    """A decision as the event states it. `outcome` is allow, deny, challenge or redirect."""

    outcome: str
    reason: str
    rule: str | None
    revision: str
    digest: str
    trace: tuple[dict[str, Any], ...]
    inputs: dict[str, Any]
    erased: tuple[str, ...]
    truncated: tuple[str, ...]
    masked: tuple[str, ...]

    @property
    def by_the_engine(self) -> bool:
        """Whether the policy decided, and not a limit of the gateway."""
        return self.reason in _OF_THE_ENGINE


@dataclass(frozen=True, slots=True)
class Again:
    """The same request, judged by a policy. `inexact` says why it may differ from what was decided then."""

    policy: Policy
    decision: Decision
    inexact: tuple[str, ...] = ()

    @property
    def because(self) -> str | None:
        """The words of the rule that decided."""
        return next((rule.because for rule in self.policy.rules if rule.id == self.decision.rule), None)


@dataclass(frozen=True, slots=True)
class Impossible:
    """The event does not hold what is needed."""

    because: tuple[str, ...]


def recorded(event: dict[str, Any]) -> Recorded | None:
    """The decision in an event; None when it holds none, or not what it was made from."""
    gateway = _dict(_dict(event, "unmapped"), "gateway")
    inputs = gateway.get("inputs")
    if gateway.get("phase") != "decision" or not isinstance(inputs, dict):
        return None
    rule = _dict(event, "firewall_rule").get("uid")
    challenged = event.get("disposition_id") == _CHALLENGED
    return Recorded(
        "challenge" if challenged else _WORDS.get(event.get("action_id", 0), "unknown"),
        str(gateway.get("reason")),
        None if rule is None else str(rule),
        str(_dict(event, "policy").get("version")),
        str(gateway.get("policy_digest")),
        tuple(check for check in gateway.get("trace", ()) if isinstance(check, dict)),
        inputs,
        _pointers(gateway, "erased"),
        _pointers(gateway, "truncated"),
        _pointers(gateway, "masked"),
    )


def judge(found: Recorded, policy: Policy, keys: Collection[MaskKey] = ()) -> Again | Impossible:
    """What this policy says to the inputs of a recorded decision. `keys`: those of the masks that are left."""
    try:
        context = msgspec.convert(found.inputs, RequestContext)
    except msgspec.ValidationError as error:
        return Impossible((f"the inputs are not those of this version: {error}",))
    lost = tuple(_lost(found))
    known = unmask(context, found.masked, policy, keys)
    if isinstance(known, Exact):
        return Again(policy, decide(policy, known.context), lost)
    # What is masked and asked for would be judged as if it were the pseudonym: that is no decision.
    return Impossible((*known.because, *lost))


def differences(found: Recorded, again: Again) -> tuple[str, ...]:
    """In what the decisions differ: outcome, reason, rule."""
    made = (outcome_of(again.decision), again.decision.reason.value, again.decision.rule)
    then = (found.outcome, found.reason, found.rule)
    names = ("outcome", "reason", "rule")
    return tuple(
        f"{name} {before or 'none'} then, {after or 'none'} made again"
        for name, before, after in zip(names, then, made, strict=True)
        if before != after
    )


def _lost(found: Recorded) -> list[str]:
    said = []
    for verb, pointers in (("shortened", found.truncated), ("erased in part", found.erased)):
        said += [f"{pointer.rpartition('/')[2]} was {verb}" for pointer in pointers if pointer.startswith(_INPUTS)]
    return said


def _pointers(gateway: dict[str, Any], name: str) -> tuple[str, ...]:
    found = gateway.get(name)
    return tuple(str(each) for each in found) if isinstance(found, list) else ()


def _dict(value: dict[str, Any], key: str) -> dict[str, Any]:
    found = value.get(key)
    return found if isinstance(found, dict) else {}
