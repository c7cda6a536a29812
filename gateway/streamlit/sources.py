"""The source of a tool, parsed and never run: its script, and what the script imports from its own directory."""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import gateway

MODULES = 1000  # read at most; a tool with more is read in part
SIZE = 2 * 1024 * 1024  # bytes; a larger file is data

_OURS = Path(gateway.__file__).absolute().parent  # no part of a tool, though it may lie beside one


@dataclass(frozen=True, slots=True)
class Source:
    """One file and its syntax tree."""

    path: Path
    tree: ast.Module


def read_script(script: Path) -> Source:
    """The script itself. Raises SyntaxError when it is not valid Python, OSError when it cannot be read."""
    return Source(script, ast.parse(script.read_bytes(), str(script)))


def read_tool(script: Path, others: Iterable[Path] = ()) -> tuple[Source, ...]:
    """The script, then `others`, then every module of the script's directory that one of them imports, however deep.

    `others` and modules that are not valid Python, or not readable, are left out: they fail when they run.

    Raises:
        SyntaxError: the script is not valid Python.
    """
    root = script.parent
    found = {script: read_script(script)}
    waiting = [*others, *_neighbours(found[script], root)]
    while waiting and len(found) < MODULES:
        path = waiting.pop(0)
        if path in found or path.absolute().is_relative_to(_OURS) or (source := _read(path)) is None:
            continue
        found[path] = source
        waiting.extend(_neighbours(source, root))
    return tuple(found.values())


def _read(path: Path) -> Source | None:
    try:
        return read_script(path) if path.stat().st_size <= SIZE else None
    except (OSError, SyntaxError, ValueError):  # ValueError: a null byte
        return None


def _neighbours(source: Source, root: Path) -> Iterator[Path]:
    """The files of the tool that a source imports; a module of a package brings the package's `__init__`."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _files(root, alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            base = source.path.parents[node.level - 1] if 0 < node.level <= len(source.path.parents) else root
            parts = node.module.split(".") if node.module else []
            yield from _files(base, parts)
            for alias in node.names:
                yield from _files(base, [*parts, alias.name])


def _files(base: Path, parts: list[str]) -> Iterator[Path]:
    for count in range(1, len(parts) + 1):
        place = base.joinpath(*parts[:count])
        yield from (path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file())
