"""The manual of the language says something about every word of it, and nothing about words that it does not have."""

import re
from pathlib import Path

from streamlit.proto.BackMsg_pb2 import BackMsg

from gateway.model import DEFAULT_MESSAGES, Authenticated, Surface
from gateway.policy.language import ADDRESS_HEADERS, KEYS, MESSAGES, METHODS, NOT_ENFORCED, PROFILES, RELAXATIONS
from gateway.streamlit import profiles

MANUAL = (Path(__file__).parents[2] / "docs" / "policy-language.md").read_text("utf-8")
HEADINGS = set(re.findall(r"^### `([^`]+)`$", MANUAL, re.MULTILINE))

# `unless` takes the conditions that are described for rules.
WRITTEN = {f"{table}.{key}" if table else key for table, keys in KEYS.items() if "unless" not in table for key in keys}


def test_every_key_has_an_entry():
    """Each key that a policy may have is described, each under its own heading."""
    assert set() == WRITTEN - HEADINGS


def test_no_entry_without_a_key():
    """The manual describes no key that a policy cannot have."""
    assert set() == HEADINGS - WRITTEN


def test_every_name_is_listed():
    """Each name of each closed list stands in the manual."""
    names = [*ADDRESS_HEADERS, *MESSAGES, *METHODS, *PROFILES, *RELAXATIONS]
    names += [item.value for item in (*Surface, *Authenticated)]
    assert [name for name in names if f"`{name}`" not in MANUAL and f'"{name}"' not in MANUAL] == []


def test_what_is_not_enforced_says_so():
    """Where a key is read and not acted on, its entry says so; no other entry does."""
    entries = dict(re.findall(r"^### `([^`]+)`\n(.*?)(?=^##|\Z)", MANUAL, re.MULTILINE | re.DOTALL))
    assert {key for key, entry in entries.items() if "Not acted on by this release" in entry} == set(NOT_ENFORCED)


def test_every_name_means_something():
    """Each profile, relaxation and message kind that a policy may name exists where it is used, and no other does."""
    assert set(PROFILES) == set(profiles.PROFILES)
    assert set(RELAXATIONS) == set(profiles.RELAXATIONS)
    kinds = {kind.name for kind in BackMsg.DESCRIPTOR.oneofs_by_name["type"].fields}
    operations = BackMsg.DESCRIPTOR.fields_by_name["backend_operation_request"].message_type
    payloads = {kind.name for kind in operations.oneofs_by_name["payload"].fields}
    assert set(MESSAGES) == kinds - {"backend_operation_request"} | payloads
    assert set(DEFAULT_MESSAGES) <= set(MESSAGES)
