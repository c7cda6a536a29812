"""The layers of the package: who may import whom. Read from the source, so nothing has to be installed or run."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "gateway"

# layer -> what it must not import, besides what PURE says
FORBIDDEN = {
    "model": ("gateway", "os", "time", "random", "logging", "asyncio"),
    "errors": ("gateway", "os", "time", "random", "logging", "asyncio"),
    "policy": ("starlette", "gateway.middleware", "gateway.web", "gateway.audit", "gateway.cli", "gateway.settings"),
    "identity": ("starlette", "gateway.middleware", "gateway.web", "gateway.audit", "gateway.cli", "gateway.settings"),
    "middleware": ("gateway.settings", "gateway.cli", "gateway.console", "gateway.streamlit"),
    "cli": ("gateway.console",),
    "console": ("gateway.cli",),
}
# No IO, no clock, no randomness: what decides can be decided again.
PURE = {"policy", "identity"}
IMPURE = (
    "os",
    "io",
    "time",
    "random",
    "secrets",
    "socket",
    "subprocess",
    "pathlib.Path",
    "logging",
    "structlog",
    "asyncio",
    "threading",
)
KNOWS_STREAMLIT = {"streamlit", "console"}


def layer_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(source: str) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def violations(layer: str, source: str) -> list[str]:
    forbidden = list(FORBIDDEN.get(layer, ()))
    if layer in PURE:
        forbidden += IMPURE
    if layer not in KNOWS_STREAMLIT:
        forbidden.append("streamlit")
    names = imports(source)
    return sorted(name for name in names for bad in forbidden if name == bad or name.startswith(f"{bad}."))


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_what_its_layer_may(path):
    """Imports follow the data: scope, identity, context, policy, decision, middleware, Streamlit."""
    assert violations(layer_of(path), path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    ("layer", "source", "expected"),
    [
        ("model", "from gateway.errors import Problem", ["gateway.errors", "gateway.errors.Problem"]),
        ("policy", "import time", ["time"]),
        ("policy", "from starlette.types import Scope", ["starlette.types", "starlette.types.Scope"]),
        ("identity", "def f():\n    from datetime import datetime\n    import os.path", ["os.path"]),
        ("middleware", "import streamlit as st", ["streamlit"]),
        ("web", "from streamlit import config", ["streamlit", "streamlit.config"]),
        ("streamlit", "from streamlit import config", []),
        ("middleware", "from gateway import streamlit", ["gateway.streamlit"]),
    ],
)
def test_the_check_sees_a_bad_import(layer, source, expected):
    """The check itself is checked: each kind of forbidden import is found."""
    assert violations(layer, source) == expected
