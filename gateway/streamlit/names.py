"""What the names in a source stand for, worked out without running it.

`px.scatter` after `import plotly.express as px` is `plotly.express.scatter`; what a call gives is its name with `()`.
Containers of Streamlit (`st.sidebar`, the columns of `st.columns`) have its methods, and are called `streamlit` here.
A name may stand for several things: all of them count. What depends on the flow of the program is not looked at.
"""

import ast
from collections import Counter
from collections.abc import Iterator
from typing import Final

# Calls that give something with all methods of Streamlit, or a list of such.
_CONTAINERS: Final = frozenset(
    {
        *("streamlit.columns", "streamlit.tabs", "streamlit.container", "streamlit.expander", "streamlit.empty"),
        *("streamlit.form", "streamlit.popover", "streamlit.chat_message", "streamlit.status"),
    }
)
_SAME: Final = {"streamlit.sidebar": "streamlit", "plotly.graph_objs": "plotly.graph_objects"}
_PASSES: Final = 3  # names that are made of names that are made of names
_MEANINGS: Final = 16  # of one name; more says nothing any more
_LENGTH: Final = 200

Meanings = frozenset[str]
_NOTHING: Final[Meanings] = frozenset()


class Names:
    """The names of one file."""

    def __init__(self, tree: ast.Module) -> None:
        self._nodes = list(ast.walk(tree))
        self._meanings: dict[str, Meanings] = {}
        self._stars: list[str] = []
        self._texts = self._once()
        self._imports()
        for _ in range(_PASSES):
            for target, value in self._bindings():
                self._bind(target, value)

    def of(self, node: ast.expr | None) -> Meanings:
        """The full names that an expression may stand for; nothing when it stands for no name that is known."""
        match node:
            case ast.Name(id=name):
                return self._meanings.get(name) or frozenset(f"{module}.{name}" for module in self._stars)
            case ast.Attribute(value=value, attr=attr):
                return frozenset(_same(f"{each}.{attr}") for each in self.of(value) if len(each) < _LENGTH)
            case ast.Call(func=func):
                return frozenset(_result(each) for each in self.of(func) if len(each) < _LENGTH)
            case ast.Subscript(value=value) | ast.Await(value=value) | ast.NamedExpr(value=value):
                return self.of(value)
            case ast.IfExp(body=body, orelse=orelse):
                return self.of(body) | self.of(orelse)
            case _:
                return _NOTHING

    def text(self, node: ast.expr | None, depth: int = 4) -> str | None:
        """The text of an expression as far as it is written down: `f"https://host/{name}"` is `https://host/`.

        None when nothing of its beginning is. A name counts if it is given a text once in the file.
        """
        match node:
            case ast.Constant(value=str() as value):
                return value
            case ast.JoinedStr(values=[ast.FormattedValue(value=first), *rest]):
                start = self.text(first, depth)
                return start and start + _leading(rest)
            case ast.JoinedStr(values=parts):
                return _leading(parts) or None
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                start = self.text(left, depth)
                return start and start + (self.text(right, depth) or "")
            case ast.BinOp(left=left, op=ast.Mod()):
                return self.text(left, depth)
            case ast.Call(func=ast.Attribute(value=value, attr="format" | "strip" | "replace")):
                return self.text(value, depth)
            case ast.Name(id=name) if depth > 0 and name in self._texts:
                return self.text(self._texts[name], depth - 1)
            case _:
                return None

    # --- what is bound to what ---

    def _once(self) -> dict[str, ast.expr]:
        found = [
            (target.id, node.value)
            for node in self._nodes
            if isinstance(node, ast.Assign | ast.AnnAssign)
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            if isinstance(target, ast.Name) and node.value is not None
        ]
        counted = Counter(name for name, _ in found)
        return {name: value for name, value in found if counted[name] == 1}

    def _imports(self) -> None:
        for node in self._nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    self._add(alias.asname or alias.name.partition(".")[0], _imported(alias))
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                self._stars += [node.module for alias in node.names if alias.name == "*"]
                for alias in node.names:
                    self._add(alias.asname or alias.name, frozenset({_same(f"{node.module}.{alias.name}")}))

    def _bindings(self) -> Iterator[tuple[ast.expr, ast.expr]]:
        for node in self._nodes:
            match node:
                case ast.Assign(targets=targets, value=value):
                    yield from ((target, value) for target in targets)
                case (
                    ast.AnnAssign(target=target, value=ast.expr() as value) | ast.NamedExpr(target=target, value=value)
                ):
                    yield target, value
                case ast.withitem(context_expr=value, optional_vars=ast.expr() as target):
                    yield target, value
                case ast.For(target=target, iter=value) | ast.comprehension(target=target, iter=value):
                    yield target, value
                case _:
                    pass

    def _bind(self, target: ast.expr, value: ast.expr) -> None:
        match target, value:
            case ast.Name(id=name), _:
                self._add(name, self.of(value))
            case ((ast.Tuple(elts=names) | ast.List(elts=names)), ast.Call(func=ast.Name(id="zip"), args=values)):
                for each, part in zip(names, values, strict=False):
                    self._bind(each, part)
            case ast.Tuple(elts=[_, each]), ast.Call(func=ast.Name(id="enumerate"), args=[first, *_]):
                self._bind(each, first)
            case ((ast.Tuple(elts=names) | ast.List(elts=names)), (ast.Tuple(elts=values) | ast.List(elts=values))):
                for each, part in zip(names, values, strict=False):
                    self._bind(each, part)
            case ((ast.Tuple(elts=names) | ast.List(elts=names)), _):
                for each in names:
                    self._bind(each.value if isinstance(each, ast.Starred) else each, value)
            case _:
                pass

    def _add(self, name: str, meanings: Meanings) -> None:
        known = self._meanings.get(name, _NOTHING)
        if meanings and len(known) < _MEANINGS:
            self._meanings[name] = known | meanings


def _imported(alias: ast.alias) -> Meanings:
    """`import a.b` binds `a`; `import a.b as c` binds what `a.b` is."""
    return frozenset({_same(alias.name) if alias.asname else alias.name.partition(".")[0]})


def _same(name: str) -> str:
    for other, known in _SAME.items():
        if name == other or name.startswith(f"{other}."):
            return known + name[len(other) :]
    return name


def _result(function: str) -> str:
    return "streamlit" if function in _CONTAINERS else f"{function}()"


def _leading(parts: list[ast.expr]) -> str:
    """The constant beginning of the parts of an f-string."""
    text = ""
    for part in parts:
        if not isinstance(part, ast.Constant) or not isinstance(part.value, str):
            break
        text += part.value
    return text
