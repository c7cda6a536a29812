"""Which pages a tool has, so that every other path is a real 404 (Streamlit answers all of them with its page).

Pages come from the `pages/` folder, or from `st.navigation`. What the script calls with literal arguments can be read
without running it. What it computes is learned when the running app declares it: until the first visitor has run the
script, any path that could be a page is taken for one.
"""

import ast
import re
from pathlib import Path

from streamlit.source_util import page_icon_and_name

# One segment without a dot: Streamlit refuses `/` in a page's path, and what has a file's ending is a prober's guess.
_COULD_BE_PAGE = re.compile(r"/[^/.]{1,128}")


class Pages:
    """The pages of the running tool, as URL paths below the application; the default page is `/`."""

    def __init__(self, known: frozenset[str], *, complete: bool) -> None:
        self.known = known | {"/"}
        self.complete = complete

    def page(self, path: str) -> str | None:
        """The page at that path (a trailing slash does not matter), or None."""
        page = path.rstrip("/") or "/"
        if page in self.known or (not self.complete and _COULD_BE_PAGE.fullmatch(page)):
            return page
        return None

    def learn(self, declared: frozenset[str]) -> None:
        """Take in what the running app has declared to a visitor; navigation that differs by person adds up."""
        self.known = self.known | declared
        self.complete = True


def discover(script: Path, extra: tuple[str, ...] = ()) -> Pages:
    """What can be known of a script's pages without running it, and `extra` ones that the policy names."""
    tree = ast.parse(script.read_bytes(), str(script))
    navigation = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _name(node.func) == "navigation"]
    if not navigation:
        folder = script.parent / "pages"
        found = [_of_file(path) for path in sorted(folder.glob("*.py"))] if folder.is_dir() else []
        return Pages(frozenset(found) | frozenset(extra), complete=True)

    functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _name(node.func) == "Page"]
    paths = [_path_of_page(call, functions) for call in calls]
    complete = all(path is not None for path in paths) and all(_is_literal(call, tree) for call in navigation)
    known = frozenset(path for path in paths if path is not None)
    return Pages(known | frozenset(extra), complete=complete and bool(paths))


def _name(function: ast.expr) -> str | None:
    """The last part of what is called: `Page` for `st.Page` and for `Page`."""
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else None


def _of_file(path: Path) -> str:
    return f"/{page_icon_and_name(path)[1]}"


def _path_of_page(call: ast.Call, functions: set[str]) -> str | None:
    """The URL path of one `st.Page(...)`, as Streamlit infers it; None when that takes running the script."""
    keywords = {keyword.arg: keyword.value for keyword in call.keywords}
    if None in keywords:  # **options
        return None
    if (default := keywords.get("default")) is not None:
        if not isinstance(default, ast.Constant):
            return None
        if default.value:
            return "/"
    if (explicit := keywords.get("url_path")) is not None:
        text = _text(explicit)
        return None if text is None else f"/{text.strip().strip('/')}"
    source = call.args[0] if call.args else keywords.get("page")
    if (file := _text(source)) is not None:
        return _of_file(Path(file))
    return f"/{source.id}" if isinstance(source, ast.Name) and source.id in functions else None


def _text(node: ast.expr | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _is_literal(navigation: ast.Call, tree: ast.Module) -> bool:
    """Whether all entries of the navigation are pages written out in this file, or names for one."""
    named = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and _name(node.value.func) == "Page"
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return bool(navigation.args) and _only_pages(navigation.args[0], named)


def _only_pages(node: ast.expr | None, named: set[str]) -> bool:
    match node:
        case ast.List(elts=entries) | ast.Tuple(elts=entries):
            return all(_only_pages(entry, named) for entry in entries)
        case ast.Dict(values=entries):
            return all(_only_pages(entry, named) for entry in entries)
        case ast.Call(func=function):
            return _name(function) == "Page"
        case ast.Name(id=name):
            return name in named
        case _:
            return False
