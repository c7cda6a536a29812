"""`gateway doctor`: on installations that are right, and on ones that are broken in one place, for real."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import streamlit

from gateway.findings import REGISTRY
from gateway.streamlit.internals import INTERNALS
from tests.docs.documents import ROOT
from tests.e2e.conftest import DEMO, GATEWAY, gateway_served, wait_for, write_policies
from tests.support.processes import clean_environment

PACKAGE = Path(streamlit.__file__).parent


def doctor(directory, *words, env=None):
    """The command in a directory: its exit code, what it says on stdout, and on stderr."""
    command = [*GATEWAY, "doctor", *map(str, words)]
    environment = clean_environment({"PYTHONPATH": str(ROOT), **(env or {})})
    done = subprocess.run(command, capture_output=True, text=True, cwd=directory, env=environment, timeout=60)
    return done.returncode, done.stdout, done.stderr


def ids(directory, *words, env=None):
    """The exit code, and the ids of the findings with their places."""
    code, out, err = doctor(directory, *words, "--json", env=env)
    assert out, err
    return code, [(finding["id"], finding["place"]) for finding in json.loads(out)["findings"]]


@pytest.fixture
def installed(tmp_path):
    """A directory with policies, and nothing wrong in it."""
    write_policies(tmp_path / "policies")
    (tmp_path / "tool.py").write_text("import streamlit as st\nst.write(1)")
    return tmp_path


def another_streamlit(directory, file, old, new):
    """An environment with a copy of the installed Streamlit in which one file has been changed."""
    root = directory / "another" / "streamlit"
    root.mkdir(parents=True)
    source, target = PACKAGE, root
    for part in Path(file).parts[:-1]:
        for entry in source.iterdir():
            if entry.name != part:
                (target / entry.name).symlink_to(entry)
        source, target = source / part, target / part
        target.mkdir()
    for entry in source.iterdir():
        if entry.name not in (Path(file).name, "__pycache__"):
            (target / entry.name).symlink_to(entry)
    text = (PACKAGE / file).read_text("utf-8")
    assert text.count(old) >= 1
    (root / file).write_text(text.replace(old, new), "utf-8")
    return {"PYTHONPATH": f"{root.parent}{os.pathsep}{ROOT}"}


# --- the installation -----------------------------------------------------------------------------------------


def test_a_good_installation_has_no_findings(installed):
    """Everything is looked at, nothing is found, nothing is written."""
    before = sorted(path for path in installed.rglob("*"))
    code, out, err = doctor(installed, "tool.py")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        f"streamlit: {streamlit.__version__}",
        "tool.py: 1 page",
        "policy: 0001 (end to end)",
        "state: .gateway, not made yet",
        "no findings",
    ]
    assert sorted(path for path in installed.rglob("*")) == before


def test_a_finding_says_what_may_come_of_it_and_what_to_do(installed):
    """The id, the place, the risk, the caution and the hint; exit code 1."""
    (installed / "tool.py").write_text("def (")
    code, out, _ = doctor(installed, "tool.py")
    kind = REGISTRY["GW209"]
    assert code == 1
    assert f"GW209 {kind.title.lower()}" in out
    assert "tool.py: line 1: invalid syntax" in out
    assert f"risk: {kind.risk}" in out
    assert f"caution: {kind.caution}" in out
    assert "hint: name a Streamlit script" in out
    assert "1 finding, see docs/findings.md" in out


BROKEN = [
    ("no script", lambda at: (at / "tool.py").unlink(), ("GW209", "tool.py")),
    ("a null byte", lambda at: (at / "tool.py").write_bytes(b"\0"), ("GW209", "tool.py")),
    ("no policies", lambda at: (at / "policies" / "policies.lock").unlink(), ("GW205", "policies/policies.lock")),
    (
        "a policy that was edited",
        lambda at: (at / "policies" / "0001-test.toml").write_text("x"),
        ("GW205", "policies/0001-test.toml"),
    ),
    ("a state directory for all", lambda at: (at / ".gateway").mkdir(mode=0o755), ("GW206", ".gateway")),
    ("a state directory that is a file", lambda at: (at / ".gateway").touch(), ("GW206", ".gateway")),
]


@pytest.mark.parametrize(("name", "spoil", "expected"), BROKEN, ids=[name for name, *_ in BROKEN])
def test_what_is_wrong_around_it(installed, name, spoil, expected):
    """Script, policies and state directory: each fault is one finding."""
    spoil(installed)
    assert ids(installed, "tool.py") == (1, [expected])


def test_a_state_directory_that_could_not_be_made(installed):
    """A file where a directory would have to be is seen before the start."""
    assert ids(installed, "--state-dir", "tool.py/state") == (1, [("GW206", "tool.py/state")])


ROUTES = "web/server/starlette/starlette_routes.py"
CHANGED = [
    (
        "a new route",
        ROUTES,
        'ROUTE_METRICS: Final = f"{BASE_ROUTE_CORE}/metrics"',
        'ROUTE_METRICS: Final = f"{BASE_ROUTE_CORE}/shiny"',
        ("GW201", "/_stcore/shiny (GET, HEAD, OPTIONS)"),
    ),
    (
        "a new method",
        ROUTES,
        '_script_health_endpoint,\n            methods=["GET", "HEAD"]',
        '_script_health_endpoint,\n            methods=["GET", "HEAD", "POST"]',
        ("GW201", "/_stcore/script-health-check (POST)"),
    ),
    (
        "an option that has gone",
        "config.py",
        '"server.runOnSave",\n',
        '"server.runOnSaving",\n',
        ("GW204", "server.runOnSave"),
    ),
    ("another document", "static/index.html", "<head>", "<head lang='en'>", ("GW207", "index.html")),
    (
        "a name that has moved",
        "runtime/runtime.py",
        "def media_file_mgr(",
        "def media_files(",
        ("GW208", "streamlit.runtime.runtime.Runtime.media_file_mgr"),
    ),
]


@pytest.mark.parametrize(("name", "file", "old", "new", "expected"), CHANGED, ids=[name for name, *_ in CHANGED])
def test_what_another_streamlit_has_or_lacks(installed, name, file, old, new, expected):
    """A copy of Streamlit that was changed in one place has findings about that place."""
    code, found = ids(installed, env=another_streamlit(installed, file, old, new))
    assert code == 1
    assert expected[0] in {kind for kind, _ in found}
    assert any(place.endswith(expected[1]) for kind, place in found if kind == expected[0])
    assert {kind for kind, _ in found} == {expected[0]}


@pytest.mark.parametrize(("version", "expected"), [("1.99.0", "GW202"), ("1.66.0", "GW203"), ("2.0.0", "GW203")])
def test_versions(installed, version, expected):
    """A newer minor version is told with what is not guaranteed; any other is not supported."""
    info = installed / "site" / f"streamlit-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: streamlit\nVersion: {version}\n")
    env = {"PYTHONPATH": f"{info.parent}{os.pathsep}{ROOT}"}
    assert ids(installed, env=env) == (1, [(expected, f"streamlit {version}")])


def test_what_the_gateway_takes_from_streamlit_is_watched():
    """Each name that the package takes from Streamlit's undocumented modules is looked for by the doctor."""
    watched = {internal.place for internal in INTERNALS}
    taken = set()
    for path in (ROOT / "gateway" / "streamlit").glob("*.py"):
        source = path.read_text("utf-8")
        for module, names in re.findall(r"^from (streamlit(?:\.\w+)*) import (.+)$", source, re.MULTILINE):
            if module.startswith("streamlit.proto"):
                continue  # the wire: a missing class is an import that fails
            for name in names.split(", "):
                used = set(re.findall(rf"(?<![.\w\"'`]){name}\.(\w+)", source)) if module == "streamlit" else {""}
                taken |= {f"{module}.{name}.{each}".rstrip(".") for each in used}
    unwatched = {name for name in taken if not any(f"{place}.".startswith(f"{name}.") for place in watched)}
    assert unwatched == set()


