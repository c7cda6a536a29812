"""Whoever follows a link, or a name of a file, in a document arrives."""

import re

import pytest

from tests.docs.documents import ROOT, blocks, broken_links, name_of, tracked

MARKDOWN = tracked(".md")
# The pages that a newcomer looks for, by the names they look for.
EXPECTED = ("README.md", "CHANGELOG.md", "SECURITY.md", "docs/commands.md", "docs/operator.md", "docs/tool-owner.md")
_DOCUMENT = re.compile(r"\bdocs/[a-z-]+\.md\b")


@pytest.mark.parametrize("name", EXPECTED)
def test_the_documents_exist(name):
    """The documents that everybody looks for are there."""
    assert (ROOT / name).is_file()


@pytest.mark.parametrize("path", MARKDOWN, ids=name_of)
def test_every_link_leads_somewhere(path):
    """A link between documents points to a file that exists, and to a heading in it."""
    assert broken_links(path, path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    ("name", "markdown", "expected"),
    [
        ("a file", "[a](../README.txt)", ["../README.txt"]),
        ("a heading", "[a](#nowhere)\n# Somewhere", ["#nowhere"]),
        ("a heading elsewhere", "[a](policy-language.md#nowhere)", ["policy-language.md#nowhere"]),
        ("out of the repository", "[a](../../x.md)", ["../../x.md"]),
        ("fine", "[a](#some-where-1) [b](policy-language.md#limits)\n# Some where\n# Some, where", []),
        ("in code", "`[a](x.md)`\n```\n[a](y.md)\n```\n", []),
        ("another site", "[a](https://www.rfc-editor.org/rfc/rfc9110)", []),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 30 else "",
)
def test_the_check_sees_a_broken_link(name, markdown, expected):
    """The check itself is checked: each kind of broken link is found, and nothing else."""
    assert broken_links(ROOT / "docs" / "imagined.md", markdown) == expected


def test_every_document_that_is_named_exists():
    """Comments, hints and messages that send a reader to a page of docs/ name one that exists."""
    sources = tracked(".py", ".md", ".toml", ".yaml", ".sh", "Dockerfile", "Makefile")
    named = {(found, name_of(path)) for path in sources for found in _DOCUMENT.findall(path.read_text("utf-8"))}
    assert named
    assert sorted((found, where) for found, where in named if not (ROOT / found).is_file()) == []


def test_every_document_can_be_reached():
    """Each page of docs/ is linked from README or from another page that is."""
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        path = waiting.pop()
        if path in reached:
            continue
        reached.add(path)
        targets = re.findall(r"\]\(([^)#\s]+\.md)", path.read_text("utf-8"))
        waiting += [found for target in targets if (found := (path.parent / target).resolve()).is_file()]
    assert [name_of(path) for path in tracked(".md") if path.parent == ROOT / "docs" and path not in reached] == []


def test_every_make_command_in_a_document_is_a_target():
    """README's `make serve` and `make test`, and every other that a document names, are in the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    commands = re.compile(r"(?:^|`| {4}|\$ )make ([a-z-]+)", re.MULTILINE)
    named = {path: set(commands.findall(path.read_text("utf-8"))) for path in MARKDOWN}
    assert {"serve", "test"} <= named[ROOT / "README.md"]
    assert {name_of(path): sorted(found - targets) for path, found in named.items() if found - targets} == {}


@pytest.mark.parametrize("path", MARKDOWN, ids=name_of)
def test_python_in_documents_compiles(path):
    """An example that is marked as Python is Python."""
    for block in blocks(path.read_text("utf-8"), "python"):
        if "..." not in block:
            compile(block, name_of(path), "exec")
