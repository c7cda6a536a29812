"""How long an allow can be relied on: until time alone could change the answer.

Policies change by release; between releases only the clock changes an answer: a window of hours opens or closes,
a day begins, an entry or a rule reaches its last day. The lease ends at the earliest such instant, so an open
socket that is judged again then is never wrong for longer than it takes to judge it.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta

from gateway.model import Conditions, Policy, RequestContext
from gateway.policy.conditions import local_time, utc_day


def lease_until(policy: Policy, context: RequestContext) -> datetime | None:
    """The earliest instant after the request when time alone could change its decision; None if it cannot."""
    return min(_changes(policy, context), default=None)


def _changes(policy: Policy, context: RequestContext) -> Iterator[datetime]:
    for rule in policy.rules:
        for conditions in (rule.when, rule.unless):
            if conditions is not None:
                yield from _changes_of(conditions, policy, context)


def _changes_of(conditions: Conditions, policy: Policy, context: RequestContext) -> Iterator[datetime]:
    today = utc_day(context)
    if conditions.expires is not None and conditions.expires >= today:
        yield _end_of(conditions.expires)
    if conditions.networks is not None and context.client.address is not None:
        for name in conditions.networks:
            last = policy.membership.expiry(context.client.address, name, today)
            if last is not None:
                yield _end_of(last)
    if conditions.days is not None:
        yield _next(time(0), context, conditions)
    if conditions.hours is not None:
        yield _next(conditions.hours.start, context, conditions)
        yield _next(conditions.hours.end, context, conditions)


def _end_of(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), time(0), UTC)


def _next(clock: time, context: RequestContext, conditions: Conditions) -> datetime:
    """When the rule's clock shows that time next. Around a change of summer time it may be early, never late."""
    now = local_time(context, conditions)
    candidates = (datetime.combine(now.date() + timedelta(days=days), clock, now.tzinfo) for days in (0, 1, 2))
    instants = (candidate.astimezone(UTC) for candidate in candidates)
    return next(instant for instant in instants if instant > context.received_at)