@pytest.mark.parametrize("words", [["--nothing"], ["a.py", "b.py"], ["csp", "--nothing"], ["csp", "absent.py"]])
def test_wrong_use(installed, words):
    """Wrong use ends with exit code 2."""
    assert doctor(installed, *words)[0] == 2


# --- content security -----------------------------------------------------------------------------------------

TOOL = """import streamlit as st
import plotly.express as px
st.map(data)
st.plotly_chart(px.scatter(data))
st.image("https://img.example/a.png")
st.html(x, unsafe_allow_javascript=True)
st.iframe("<b>x</b>")
"""
SECURITY = """
schema = 1
title = "content security"
default = "deny"

[hosts]
allowed = ["127.0.0.1"]

[content_security]
add = ["maps"]
external = { images = ["https://img.example"] }
"""


def test_what_a_tool_needs_and_the_policy_lacks(tmp_path):
    """Each call with its place and the line to add; what may be needed apart; what is fine, or there already, too."""
    (tmp_path / "tool.py").write_text(TOOL)
    assert ids(tmp_path, "csp", "tool.py") == (
        1,
        [("GW301", "tool.py:3"), ("GW302", "tool.py:4"), ("GW301", "tool.py:5"), ("GW303", "tool.py:6")],
    )
    _, out, err = doctor(tmp_path, "csp", "tool.py")
    assert "there are no policies here" in err
    assert "tool.py:3: st.map: " in out
    assert 'hint: add to the policy: content_security.add = ["maps"]' in out
    assert 'hint: add to the policy: content_security.external.images = ["https://img.example"]' in out
    assert "fine: tool.py:7: st.iframe: it runs in a sandboxed document" in out
    write_policies(tmp_path / "policies", SECURITY)
    assert ids(tmp_path, "csp", "tool.py") == (1, [("GW302", "tool.py:4"), ("GW303", "tool.py:6")])
    assert "fine: tool.py:3: st.map: deck.gl" in doctor(tmp_path, "csp", "tool.py")[1]


