"""The judgement: one pure function from a policy and a request to a decision.

Live traffic, policy tests, replay, explanations and the console all call `decide`. It reads nothing but its two
arguments, never raises, and says no unless something says yes:

    the gates          host ─▶ transport ─▶ client ─▶ origin ─▶ message        any may refuse
    the rules          a deny that applies wins; else an allow that applies; else no
    the surface        what we do not serve is not found, but only for those who may look

Which rule is named never depends on the order of the file: of several that apply, the one whose id sorts first.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache

from gateway.identity.host import host_allowed
from gateway.identity.origin import origin_allowed
from gateway.model import (
    Allow,
    Authenticated,
    Challenge,
    Check,
    Decision,
    Deny,
    Effect,
    Method,
    Policy,
    Provenance,
    Reason,
    Redirect,
    RequestContext,
    Rule,
    Surface,
)
from gateway.policy.conditions import IDENTITY_CONDITIONS, holds, misses
from gateway.policy.lease import lease_until

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})  # RFC 9110 §9.2.1, without TRACE, which never gets here

Gate = Callable[[Policy, RequestContext], tuple[Reason | None, str]]


def decide(policy: Policy, context: RequestContext) -> Decision:
    """The decision on one request under one policy, with the checks that led to it."""
    trace: list[Check] = []
    try:
        return _judge(policy, context, trace)
    except Exception as error:  # a fault in the engine must never open the gate
        trace.append(Check("engine", held=False, detail=_place(error)))
        return Deny(Reason.ENGINE_ERROR, policy.ref, trace=tuple(trace))


def _judge(policy: Policy, context: RequestContext, trace: list[Check]) -> Decision:
    for name, gate in GATES:
        refusal, detail = gate(policy, context)
        trace.append(_check(name, refusal is None, detail))
        if refusal is not None:
            return _refused_at_gate(policy, context, refusal, tuple(trace))

    denied, allowed = _deciding(policy, context)
    if denied is not None:
        trace.append(_check("rules", False, f"denied by {denied.id}"))
        return Deny(Reason.DENIED_BY_RULE, policy.ref, denied.id, tuple(trace))
    if allowed is None:
        trace.append(_check("rules", False, "no rule applies"))
        return _challenge(policy, context, tuple(trace)) or Deny(Reason.NO_RULE_MATCHED, policy.ref, trace=tuple(trace))

    trace.append(_check("rules", True, f"allowed by {allowed.id}"))
    served = context.surface is not Surface.PROBE
    trace.append(_check("surface", served, context.surface.value))
    if not served:
        return Deny(Reason.NOT_FOUND, policy.ref, allowed.id, tuple(trace))
    lease = lease_until(policy, context) if context.kind == "websocket" else None
    return Allow(Reason.ALLOWED_BY_RULE, policy.ref, allowed.id, tuple(trace), lease)


def _place(error: BaseException) -> str:
    """Kind and place of a fault, without the values that were involved."""
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    place = f" in {at.tb_frame.f_code.co_name}, line {at.tb_lineno}" if at else ""
    return type(error).__name__ + place


@lru_cache(maxsize=4096)
def _check(name: str, held: bool, detail: str) -> Check:
    """A check; the same few are made for nearly every request."""
    return Check(name, held, detail)


# --- the gates ------------------------------------------------------------------------------------------------


def _host(policy: Policy, context: RequestContext) -> tuple[Reason | None, str]:
    if context.host is None:
        return context.host_problem or Reason.HOST_MISSING, ""
    known = host_allowed(policy.hosts.allowed, context.host)
    return (None if known else Reason.HOST_NOT_ALLOWED), context.host


def _transport(policy: Policy, context: RequestContext) -> tuple[Reason | None, str]:
    missing = policy.transport.https == "required" and context.scheme != "https"
    return (Reason.HTTPS_REQUIRED if missing else None), context.scheme


def _client(_: Policy, context: RequestContext) -> tuple[Reason | None, str]:
    client = context.client
    if client.address is None or client.provenance is Provenance.UNKNOWN:
        return client.problem or Reason.CLIENT_ADDRESS_UNKNOWN, client.provenance.value
    return None, f"{client.address} ({client.provenance.value})"


def _origin(policy: Policy, context: RequestContext) -> tuple[Reason | None, str]:
    """A WebSocket must name its origin (RFC 6455 §10.2); a plain request that changes something must not be foreign."""
    asked = context.kind == "websocket" or (context.origin is not None and context.method not in SAFE_METHODS)
    if not asked or context.host is None:
        return None, "not asked"
    refusal = origin_allowed(
        context.origin, scheme=context.scheme, host=context.host, port=context.port, extra=policy.hosts.origins
    )
    return refusal, context.origin or ""


def _message(policy: Policy, context: RequestContext) -> tuple[Reason | None, str]:
    """A message inside a socket must be of a kind that the policy lets in."""
    if context.surface is not Surface.MESSAGE:
        return None, "not asked"
    known = context.message in policy.streamlit.messages
    return (None if known else Reason.MESSAGE_NOT_ALLOWED), context.message or "unknown"


GATES: tuple[tuple[str, Gate], ...] = (
    ("host", _host),
    ("transport", _transport),
    ("client", _client),
    ("origin", _origin),
    ("message", _message),
)


def _refused_at_gate(policy: Policy, context: RequestContext, reason: Reason, trace: tuple[Check, ...]) -> Decision:
    # Only a safe request over HTTP is sent on: a browser would repeat a form without its body, a socket cannot follow.
    if reason is Reason.HTTPS_REQUIRED and context.kind == "http" and context.method in ("GET", "HEAD"):
        return Redirect(reason, policy.ref, trace=trace)
    return Deny(reason, policy.ref, trace=trace)


# --- the rules ------------------------------------------------------------------------------------------------


def _deciding(policy: Policy, context: RequestContext) -> tuple[Rule | None, Rule | None]:
    """The deny and the allow that apply; of several, the one whose id sorts first."""
    denied: Rule | None = None
    allowed: Rule | None = None
    for rule in policy.rules:
        best = denied if rule.effect is Effect.DENY else allowed
        if (best is None or rule.id < best.id) and _applies(rule, policy, context):
            if rule.effect is Effect.DENY:
                denied = rule
            else:
                allowed = rule
    return denied, allowed


def _applies(rule: Rule, policy: Policy, context: RequestContext) -> bool:
    if not holds(rule.when, policy, context):
        return False
    return rule.unless is None or not holds(rule.unless, policy, context)


def _challenge(policy: Policy, context: RequestContext, trace: tuple[Check, ...]) -> Challenge | None:
    """A challenge if somebody who proves more of who they are could be allowed the same request."""
    rule = min(_within_reach(policy, context), key=lambda rule: rule.id, default=None)
    if rule is None:
        return None
    anonymous = context.principal.method is Method.NONE
    return Challenge(Reason.SIGN_IN_REQUIRED if anonymous else Reason.STEP_UP_REQUIRED, policy.ref, rule.id, trace)


def _within_reach(policy: Policy, context: RequestContext) -> Iterator[Rule]:
    """Allow rules that only identity keeps from applying: any of it for the anonymous, the second factor for others."""
    for rule in policy.rules:
        if rule.effect is not Effect.ALLOW:
            continue
        missing = set(misses(rule.when, policy, context))
        if not missing or (rule.unless is not None and holds(rule.unless, policy, context)):
            continue
        if context.principal.method is Method.NONE:
            within = missing <= IDENTITY_CONDITIONS
        else:
            within = missing == {"authenticated"} and rule.when.authenticated is Authenticated.MFA
        if within:
            yield rule
