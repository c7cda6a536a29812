"""What each condition of a rule asks of a request.

The table below is the whole meaning of `Conditions`: live traffic, tests, replay and explanations all read it.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from gateway.identity.host import host_allowed
from gateway.model import Authenticated, Conditions, Hours, Method, Policy, RequestContext, Surface
from gateway.policy.patterns import matches_any

Test = Callable[[Any, Policy, RequestContext, Conditions], bool]


def holds(conditions: Conditions, policy: Policy, context: RequestContext) -> bool:
    """Whether every condition that is set holds for the request."""
    for name, test in CONDITIONS:  # as `misses`, without the generator: this runs for every rule of every request
        wanted = getattr(conditions, name)
        if wanted is not None and not test(wanted, policy, context, conditions):
            return False
    return True


def misses(conditions: Conditions, policy: Policy, context: RequestContext) -> Iterator[str]:
    """The names of the conditions that do not hold, in the order of the table, lazily."""
    for name, test in CONDITIONS:
        wanted = getattr(conditions, name)
        if wanted is not None and not test(wanted, policy, context, conditions):
            yield name


def local_time(context: RequestContext, conditions: Conditions) -> datetime:
    """The instant of the request on the clock that the rule means: the zone of `hours`, else UTC."""
    zone = conditions.hours.zone if conditions.hours else "UTC"
    return context.received_at.astimezone(zone_of(zone))


@lru_cache(maxsize=64)
def zone_of(name: str) -> ZoneInfo:
    """The time zone of that IANA name, read once. Raises ZoneInfoNotFoundError: the parser has checked the name."""
    return ZoneInfo(name)


def utc_day(context: RequestContext) -> date:
    """The day of the request in UTC, on which entries and rules expire."""
    return context.received_at.astimezone(UTC).date()


def _networks(wanted: tuple[str, ...], policy: Policy, context: RequestContext, _: Conditions) -> bool:
    address = context.client.address
    return address is not None and policy.membership.contains(address, wanted, utc_day(context))


def _hosts(wanted: tuple[str, ...], _p: Policy, context: RequestContext, _: Conditions) -> bool:
    return context.host is not None and host_allowed(wanted, context.host)


def _surfaces(wanted: tuple[Surface, ...], _p: Policy, context: RequestContext, _: Conditions) -> bool:
    return context.surface in wanted


def _methods(wanted: tuple[str, ...], _p: Policy, context: RequestContext, _: Conditions) -> bool:
    return context.method in wanted


def _paths(wanted: tuple[str, ...], _p: Policy, context: RequestContext, _: Conditions) -> bool:
    return matches_any(wanted, context.path)


def _pages(wanted: tuple[str, ...], _p: Policy, context: RequestContext, _: Conditions) -> bool:
    return context.page is not None and matches_any(wanted, context.page)


def _users(wanted: tuple[str, ...], _p: Policy, context: RequestContext, _: Conditions) -> bool:
    # Nobody can sign in as "anonymous" and be mistaken for it: the name counts only with a method.
    return context.principal.method is not Method.NONE and context.principal.id in wanted


def _groups(wanted: tuple[str, ...], _p: Policy, context: RequestContext, _: Conditions) -> bool:
    return context.principal.method is not Method.NONE and any(group in wanted for group in context.principal.groups)


def _authenticated(wanted: Authenticated, _p: Policy, context: RequestContext, _: Conditions) -> bool:
    principal = context.principal
    match wanted:
        case Authenticated.ANY:
            return principal.method is not Method.NONE
        case Authenticated.SESSION:
            return context.session is not None
        case Authenticated.SSO:
            return principal.method in (Method.OIDC, Method.PROXY)
        case Authenticated.MFA:
            return principal.method is not Method.NONE and principal.mfa


def _days(wanted: tuple[int, ...], _p: Policy, context: RequestContext, conditions: Conditions) -> bool:
    return local_time(context, conditions).weekday() in wanted


def _hours(wanted: Hours, _p: Policy, context: RequestContext, conditions: Conditions) -> bool:
    now = local_time(context, conditions).time()
    if wanted.start <= wanted.end:
        return wanted.start <= now < wanted.end
    return now >= wanted.start or now < wanted.end


def _expires(wanted: date, _p: Policy, context: RequestContext, _: Conditions) -> bool:
    return utc_day(context) <= wanted


# Cheap and most selective first; the order changes nothing but speed and the order of an explanation.
CONDITIONS: tuple[tuple[str, Test], ...] = (
    ("surfaces", _surfaces),
    ("methods", _methods),
    ("hosts", _hosts),
    ("paths", _paths),
    ("pages", _pages),
    ("users", _users),
    ("groups", _groups),
    ("authenticated", _authenticated),
    ("networks", _networks),
    ("days", _days),
    ("hours", _hours),
    ("expires", _expires),
)

# What a visitor can change by signing in, or by proving more of who they are.
IDENTITY_CONDITIONS = frozenset({"users", "groups", "authenticated"})
