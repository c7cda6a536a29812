"""What a tool's source says about its pages, read without running it.

Pages come from the `pages/` folder, or from `st.navigation`. What is written out in the source is known exactly, as
Streamlit works it out: the page with `default=True`, else the first one, is at `/`. What the source computes is not
known before the running app declares it.
"""

import ast
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from streamlit.source_util import page_icon_and_name
from streamlit.url_util import is_url

from gateway.streamlit.names import Names
from gateway.streamlit.sources import Source, read_tool

# Decorators that leave a function its name.
_TRANSPARENT: Final = frozenset({"streamlit.fragment", "streamlit.cache_data", "streamlit.cache_resource"})


@dataclass(frozen=True, slots=True)
class Entry:
    """One page of a navigation: its name (which Streamlit hashes), and whether it is the one at `/` (None: it may be).

    `external` is a link to another site: in the menu, but not a page of the tool.
    """

    name: str
    default: bool | None = False
    external: bool = False


@dataclass(frozen=True, slots=True)
class Declared:
    """The pages that the source declares. `complete`: there are no others, whoever asks."""

    entries: tuple[Entry, ...]
    complete: bool


def read_declared(script: Path) -> Declared:
    """The pages of a script, from its own source and that of its neighbours.

    Raises:
        SyntaxError: the script is not valid Python.
    """
    files = [_Declarations(source) for source in read_tool(script)]
    calls = [(file, call) for file in files for call in file.navigations]
    if not calls:
        return Declared((Entry(script_name(script), default=True), *folder_entries(script)), complete=True)
    found = [file.navigation(call) for file, call in calls]
    if all(entries is not None for entries in found):
        return Declared(tuple(entry for entries in found for entry in entries or ()), complete=True)
    # Some are computed: any page that is written down anywhere may be among them, and may be the first.
    maybe = (entry for file in files for call in file.pages if (entry := file.page(call)) is not None)
    entries = tuple(Entry(each.name, each.default or None) for each in maybe if not each.external)
    return Declared(entries, complete=False)


def folder_entries(script: Path) -> tuple[Entry, ...]:
    """The pages in the `pages/` folder beside the script, as Streamlit picks them."""
    return tuple(Entry(file_name(path)) for path in folder_files(script))


def folder_files(script: Path) -> tuple[Path, ...]:
    """Their files."""
    folder = script.parent / "pages"
    files = sorted(folder.glob("*.py")) if folder.is_dir() else []
    return tuple(path for path in files if path.name[0] != "." and path.name != "__init__.py")


def script_name(script: Path) -> str:
    """The name of the default page of a tool whose pages come from the folder."""
    return file_name(script)


def file_name(path: Path) -> str:
    """The name that Streamlit gives to a page of that file."""
    return page_icon_and_name(path)[1]


