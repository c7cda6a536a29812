"""Rules and their conditions."""

from collections.abc import Sequence
from datetime import date, time

from gateway.model import Authenticated, Conditions, Effect, Hours, Rule, Surface
from gateway.policy.dates import clock, days, last_day, zone
from gateway.policy.hosts import host_pattern
from gateway.policy.language import CONDITION_KEYS, KEYS, METHODS
from gateway.policy.reader import Table
from gateway.policy.values import (
    InvalidValueError,
    member,
    name,
    one_of,
    pattern,
    shown,
    text,
)

# Conditions that say who, where from or what; a last day alone would let in everybody until then.
_NARROWING = frozenset(CONDITION_KEYS) - {"expires"}


def read_rules(root: Table, networks: Sequence[str], today: date) -> tuple[Rule, ...]:
    """The rules in the order of the file, which decides nothing."""
    rules = tuple(_read_rule(table, networks, today) for table in root.tables("rules", KEYS["rules[]"]))
    seen: set[str] = set()
    for index, rule in enumerate(rules):
        if rule.id and rule.id in seen:
            root.problem(
                f"rules[{index}].id", f"{shown(rule.id)} is the id of another rule", "ids name rules in the record"
            )
        seen.add(rule.id)
    return rules


def _read_rule(table: Table, networks: Sequence[str], today: date) -> Rule:
    effect = table.need("effect", member(Effect, "effect"), Effect.DENY)
    if effect is Effect.ALLOW and not any(table.has(key) for key in _NARROWING):
        hint = f"add one of {', '.join(key for key in CONDITION_KEYS if key in _NARROWING)}"
        table.problem("", "allows everybody everything, since it has no condition", hint)
    return Rule(
        id=table.need("id", name, ""),
        effect=effect,
        because=table.need("because", text, ""),
        when=_read_conditions(table, networks, today),
        unless=_read_unless(table, networks, today) if table.has("unless") else None,
    )


def _read_unless(table: Table, networks: Sequence[str], today: date) -> Conditions:
    unless = table.table("unless", KEYS["rules[].unless"])
    if not unless.names:
        table.problem("unless", "has no condition", "leave it out, or name who is excepted")
    return _read_conditions(unless, networks, today)


def _read_conditions(table: Table, networks: Sequence[str], today: date) -> Conditions:
    return Conditions(
        networks=table.items("networks", one_of(networks, "network")),
        hosts=table.items("hosts", host_pattern),
        surfaces=table.items("surfaces", member(Surface, "surface")),
        methods=table.items("methods", _method),
        paths=table.items("paths", pattern),
        pages=table.items("pages", pattern),
        users=table.items("users", text),
        groups=table.items("groups", text),
        authenticated=table.get("authenticated", member(Authenticated, "kind of sign-in"), None),
        days=_read_days(table),
        hours=_read_hours(table) if table.has("hours") else None,
        expires=table.get("expires", last_day(today), None),
    )


def _method(value: object) -> str:
    word = text(value)
    if word in ("TRACE", "CONNECT"):
        raise InvalidValueError(f"{word} is always refused", "leave it out")
    return one_of(METHODS, "method")(word)


def _read_days(table: Table) -> tuple[int, ...] | None:
    entries = table.items("days", days)
    return None if entries is None else tuple(sorted({day for entry in entries for day in entry}))


def _read_hours(table: Table) -> Hours:
    hours = table.table("hours", KEYS["rules[].hours"])
    start, end = hours.need("start", clock, time(0)), hours.need("end", clock, time(1))
    if start == end:
        hours.problem("", "starts when it ends", "leave hours out for the whole day")
    return Hours(start, end, hours.need("zone", zone, "UTC"))
