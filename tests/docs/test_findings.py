"""docs/findings.md has every finding, in the words of the registry."""

import re

import pytest

from gateway.findings import KINDS, REGISTRY
from tests.docs.documents import ROOT

MANUAL = (ROOT / "docs" / "findings.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^## (GW\d{3})\n(.*?)(?=^## |\Z)", MANUAL, re.MULTILINE | re.DOTALL))


def test_every_finding_has_a_heading():
    """Each id has a section, in order, and no section is about another."""
    assert list(SECTIONS) == sorted(REGISTRY)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.id)
def test_a_section_says_what_the_command_says(kind):
    """Title, risk and caution are those that the command prints."""
    section = " ".join(SECTIONS[kind.id].split())
    assert f"**{kind.title}.**" in section
    assert f"*Risk:* {kind.risk}" in section
    assert f"*Caution:* {kind.caution}" in section


def test_ids_are_unique_and_have_their_form():
    """An id stands for one kind."""
    assert len(REGISTRY) == len(KINDS)
    assert all(re.fullmatch(r"GW[0-3]\d\d", kind.id) for kind in KINDS)