def test_what_only_may_be_needed_is_no_finding_for_the_exit_code(tmp_path):
    """A caution about data is told every time, and lets a check in a pipeline pass."""
    (tmp_path / "tool.py").write_text("import plotly.express as px\npx.scatter(data)")
    assert ids(tmp_path, "csp", "tool.py") == (0, [("GW302", "tool.py:2")])


def test_further_files(tmp_path):
    """`--pages` adds files that the script names in no text."""
    (tmp_path / "tool.py").write_text("import streamlit as st")
    (tmp_path / "extra.py").write_text("import streamlit as st\nst.pdf('x')")
    assert ids(tmp_path, "csp", "tool.py") == (0, [])
    assert ids(tmp_path, "csp", "tool.py", "--pages", "extra.py") == (1, [("GW301", "extra.py:2")])


def test_a_script_or_policies_that_cannot_be_read(tmp_path):
    """Exit code 2, with the place."""
    (tmp_path / "tool.py").write_text("x = 1\ndef (")
    code, _, err = doctor(tmp_path, "csp", "tool.py")
    assert (code, "tool.py:2: invalid syntax" in err) == (2, True)
    (tmp_path / "tool.py").write_text("")
    assert doctor(tmp_path, "csp", "tool.py", "--policies", "absent")[0] == 2


# directive, blocked, what would have to be added
REPORTS = [
    ("script-src", "eval", 'add = ["charts"]'),
    ("connect-src", "https://cdn.plot.ly/un/world_110m.json", 'add = ["geo-charts"]'),
    ("worker-src", "blob", 'add = ["maps"]'),
    ("connect-src", "https://tiles-a.basemaps.cartocdn.com/x", 'add = ["maps"]'),
    ("connect-src", "https://api.mapbox.com/x", 'add = ["mapbox"]'),
    ("frame-src", "{url}/component/st_aggrid.agGrid/index.html", 'add = ["components"]'),
    ("script-src-elem", "{url}/_stcore/bidi-components/streamlit-pdf.x/index.js", 'add = ["components"]'),
    ("img-src", "https://fonts.gstatic.com/x.svg", 'add = ["page-icons"]'),
    ("img-src", "https://img.example/secret-name.png", 'external.images = ["https://img.example"]'),
    ("media-src", "https://v.example:8443/x", 'external.media = ["https://v.example:8443"]'),
    ("frame-src", "https://www.youtube.com/embed/x", 'external.frames = ["https://www.youtube.com"]'),
    ("style-src-elem", "https://fonts.googleapis.com/css2", 'external.styles = ["https://fonts.googleapis.com"]'),
    ("font-src", "https://fonts.gstatic.com/x.woff2", 'external.fonts = ["https://fonts.gstatic.com"]'),
    ("script-src-elem", "inline", 'add = ["inline"]'),
    ("script-src-elem", "https://evil.example/x.js", None),
    ("base-uri", "https://evil.example", None),
]


def test_what_recorded_violations_ask_for(tmp_path):
    """A report of a browser becomes an event, and the event a suggestion; what no policy permits is said to be so."""
    assert doctor(tmp_path, "csp", "--state-dir", "state")[0] == 2
    write_policies(tmp_path / "other", SECURITY)
    with gateway_served(tmp_path, script=DEMO) as gateway:
        with gateway.http(headers={"Origin": gateway.url}) as client:
            client.get("/")
            for directive, blocked, _ in REPORTS:
                report = {
                    "document-uri": f"{gateway.url}/",
                    "effective-directive": directive,
                    "blocked-uri": blocked.replace("{url}", gateway.url),
                    "disposition": "enforce",
                }
                answer = client.post(
                    "/.gateway/csp-report",
                    content=json.dumps({"csp-report": report}),
                    headers={"Content-Type": "application/csp-report"},
                )
                assert answer.status_code == 204
        wait_for(
            lambda: [each for each in gateway.records() if each["metadata"]["event_code"] == "csp.violation"],
            lambda found: len(found) == len(REPORTS),
        )
        code, out, _ = doctor(tmp_path, "csp", "--state-dir", "state", "--json")
        _, other, _ = doctor(tmp_path, "csp", "--state-dir", "state", "--policies", "other", "--json")
    assert code == 1
    found = json.loads(out)["findings"]
    assert {finding["id"] for finding in found} == {"GW304"}
    hints = {finding["message"].split(",")[0]: finding["hint"] for finding in found}
    for directive, blocked, line in REPORTS:
        [hint] = [hints[said] for said in hints if _means(said, directive, blocked)]
        assert hint == (
            f"add to the policy: content_security.{line}"
            if line
            else "no entry of a policy permits it: look for it in the tool"
        )
    assert len(json.loads(other)["findings"]) == len(REPORTS) - 3  # two of maps, one of images


def _means(said, directive, blocked):
    """Whether that is the message about that report; only the origin, or our own place, is kept of an address."""
    place = re.sub(r"^(https://[^/]+)/.*", r"\1", blocked)
    place = re.sub(r"^\{url\}(/component|/_stcore/bidi-components)/.*", r"\1", place)
    return said.startswith(f"{directive} blocked {place}")
