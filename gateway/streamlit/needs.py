"""What a tool will need of the content-security profile, read from its source before any visitor meets a broken page.

Looked at: the script, the files of its pages, and the modules of its own directory that one of them imports. What is
computed is not seen: a chart that a library makes, an address that comes out of a database. The rules are in
`needs_charts.py` and `needs_elements.py`, and packages with components in `components.py`.
"""

import ast
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.model import ContentSecurity
from gateway.streamlit import needs_charts, needs_elements
from gateway.streamlit.asks import Ask, Certainty, Hint, from_outside
from gateway.streamlit.components import hints_of_import
from gateway.streamlit.names import Names
from gateway.streamlit.navigation import folder_files
from gateway.streamlit.sources import Source, read_tool

_CALLS: Final = {**needs_charts.CALLS, **needs_elements.CALLS}
_GOOGLE: Final = {"https://fonts.googleapis.com": "https://fonts.gstatic.com"}


@dataclass(frozen=True, slots=True)
class Need:
    """What one call needs: where it stands, as it is written, why, and what the policy must say (None: nothing)."""

    path: Path
    line: int
    call: str
    because: str
    certainty: Certainty
    ask: Ask | None

    def is_met(self, policy: ContentSecurity) -> bool:
        """Whether nothing is to be added to the policy."""
        return self.ask is None or self.ask.is_met(policy)


def read_needs(script: Path, pages: Iterable[Path] = ()) -> tuple[Need, ...]:
    """What a tool needs, in the order of its files and lines, the script first. `pages` are further files to read.

    Raises:
        SyntaxError: the script is not valid Python.
    """
    sources = read_tool(script, [*folder_files(script), *_named_files(script), *pages])
    shown = {script, *folder_files(script), *pages}
    found = [need for source in sources for need in _of_source(source, script.parent, magic=source.path in shown)]
    return tuple(dict.fromkeys([*found, *_of_theme(script)]))


def _named_files(script: Path) -> list[Path]:
    """The files of the tool that its sources name in a text, such as `st.Page("views/trends.py")`."""
    texts = (
        node.value
        for source in read_tool(script)
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.endswith(".py")
    )
    files = (script.parent / text for text in texts if len(text) < 500 and "\0" not in text)
    return [path for path in dict.fromkeys(files) if path.is_file()]


def _of_source(source: Source, root: Path, *, magic: bool) -> Iterator[Need]:
    names = Names(source.tree)
    for node in sorted(_located(source.tree), key=lambda each: (each.lineno, each.col_offset)):
        for call, hint in _hints(node, names, root, magic=magic):
            yield Need(source.path, node.lineno, call, hint.because, hint.certainty, hint.ask)


def _located(tree: ast.Module) -> Iterator[ast.stmt | ast.expr]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.stmt | ast.expr))


def _hints(node: ast.stmt | ast.expr, names: Names, root: Path, *, magic: bool) -> Iterator[tuple[str, Hint]]:
    match node:
        case ast.Call(func=func):
            written = ast.unparse(func)
            yield from ((written, hint) for hint in _of_call(node, names))
        case ast.Dict():
            yield from (("a literal", hint) for hint in needs_charts.of_dict(node, names))
        case ast.Import(names=imported):
            modules = [alias.name for alias in imported]
            yield from ((f"import {name}", hint) for name in modules for hint in hints_of_import(name, root))
        case ast.ImportFrom(module=str() as name, level=0):
            yield from ((f"from {name} import …", hint) for hint in hints_of_import(name, root))
        case ast.Expr(value=ast.Constant(value=str() as text)) if magic:  # Streamlit shows it as Markdown
            yield from (("a text", hint) for hint in needs_elements.of_text(text, markup=False))
        case _:
            pass


def _of_call(call: ast.Call, names: Names) -> Iterator[Hint]:
    called = names.of(call.func)
    for name in sorted(called):
        if rule := _CALLS.get(name):
            yield from rule(call, names)
    yield from needs_charts.of_any_call(call, names)
    # HTML in a frame of its own is that frame's business, and Markdown is what nearly everything else shows.
    if any(name.startswith("streamlit.") and not name.endswith((".iframe", ".v1.html", "()")) for name in called):
        for node in (*call.args, *(each.value for each in call.keywords)):
            if text := names.text(node):
                yield from needs_elements.of_text(text, markup=needs_elements.shows_markup(call, called))


# --- fonts of the theme ---------------------------------------------------------------------------------------


def _of_theme(script: Path) -> Iterator[Need]:
    """What the configuration of the tool loads: fonts by address."""
    for path in dict.fromkeys(
        [script.parent / ".streamlit" / "config.toml", Path.cwd() / ".streamlit" / "config.toml"]
    ):
        try:
            text = path.read_text("utf-8")
            theme = tomllib.loads(text).get("theme")
        except (OSError, ValueError):  # not there, or not TOML: Streamlit says so itself
            continue
        for key, value in _strings(theme):
            for hint in _font(key, value):
                line = next((number for number, each in enumerate(text.splitlines(), 1) if value in each), 1)
                yield Need(path, line, f"theme.{key}", hint.because, hint.certainty, hint.ask)


def _strings(value: object, key: str = "") -> Iterator[tuple[str, str]]:
    match value:
        case dict():
            for name, each in value.items():
                yield from _strings(each, f"{key}.{name}" if key else str(name))
        case list():
            for each in value:
                yield from _strings(each, key)
        case str():
            yield key, value
        case _:
            pass


def _font(key: str, value: str) -> Iterator[Hint]:
    """A font as `name:https://…` is a style sheet there; in `fontFaces` the address is that of the font itself."""
    last = key.rpartition(".")[2]
    if last == "url" and (hint := from_outside("external.fonts", value, "a font")):
        yield hint
    elif last.lower().endswith("font") and (hint := from_outside("external.styles", value.partition(":")[2], "a font")):
        yield hint
        styles = hint.ask.value if hint.ask else ""
        yield Hint(
            f"the style sheet of {styles} names the font's files", Ask("external.fonts", _GOOGLE.get(styles, styles))
        )
