"""What a script asks of the content-security profile, read without running it."""

import importlib

import pytest

from gateway.model import ContentSecurity, Sources
from gateway.policy.language import KEYS, RELAXATIONS
from gateway.streamlit import needs_charts, needs_elements
from gateway.streamlit.asks import Ask, Certainty
from gateway.streamlit.needs import read_needs

ST = "import streamlit as st\n"
PX = "import plotly.express as px\n"
GO = "import plotly.graph_objects as go\n"
EXTERNAL = "content_security.external"

# name, source, the lines that a policy needs; `?` before one that may be needed.
SCRIPTS = [
    ("nothing", ST + "st.line_chart([1, 2])\nst.write('hello')", []),
    # --- Plotly: WebGL ---
    ("WebGL by class", GO + "go.Figure(go.Scattergl(x=[1]))", ["add charts"]),
    ("WebGL by the older name", "import plotly.graph_objs as g\ng.Parcoords()", ["add charts"]),
    ("WebGL by import of the class", "from plotly.graph_objects import Splom as S\nS()", ["add charts"]),
    ("WebGL in the whole module's name", "import plotly\nplotly.graph_objects.Scatterpolargl()", ["add charts"]),
    ("WebGL by method", "fig = make()\nfig.add_scattergl(x=[1])", ["add charts"]),
    ("WebGL by dictionary", ST + "st.plotly_chart({'data': [{'type': 'splom'}]})", ["add charts"]),
    ("WebGL by keyword", GO + "go.Figure(data=[dict(type='scattergl')])", ["add charts"]),
    ("WebGL by render mode", PX + "px.scatter(data, render_mode='webgl')", ["add charts"]),
    ("render mode svg", PX + "px.line(data, render_mode='svg')", []),
    ("render mode by a name", PX + "MODE = 'svg'\npx.line(data, render_mode=MODE)", []),
    ("the render mode of Plotly Express", PX + "px.scatter(data)\npx.line(data)", ["?add charts", "?add charts"]),
    ("a chart that never uses WebGL", PX + "px.bar(data)\npx.scatter_3d(data)\npx.pie(data)", []),
    ("other charts of Plotly Express", PX + "px.scatter_matrix(d)\npx.parallel_coordinates(d)", ["add charts"] * 2),
    ("Plotly Express by function", "from plotly.express import scatter as s\ns(data)", ["?add charts"]),
    ("not Plotly's", "import other as px\npx.scatter(data)", []),
    # --- Plotly: geography ---
    ("countries", PX + "px.choropleth(data)\npx.scatter_geo(data)", ["add geo-charts"] * 2),
    ("countries by class", GO + "go.Choropleth()", ["add geo-charts"]),
    ("a map", PX + "px.scatter_map(data)", ["add maps"]),
    ("a map by class", GO + "go.Densitymap()", ["add maps"]),
    ("an older map", PX + "px.scatter_mapbox(data)", ["add mapbox"]),
    (
        "another base map",
        PX + "px.scatter_map(d, map_style='open-street-map')",
        ["add maps", "external.connect https://tile.openstreetmap.org"],
    ),
    (
        "another base map, by layout",
        GO + "fig = go.Figure()\nfig.update_layout(map=dict(style='satellite'))",
        ["external.connect https://server.arcgisonline.com"],
    ),
    # --- maps ---
    ("st.map", ST + "st.map(data)", ["add maps"]),
    ("st.map by another name", "import streamlit as s\ns.map(data)", ["add maps"]),
    ("st.map by import", "from streamlit import map as m\nm(data)", ["add maps"]),
    ("st.map by star", "from streamlit import *\nmap(data)", ["add maps"]),
    ("the map of Python", ST + "list(map(str, data))\ndata.map(str)\nst.session_state.data.map(str)", []),
    ("in the sidebar", ST + "st.sidebar.map(data)", ["add maps"]),
    ("in a column", ST + "a, b = st.columns(2)\nb.map(data)", ["add maps"]),
    ("in a column by number", ST + "cols = st.columns(2)\ncols[0].map(data)", ["add maps"]),
    ("in a column of the sidebar", ST + "side = st.sidebar\nside.columns(2)[1].map(data)", ["add maps"]),
    ("in a loop over tabs", ST + "for tab, name in zip(st.tabs(n), n):\n    tab.map(name)", ["add maps"]),
    ("zip keeps others apart", ST + "for tab, each in zip(st.tabs(n), n):\n    each.map(str)", []),
    ("in a container by with", ST + "with st.container() as box:\n    box.map(data)", ["add maps"]),
    ("pydeck", ST + "import pydeck as pdk\nst.pydeck_chart(pdk.Deck(layers=[]))", ["add maps"]),
    (
        "pydeck with Mapbox",
        ST + "import pydeck as pdk\nst.pydeck_chart(pdk.Deck(map_style='mapbox://styles/x'))",
        ["add mapbox", "add maps"],
    ),
    (
        "data of a layer by address",
        "import pydeck as pdk\npdk.Layer('HexagonLayer', 'https://data.example/x.csv')",
        ["external.connect https://data.example"],
    ),
    # --- other charts ---
    (
        "data of Altair by address",
        "import altair as alt\nalt.Chart('https://data.example/x.json')",
        ["external.connect https://data.example"],
    ),
    (
        "data of Vega-Lite by address",
        ST + "st.vega_lite_chart({'data': {'url': 'https://data.example/x.csv'}, 'mark': 'bar'})",
        ["external.connect https://data.example"],
    ),
    # --- media ---
    ("a picture by address", ST + "st.image('https://img.example/a.png')", ["external.images https://img.example"]),
    ("a picture of the tool", ST + "st.image('a.png')\nst.image(array)", []),
    (
        "several pictures",
        ST + "st.image(['https://a.example/1', open('x'), 'https://b.example/2'])",
        ["external.images https://a.example", "external.images https://b.example"],
    ),
    (
        "an address in a constant",
        ST + "HOST = 'https://img.example'\nURL = HOST + '/a.png'\nst.image(URL)",
        ["external.images https://img.example"],
    ),
    (
        "an address in an f-string",
        ST + "BASE = 'https://img.example/x'\nst.image(f'{BASE}/{name}.png')",
        ["external.images https://img.example"],
    ),
    ("a host that is computed", ST + "st.image(f'https://{host}/a.png')\nst.image(f'https://img.{zone}/a')", []),
    ("a host with a port", ST + "st.image('https://img.example:8443/')", ["external.images https://img.example:8443"]),
    ("plain http", ST + "st.image('http://img.example/a.png')", ["external.images https://img.example"]),
    ("sound", ST + "st.audio(data='https://a.example/x.mp3')", ["external.media https://a.example"]),
    ("a film", ST + "st.video('https://v.example/x.mp4')", ["external.media https://v.example"]),
    ("YouTube", ST + "st.video('https://youtu.be/B2iAodr0fOo')", ["external.frames https://www.youtube.com"]),
    (
        "a logo",
        ST + "st.logo('https://a.example/l.png', icon_image='https://b.example/i.png')",
        ["external.images https://a.example", "external.images https://b.example"],
    ),
    ("an avatar", ST + "st.chat_message('x', avatar='https://a.example/')", ["external.images https://a.example"]),
    (
        "a picture in Markdown",
        ST + "st.markdown('![x](https://a.example/b.png)')",
        ["external.images https://a.example"],
    ),
    ("a picture in a label", ST + "st.button('![x](https://a.example/b.png)')", ["external.images https://a.example"]),
    ("a picture in a text by itself", "'![x](https://a.example/b.png)'", ["external.images https://a.example"]),
    ("a link in Markdown", ST + "st.markdown('[x](https://a.example/b.png)')", []),
    (
        "a picture in HTML",
        ST + "st.markdown('<img src=\"https://a.example/b\">', unsafe_allow_html=True)",
        ["external.images https://a.example"],
    ),
    ("HTML that is shown as text", ST + "st.markdown('<img src=\"https://a.example/b\">')", []),
    ("a picture in st.html", ST + "st.html('<img src=//a.example/b>')", ["external.images https://a.example"]),
    ("pictures from data", ST + "st.column_config.ImageColumn('x')", ["?external.images …"]),
    # --- icons ---
    ("a page icon", ST + "st.set_page_config(page_icon=':material/home:')", ["add page-icons"]),
    ("a page icon by place", ST + "st.set_page_config('x', ':material/home:')", ["add page-icons"]),
    ("an emoji", ST + "st.set_page_config(page_icon=':shark:')", []),
    ("the icon of a page", ST + "st.Page(f, icon=':material/home:')", ["add page-icons"]),
    ("the icon of a button", ST + "st.button('x', icon=':material/home:')", []),
    # --- components, frames, script ---
    (
        "a declared component",
        "import streamlit.components.v1 as components\ncomponents.declare_component('x', path='build')",
        ["add components"],
    ),
    (
        "a component of a development server",
        "from streamlit.components.v1 import declare_component\ndeclare_component('x', url='https://dev.example:3001')",
        ["external.frames https://dev.example:3001"],
    ),
    ("an inline component", ST + "st.components.v2.component('x', js='export default () => {}')", []),
    ("a packaged component", ST + "st.components.v2.component('x', js='dist/main-*.js')", ["add components"]),
    ("an installed package with a component", "from st_aggrid import AgGrid", ["add components"]),
    ("an installed package without one, and Streamlit's own", "import altair, gateway.streamlit, streamlit.proto", []),
    ("st.pdf", ST + "st.pdf('a.pdf')", ["add components"]),
    ("HTML in a frame", ST + "st.components.v1.html('<script>1</script>')", ["fine"]),
    ("HTML in the newer frame", ST + "st.iframe('<b>x</b>')", ["fine"]),
    (
        "HTML in a frame with a library",
        ST
        + "st.iframe('<script src=\"https://cdn.example/x.js\"></script><link rel=stylesheet href=https://c.example/x>')",
        ["fine", "embedded.scripts https://cdn.example", "embedded.styles https://c.example"],
    ),
    ("a frame by address", ST + "st.iframe('https://a.example/x')", ["external.frames https://a.example"]),
    ("the older frame", ST + "st.components.v1.iframe('https://a.example')", ["external.frames https://a.example"]),
    ("script in st.html", ST + "st.html(x, unsafe_allow_javascript=True)", ["add inline"]),
    ("st.html without script", ST + "st.html(x, unsafe_allow_javascript=False)\nst.html(y)", []),
]


