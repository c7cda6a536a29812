"""The manifest of Streamlit's routes, compared with the installed Streamlit in both directions."""

import json
import subprocess

import pytest

from gateway.model import Policy, StreamlitOptions, Surface
from gateway.policy.language import KEYS
from gateway.streamlit.manifest import FRONTEND, ROUTES
from gateway.streamlit.pages import Pages
from gateway.streamlit.routes import Found, compare
from gateway.streamlit.surfaces import Surfaces
from gateway.streamlit.versions import FLOOR, KNOWN, NOT_GUARANTEED, check_version
from tests.policy.test_decide import policy
from tests.support.processes import PYTHON, ROOT, clean_environment

# In a process of its own: Streamlit's options belong to the process. Starlette's own table of routes, not ours.
WALK = """
import json, sys, streamlit as st
from streamlit import config
for name in ("server.enableStaticServing", "server.scriptHealthCheckEnabled", "server.enableAgentApi"):
    config.set_option(name, True)
application = st.App(sys.argv[1])._build_starlette_app()
print(json.dumps([
    [type(route).__name__, route.path, sorted(getattr(route, "methods", None) or []), route.name]
    for route in application.routes
]))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> list[list]:
    """Every route of the installed Streamlit with all of its features switched on: kind, path, methods, name."""
    script = tmp_path_factory.mktemp("tool") / "tool.py"
    script.write_text("import streamlit as st")
    done = subprocess.run(
        [PYTHON, "-c", WALK, str(script)], capture_output=True, text=True, cwd=ROOT, env=clean_environment(), timeout=60
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def by_path(routes: list[list]) -> dict[tuple[str, str], set[str]]:
    found: dict[tuple[str, str], set[str]] = {}
    for kind, path, methods, _ in routes:
        if kind != "Mount":
            protocol = "websocket" if kind == "WebSocketRoute" else "http"
            found.setdefault((protocol, path), set()).update(methods)
    return found


def test_every_route_of_streamlit_is_in_the_manifest(installed):
    """An upgrade cannot open a door unseen: each route and each method that Streamlit answers has an entry."""
    named = {(route.protocol, route.path): {*route.methods, *route.withheld} for route in ROUTES}
    for place, methods in by_path(installed).items():
        assert place in named, f"Streamlit serves {place}, which the manifest does not name"
        assert methods <= named[place], f"Streamlit answers {methods - named[place]} at {place}"


def test_every_route_of_the_manifest_is_in_streamlit(installed):
    """Nothing is named that is not there, nor a method that Streamlit does not answer."""
    found = by_path(installed)
    for route in ROUTES:
        assert {*route.methods, *route.withheld} == found[route.protocol, route.path], route.path


def test_the_only_mount_is_the_front_end(installed):
    """A mount answers whatever is below it; there is one, at the root, for the files of the front end."""
    assert [(path, name) for kind, path, _, name in installed if kind == "Mount"] == [("", FRONTEND)]


def test_the_comparison_of_the_doctor_sees_what_is_new(installed):
    """The check itself is checked: a route and a method that the manifest lacks are told, and nothing else."""
    routes = [
        Found("websocket" if kind == "WebSocketRoute" else "http", path, tuple(methods))
        for kind, path, methods, _ in installed
        if kind != "Mount"
    ]
    assert compare(routes) == ()
    new = [Found("http", "/_stcore/new", ("GET",)), Found("http", "/_stcore/health", ("DELETE",)), Found("mount", "/x")]
    assert compare([*routes, *new]) == tuple(new)


def test_no_route_answers_options():
    """OPTIONS is withheld wherever Streamlit would answer it."""
    assert all("OPTIONS" not in route.methods for route in ROUTES)


def test_every_key_of_the_manifest_is_a_key_of_the_policy():
    """What a policy must open, it can, and does not by default."""
    keys = {route.key for route in ROUTES if route.key}
    assert keys == {"metrics", "script_health", "agent_api"}
    assert keys <= set(KEYS["streamlit"])
    assert all(getattr(StreamlitOptions(), key) == "deny" for key in keys)


# --- what is served -------------------------------------------------------------------------------------------


def surfaces() -> Surfaces:
    return Surfaces(Pages({"/ledger"}, complete=True), lambda _method, _path: None)


def rules(**streamlit: object) -> Policy:
    return policy(streamlit=StreamlitOptions(**streamlit))


TARGETS = [
    ("the socket", "/_stcore/stream", {}, Surface.STREAM),
    ("health", "/_stcore/health", {}, Surface.STATIC),
    ("an upload", "/_stcore/upload_file/session/file", {}, Surface.UPLOAD),
    ("an upload without a file", "/_stcore/upload_file/session", {}, Surface.PROBE),
    ("something below an upload", "/_stcore/upload_file/session/file/x", {}, Surface.PROBE),
    ("media", "/media/0123.png", {}, Surface.MEDIA),
    ("a component's document", "/component/name.of/index.html", {}, Surface.COMPONENT),
    ("a packaged component", "/_stcore/bidi-components/name/x.js", {}, Surface.COMPONENT),
    ("sign-in", "/auth/login", {}, Surface.API),
    ("below sign-in", "/auth/login/x", {}, Surface.PROBE),
    ("a file of the front end", "/favicon.png", {}, Surface.STATIC),
    ("the front end's document by name", "/index.html", {}, Surface.PROBE),
    ("a page", "/ledger", {}, Surface.PAGE),
    ("what the policy names as a page", "/named", {"pages": ("/named",)}, Surface.PAGE),
    ("nothing", "/phpmyadmin", {}, Surface.PROBE),
    ("nothing of Streamlit's", "/_stcore/new", {}, Surface.PROBE),
    ("a document's twin below a page", "/ledger/_stcore/health", {}, Surface.PROBE),
    ("the static folder, switched off", "/app/static/x.png", {}, Surface.PROBE),
    ("metrics", "/_stcore/metrics", {}, Surface.PROBE),
    ("metrics, opened", "/_stcore/metrics", {"metrics": "allow"}, Surface.API),
    ("the agent interface", "/_stcore/agent/mcp", {}, Surface.PROBE),
    ("the agent interface, opened", "/_stcore/agent/mcp", {"agent_api": "allow"}, Surface.MCP),
    ("the script check", "/_stcore/script-health-check", {}, Surface.PROBE),
    (
        "the script check, opened since the start, so that Streamlit has no such route",
        "/_stcore/script-health-check",
        {"script_health": "allow"},
        Surface.PROBE,
    ),
]


@pytest.mark.parametrize(("name", "path", "opened", "expected"), TARGETS, ids=[name for name, *_ in TARGETS])
def test_targets(name, path, opened, expected):
    """What is neither named nor a page nor opened by the policy is a probe."""
    assert surfaces().target("GET", path, rules(**opened)).surface is expected


def test_a_socket_is_only_where_the_manifest_says():
    """Each target knows what it speaks."""
    spoken = {
        route.path: surfaces().target("GET", route.path.replace("{", "").replace("}", ""), rules()).protocols
        for route in ROUTES
        if not route.key and not route.option
    }
    assert {path for path, protocols in spoken.items() if "websocket" in protocols} == {"/_stcore/stream"}


# --- versions -------------------------------------------------------------------------------------------------


def test_the_installed_version_is_known():
    """The version that we are tested with is one that we say we know."""
    import streamlit

    assert check_version(streamlit.__version__) == ()
    assert FLOOR <= KNOWN


@pytest.mark.parametrize("version", ["1.68.0", "1.68", "1.70.2rc1", "1.100.0"])
def test_a_newer_minor_version_starts_with_a_list(version):
    """What is not guaranteed is stated."""
    assert check_version(version) == NOT_GUARANTEED != ()


@pytest.mark.parametrize("version", ["1.66.9", "0.99", "2.0.0", "2.67.0", "1", "", "1.x"])
def test_other_versions_do_not_start(version):
    """Too old, another major version, or no version at all: the error names what is supported."""
    from gateway.errors import StartupError

    with pytest.raises(StartupError, match=r"not supported: the gateway knows 1\.67 to"):
        check_version(version)
