"""The documents of the repository, and what can be read out of Markdown: headings, links, examples."""

import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import ROOT

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
_LINK = re.compile(r"!?\[[^\]]*\]\(<?([^)\s>]+)>?\)")
_CODE = re.compile(r"`[^`\n]*`")


def tracked(*suffixes: str) -> list[Path]:
    """The files that are, or would be, under version control; of these suffixes, if any is given."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True)
    if done.returncode != 0:
        pytest.skip("this is not a working copy of git")
    names = [name for name in done.stdout.decode().split("\0") if name]
    paths = [ROOT / name for name in sorted(set(names)) if not suffixes or name.endswith(suffixes)]
    return [path for path in paths if path.is_file()]


def name_of(path: Path) -> str:
    """The path as people write it: from the top of the repository."""
    return path.relative_to(ROOT).as_posix()


def blocks(markdown: str, language: str) -> list[str]:
    """The fenced blocks of a language, in order."""
    return [body for found, body in _FENCE.findall(markdown) if found == language]


def anchors(markdown: str) -> set[str]:
    """The fragments by which headings are linked: lower case, without punctuation, dashes for blanks."""
    seen: Counter[str] = Counter()
    found = set()
    for heading in _HEADING.findall(_FENCE.sub("", markdown)):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found


def links(markdown: str) -> Iterator[str]:
    """The targets of all links outside code."""
    yield from _LINK.findall(_CODE.sub("", _FENCE.sub("", markdown)))


def broken_links(path: Path, markdown: str) -> list[str]:
    """The links of a document that lead to no file or no heading. Links to other sites are not followed."""
    broken = []
    for target in links(markdown):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, fragment = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        here = markdown if file == path else _text(file)
        if here is None or (fragment and fragment not in anchors(here)):
            broken.append(target)
    return broken


def _text(file: Path) -> str | None:
    """The text of a file or folder of the repository; None when there is none."""
    if not file.exists() or not file.is_relative_to(ROOT):
        return None
    return "" if file.is_dir() or file.suffix == ".png" else file.read_text("utf-8")