def lines_of(needs):
    marks = {Certainty.NEEDED: "", Certainty.POSSIBLE: "?"}
    return [
        "fine" if need.ask is None else f"{marks[need.certainty]}{need.ask.key} {need.ask.value or '…'}"
        for need in needs
    ]


@pytest.mark.parametrize(("name", "source", "expected"), SCRIPTS, ids=[name for name, *_ in SCRIPTS])
def test_what_a_script_needs(tmp_path, name, source, expected):
    """Each call that needs something is named with the policy's words for it; each that does not is not."""
    script = tmp_path / "tool.py"
    script.write_text(source)
    assert sorted(lines_of(read_needs(script))) == sorted(expected)


def test_where_and_why(tmp_path):
    """A need says the file, the line, the call as it is written, the reason, and the line to add to the policy."""
    script = tmp_path / "tool.py"
    script.write_text(ST + "\n\nst.sidebar.map(data)")
    [need] = read_needs(script)
    assert (need.path, need.line, need.call) == (script, 4, "st.sidebar.map")
    assert "basemaps.cartocdn.com" in need.because
    assert need.ask.line == 'content_security.add = ["maps"]'


def test_modules_and_pages_are_read(tmp_path):
    """Modules of the tool's own directory count, and so do pages: of the folder, named in the script, or handed in."""
    for name, source in {
        "tool.py": ST + "import charts\nfrom views import helper\nst.navigation([st.Page('views/a.py')])",
        "charts.py": ST + "st.map(data)",
        "views/__init__.py": "",
        "views/helper.py": "from . import deeper",
        "views/deeper.py": ST + "st.pdf('x')",
        "views/a.py": ST + "st.image('https://a.example/')",
        "pages/b.py": "'![x](https://b.example/x.png)'",
        "other/c.py": ST + "st.image('https://c.example/')",
        "unused.py": ST + "st.image('https://unused.example/')",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(source)
    found = read_needs(tmp_path / "tool.py", [tmp_path / "other" / "c.py"])
    assert {need.path.relative_to(tmp_path).as_posix() for need in found} == {
        *("charts.py", "views/deeper.py", "views/a.py", "pages/b.py", "other/c.py")
    }


def test_nothing_is_run(tmp_path):
    """Reading a script runs neither it nor what it imports."""
    (tmp_path / "module.py").write_text("raise SystemExit('run')")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("raise SystemExit('run')")
    script = tmp_path / "tool.py"
    script.write_text("import module, package.x, absent\nraise SystemExit('run')")
    assert read_needs(script) == ()


def test_fonts_of_the_theme(tmp_path):
    """A font by address is a style sheet with files behind it; a font face names its file."""
    (tmp_path / ".streamlit").mkdir()
    (tmp_path / ".streamlit" / "config.toml").write_text(
        '[theme]\nfont = "Nunito:https://fonts.googleapis.com/css2?family=Nunito"\ncodeFont = "monospace"\n'
        '[theme.sidebar]\nheadingFont = "X:https://fonts.example/x.css"\n'
        '[[theme.fontFaces]]\nfamily = "y"\nurl = "https://files.example/y.woff2"\n'
        '[[theme.fontFaces]]\nfamily = "z"\nurl = "app/static/z.woff2"\n'
    )
    script = tmp_path / "tool.py"
    script.write_text("")
    found = read_needs(script)
    assert lines_of(found) == [
        "external.styles https://fonts.googleapis.com",
        "external.fonts https://fonts.gstatic.com",
        "external.styles https://fonts.example",
        "external.fonts https://fonts.example",
        "external.fonts https://files.example",
    ]
    assert [need.line for need in found] == [2, 2, 5, 5, 8]


A = "https://a.example"


def policy(*add, external=None, embedded=None):
    return ContentSecurity(add=add, external=Sources(**(external or {})), embedded=Sources(**(embedded or {})))


MET = [
    ("a relaxation that is added", Ask("add", "maps"), policy("maps"), True),
    ("one that is not", Ask("add", "maps"), policy("charts"), False),
    ("eval by the last resort", Ask("add", "charts"), policy("inline"), True),
    ("a host that is named", Ask("external.images", A), policy(external={"images": (A,)}), True),
    ("another host", Ask("external.images", "https://b.example"), policy(external={"images": (A,)}), False),
    ("a host for something else", Ask("external.media", A), policy(external={"images": (A,)}), False),
    ("any host for media", Ask("external.media", A), policy("external-media"), True),
    ("any host, but not for frames", Ask("external.frames", A), policy("external-media"), False),
    ("hosts of the data", Ask("external.images", ""), policy(external={"images": (A,)}), True),
    ("hosts of the data, none named", Ask("external.images", ""), policy(), False),
    ("a frame's own", Ask("embedded.scripts", A), policy(embedded={"scripts": (A,)}), True),
    ("the page's is not the frame's", Ask("embedded.images", A), policy(external={"images": (A,)}), False),
]


@pytest.mark.parametrize(("name", "ask", "given", "expected"), MET, ids=[name for name, *_ in MET])
def test_what_a_policy_adds_already(name, ask, given, expected):
    """A need that the policy meets is told apart from one that it does not."""
    assert ask.is_met(given) is expected


def test_rules_speak_the_language_of_policies():
    """Whatever a rule asks for is a word of the policy language."""
    hints = [*needs_charts.TRACES.values(), needs_elements._NEVER, needs_elements._ICON, needs_elements._FRAME]
    for hint in hints:
        assert hint.ask.key == "add"
        assert hint.ask.value in RELAXATIONS
    for kind in ("images", "media", "frames", "styles", "fonts", "connect"):
        assert kind in KEYS["content_security.external"]
        assert kind in KEYS["content_security.embedded"]


NAMED = {*needs_charts.CALLS, *needs_elements.CALLS}


@pytest.mark.parametrize("name", sorted(name for name in NAMED if "mapbox" not in name.lower()))
def test_rules_name_what_exists(name):
    """Each name of a rule is one of the installed library, so that a change of name is seen."""
    module, _, attribute = name.rpartition(".")
    if name.startswith("streamlit.column_config"):
        module = "streamlit.column_config"
    assert hasattr(importlib.import_module(module), attribute)
