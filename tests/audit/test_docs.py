"""The record's manual names everything that the record holds."""

import json
import re
from pathlib import Path
from typing import get_args

import pytest

from gateway.audit.inbox import Cause
from tests.audit.samples import line
from tests.audit.test_events import KINDS

MANUAL = (Path(__file__).parents[2] / "docs" / "audit-record.md").read_text()
NAMED = set(re.findall(r"`([^`\n]+)`", MANUAL))
# Documented as a whole: the inputs are `RequestContext`, details are the event's own, a trace is a list of checks.
WHOLE = {"unmapped.gateway.inputs", "unmapped.gateway.details", "unmapped.gateway.trace"}


def fields(value, at=""):
    for name, item in value.items():
        path = f"{at}{name}"
        if isinstance(item, dict) and path not in WHOLE:
            yield from fields(item, f"{path}.")
        else:
            yield path


@pytest.mark.parametrize("event", KINDS.values(), ids=KINDS.keys())
def test_every_field_and_code_is_in_the_manual(event):
    """No line of the record holds a field or a code that the manual does not explain."""
    record = json.loads(line(event))
    assert sorted(set(fields(record)) - NAMED) == []
    assert record["metadata"]["event_code"] in NAMED


def test_every_cause_is_in_the_manual():
    """Each word that says why the record cannot be written is explained."""
    assert set(get_args(Cause)) - NAMED == set()


def test_every_code_of_the_log_itself_is_in_the_manual():
    """The codes that the gateway's own modules write are those of the manual."""
    sources = (Path(__file__).parents[2] / "gateway").rglob("*.py")
    written = {code for path in sources for code in re.findall(r'lifecycle\(\s*"([a-z_.]+)"', path.read_text())}
    assert written
    assert written - NAMED == set()
