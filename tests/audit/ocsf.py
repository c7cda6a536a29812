"""Checks an event against the schema of OCSF 1.8.0, restated in `tests/data/ocsf`. Knows nothing of the gateway."""

import json
import re
from functools import cache
from pathlib import Path

SCHEMA = Path(__file__).parents[1] / "data" / "ocsf" / "ocsf-1.8.0.json"
OPAQUE = {"object", "json_t"}


@cache
def schema():
    return json.loads(SCHEMA.read_text())


def problems(event):
    """Where the event departs from its class: unknown or missing attributes, types, enumerations, constraints."""
    found = []
    by_uid = {each["class_uid"]: each for each in schema()["classes"].values()}
    kind = by_uid.get(event.get("class_uid"))
    if kind is None:
        return [f"class_uid {event.get('class_uid')} is not a class of ours"]
    if event["category_uid"] != kind["category_uid"]:
        found.append(f"category_uid {event['category_uid']}")
    if event["type_uid"] != event["class_uid"] * 100 + event["activity_id"]:
        found.append(f"type_uid {event['type_uid']}")
    profiles = set(event["metadata"].get("profiles", ()))
    _object("", event, kind, profiles, found, skip={"class_uid", "category_uid", "type_uid"})
    return found


def _object(at, value, kind, profiles, found, skip=frozenset()):
    attributes = {name: each for name, each in kind["attributes"].items() if each.get("profile") in (None, *profiles)}
    for name in value:
        if name not in attributes:
            found.append(f"{at}/{name}: no such attribute (profiles {sorted(profiles)})")
    for name, each in attributes.items():
        if name in value and name not in skip:
            _attribute(f"{at}/{name}", value[name], each, profiles, found)
        elif each["requirement"] == "required" and name not in value:
            found.append(f"{at}/{name}: required")
    for one_of in [(kind.get("constraints") or {}).get("at_least_one", [])]:
        if one_of and not any(name in value for name in one_of):
            found.append(f"{at}: at least one of {one_of}")


def _attribute(at, value, kind, profiles, found):
    if kind.get("is_array"):
        if not isinstance(value, list):
            found.append(f"{at}: not an array")
            return
        for index, item in enumerate(value):
            _value(f"{at}/{index}", item, kind, profiles, found)
    else:
        _value(at, value, kind, profiles, found)


def _value(at, value, kind, profiles, found):
    name = kind["type"]
    if name in OPAQUE:
        return
    if name in schema()["types"]:
        _scalar(at, value, name, found)
        if "enum" in kind and str(value) not in kind["enum"]:
            found.append(f"{at}: {value} is not in the enumeration")
    elif name in schema()["objects"]:
        if isinstance(value, dict):
            _object(at, value, schema()["objects"][name], profiles, found)
        else:
            found.append(f"{at}: not an object")
    else:
        found.append(f"{at}: object {name} is not restated in the test's schema")


def _scalar(at, value, name, found):
    rules = schema()["types"][name]
    base = rules.get("type", name)
    base = schema()["types"].get(base, {}).get("type", base)
    expected = {"string_t": str, "integer_t": int, "long_t": int, "boolean_t": bool, "float_t": float}[base]
    if not isinstance(value, expected) or (expected is int and isinstance(value, bool)):
        found.append(f"{at}: {value!r} is not a {name}")
        return
    if "range" in rules and not rules["range"][0] <= value <= rules["range"][1]:
        found.append(f"{at}: {value} is out of range")
    if "max_len" in rules and len(value) > rules["max_len"]:
        found.append(f"{at}: longer than {rules['max_len']}")
    if "regex" in rules and not re.search(rules["regex"], value):
        found.append(f"{at}: {value!r} does not look like a {name}")
