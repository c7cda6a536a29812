"""Checks a document against the Elastic Common Schema 9.4.0, as restated in `tests/data/ecs`.

Fields below `labels` and below `gateway`, the namespace that the export has for its own, are not of the schema.
"""

import ipaddress
import json
import re
from functools import cache
from pathlib import Path

SCHEMA = Path(__file__).parents[1] / "data" / "ecs" / "ecs-9.4.0.json"
DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
TEXT = {"keyword", "match_only_text", "wildcard", "constant_keyword"}


@cache
def schema():
    return json.loads(SCHEMA.read_text())


def flat(document, at=""):
    """Every field with its dotted name."""
    for name, value in document.items():
        if isinstance(value, dict):
            yield from flat(value, f"{at}{name}.")
        else:
            yield f"{at}{name}", value


def problems(document):
    """Where the document departs: unknown fields, types, values that are not allowed, types not of the category."""
    found = []
    for name, value in flat(document):
        if name.startswith("labels."):
            found += [] if isinstance(value, str) else [f"{name}: labels are keywords"]
        elif not name.startswith("gateway."):
            found += _field(name, value)
    event = document["event"]
    expected = {each for category in event["category"] for each in schema()["expected_types"][category]}
    found += [
        f"event.type: {each} is not expected in {event['category']}" for each in event["type"] if each not in expected
    ]
    return found


def _field(name, value):
    kind = schema()["fields"].get(name)
    if kind is None:
        return [f"{name}: no such field"]
    if isinstance(value, list) != (name in schema()["arrays"]):
        return [f"{name}: an array where there is none, or the other way round"]
    values = value if isinstance(value, list) else [value]
    allowed = schema()["allowed"].get(name)
    return [f"{name}: {each!r} is no {kind}" for each in values if not _is(kind, each)] + [
        f"{name}: {each!r} is not allowed" for each in values if allowed and each not in allowed
    ]


def _is(kind, value):
    if kind in TEXT:
        return isinstance(value, str)
    if kind == "long":
        return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63
    if kind == "date":
        return isinstance(value, str) and DATE.fullmatch(value) is not None
    if kind == "ip":
        return bool(ipaddress.ip_address(value))
    raise AssertionError(f"the checker does not know {kind}")