class _Declarations:
    """What one file says: its calls of `navigation` and `Page`, its functions, the names it gives to pages."""

    def __init__(self, source: Source) -> None:
        nodes = list(ast.walk(source.tree))
        self._meanings = Names(source.tree)
        calls = [node for node in nodes if isinstance(node, ast.Call)]
        self.navigations = [call for call in calls if self._calls(call, "navigation")]
        self.pages = [call for call in calls if self._calls(call, "Page")]
        bound = {name for name, _ in _bindings(nodes)}
        # What a decorator makes of a function may have another name, and so may what is bound to its name later.
        functions = (node for node in nodes if isinstance(node, ast.FunctionDef))
        self.functions = {node.name for node in functions if self._keeps_name(node)} - bound
        self.names = _assigned(nodes)

    def _calls(self, call: ast.Call, name: str) -> bool:
        """Whether that is a call of Streamlit's; what is called something unknown of that name may be."""
        meanings = self._meanings.of(call.func)
        last = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", None)
        return f"streamlit.{name}" in meanings or (not meanings and last == name)

    def _keeps_name(self, function: ast.FunctionDef) -> bool:
        decorators = (node.func if isinstance(node, ast.Call) else node for node in function.decorator_list)
        return all(self._meanings.of(node) & _TRANSPARENT for node in decorators)

    def navigation(self, call: ast.Call) -> list[Entry] | None:
        """The entries of one `st.navigation(...)` with its default; None when it takes running the script to know."""
        written = call.args[0] if call.args else _keywords(call).get("pages")
        entries = self._entries(written)
        if entries is None or not (own := [entry for entry in entries if not entry.external]):
            return None
        if any(entry.default for entry in own):
            return own
        return [Entry(own[0].name, default=True), *own[1:]]

    def _entries(self, node: ast.expr | None) -> list[Entry] | None:
        match node:
            case ast.List(elts=parts) | ast.Tuple(elts=parts) | ast.Dict(values=parts):
                found = [self._entries(part) for part in parts]
                return None if None in found else [entry for entries in found for entry in entries or ()]
            case ast.Call() if self._calls(node, "Page"):
                entry = self.page(node)
                return None if entry is None or entry.default is None else [entry]
            case ast.Name(id=name) if name in self.names:
                return self._entries(self.names[name])
            case ast.Name() | ast.Constant():
                entry = self._of_source(node)
                return None if entry is None else [entry]
            case _:
                return None

    def page(self, call: ast.Call) -> Entry | None:
        """One `st.Page(...)`; None when its name is computed. A computed `default` is None in the entry."""
        keywords = _keywords(call)
        if "" in keywords:  # **options
            return None
        source = call.args[0] if call.args else keywords.get("page")
        default = _flag(keywords.get("default"))
        if (explicit := keywords.get("url_path")) is not None and not _is_none(explicit):
            text = _text(explicit)
            external = is_url(_text(source) or "")
            return None if text is None else Entry(text.strip().strip("/"), default, external)
        entry = self._of_source(source)
        return None if entry is None else Entry(entry.name, default, entry.external)

    def _of_source(self, node: ast.expr | None) -> Entry | None:
        """The page of a file or of a function of this module; an imported function may have another name."""
        if (text := _text(node)) is not None:
            return Entry("", external=True) if is_url(text) else Entry(file_name(Path(text)))
        return Entry(node.id) if isinstance(node, ast.Name) and node.id in self.functions else None


def _assigned(nodes: Sequence[ast.AST]) -> Mapping[str, ast.expr]:
    """The pages and the literal lists of pages that have a name: bound once, and a list used once, so not changed."""
    given = Counter(name for name, _ in _bindings(nodes))
    used = Counter(node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load))
    return {
        name: value
        for name, value in _bindings(nodes)
        if value is not None and given[name] == 1 and (isinstance(value, ast.Call) or used[name] == 1)
    }


def _bindings(nodes: Sequence[ast.AST]) -> Iterator[tuple[str, ast.expr | None]]:
    """Every name that is bound, with what a plain assignment gives to it."""
    for node in nodes:
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ):
                yield name, value
            case ast.Assign(targets=targets):
                yield from ((name, None) for target in targets for name in _stored(target))
            case (
                ast.For(target=target)
                | ast.comprehension(target=target)
                | ast.withitem(optional_vars=ast.expr() as target)
            ):
                yield from ((name, None) for name in _stored(target))
            case ast.AugAssign(target=ast.Name(id=name)) | ast.NamedExpr(target=ast.Name(id=name)) | ast.arg(arg=name):
                yield name, None
            case _:
                pass


def _stored(target: ast.expr) -> Iterator[str]:
    """The names in a target; one whose item or attribute is set counts, too."""
    return (node.id for node in ast.walk(target) if isinstance(node, ast.Name))


def _keywords(call: ast.Call) -> Mapping[str, ast.expr]:
    return {keyword.arg or "": keyword.value for keyword in call.keywords}


def _text(node: ast.expr | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _flag(node: ast.expr | None) -> bool | None:
    if node is None:
        return False
    return bool(node.value) if isinstance(node, ast.Constant) else None
