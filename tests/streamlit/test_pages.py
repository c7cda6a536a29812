"""Which pages a script has: read without running it, learned from the wire, named by the policy."""

import os
from pathlib import Path

import pytest
from streamlit.proto.Navigation_pb2 import Navigation

from gateway.streamlit.pages import LEARNED, DeclaredPage, Pages, declared, discover, page_hash
from tests.support.processes import PYTHON, ROOT, clean_environment, free_port, running
from tests.support.streamlit_client import connect

FUNCTIONS = "import streamlit as st\ndef a(): ...\ndef b(): ...\n"

SCRIPTS = [
    ("a script without pages", "import streamlit as st\nst.write(1)", {"/"}, True),
    (
        "pages as functions",
        FUNCTIONS + "st.navigation([st.Page(a, default=True), st.Page(b)]).run()",
        {"/", "/b"},
        True,
    ),
    ("without a default, the first page is at /", FUNCTIONS + "st.navigation([st.Page(b), a])", {"/", "/a"}, True),
    ("a default that is computed", FUNCTIONS + "st.navigation([st.Page(a, default=x())]).run()", {"/", "/a"}, False),
    (
        "a page with its own path",
        FUNCTIONS + "st.navigation([st.Page(a), st.Page(b, url_path=' /chart/ ')]).run()",
        {"/", "/chart"},
        True,
    ),
    (
        "a path that is left to Streamlit",
        FUNCTIONS + "st.navigation([a, st.Page(b, url_path=None)])",
        {"/", "/b"},
        True,
    ),
    (
        "pages as files",
        "import streamlit as st\nst.navigation({'x': ['b.py', st.Page('views/1_Big_chart.py')], 'y': ['c.py']}).run()",
        {"/", "/Big_chart", "/c"},
        True,
    ),
    (
        "pages by name",
        (
            "from streamlit import Page, navigation\ndef a(): ...\ndef b(): ...\none = Page(a)\n"
            "navigation(pages=[one, b]).run()"
        ),
        {"/", "/b"},
        True,
    ),
    ("a list by name", FUNCTIONS + "pages = [a, st.Page(b)]\nst.navigation(pages).run()", {"/", "/b"}, True),
    (
        "a list that is added to",
        FUNCTIONS + "pages = [st.Page(a)]\nif x(): pages.append(st.Page(b))\nst.navigation(pages).run()",
        {"/", "/a", "/b"},
        False,
    ),
    (
        "a list that somebody else may add to",
        FUNCTIONS + "pages = [st.Page(a)]\nextend(pages)\nst.navigation(pages).run()",
        {"/", "/a"},
        False,
    ),
    (
        "a name with two meanings",
        FUNCTIONS + "one = st.Page(a)\nif x(): one = st.Page(b)\nst.navigation([one]).run()",
        {"/", "/a", "/b"},
        False,
    ),
    (
        "two navigations",
        FUNCTIONS + "st.navigation([a]).run() if x() else st.navigation([st.Page(b), a]).run()",
        {"/", "/a"},
        True,
    ),
    (
        "a link to another site is no page",
        FUNCTIONS + "st.navigation([st.Page('https://docs.example/a', title='Docs'), a, b]).run()",
        {"/", "/b"},
        True,
    ),
    (
        "pages that are computed",
        "import streamlit as st\nst.navigation([st.Page(f) for f in found()]).run()",
        {"/"},
        False,
    ),
    (
        "an imported function may have another name",
        "import streamlit as st\nfrom x import y as z\nst.navigation([st.Page(z)]).run()",
        {"/"},
        False,
    ),
    (
        "by other names",
        "import streamlit as s\nfrom streamlit import navigation as n\ndef a(): ...\ndef b(): ...\nn([a, s.Page(b)])",
        {"/", "/b"},
        True,
    ),
    ("navigation of something else", "import streamlit as st, ship\nship.navigation(chart)", {"/"}, True),
    ("navigation of something unknown", "def show(st): st.navigation(pages())", {"/"}, False),
    (
        "Streamlit's own decorators keep the name",
        "import streamlit as st\n@st.fragment\ndef a(): ...\n@st.cache_data(ttl=1)\ndef b(): 1\nst.navigation((a, b))",
        {"/", "/b"},
        True,
    ),
    (
        "so may a decorated one",
        "import streamlit as st\n@guarded\ndef a(): ...\nst.navigation([st.Page(a)]).run()",
        {"/"},
        False,
    ),
    (
        "pages that come from elsewhere",
        "import streamlit as st\nfrom menu import pages\ndef a(): ...\nst.Page(a)\nst.navigation(pages).run()",
        {"/", "/a"},
        False,
    ),
    ("options that are computed", FUNCTIONS + "st.navigation([a, st.Page(b, **options)]).run()", {"/"}, False),
]


def script_of(directory, source):
    script = directory / "tool.py"
    script.write_text(source)
    return script


@pytest.mark.parametrize(("name", "source", "known", "complete"), SCRIPTS, ids=[name for name, *_ in SCRIPTS])
def test_pages_of_a_script(tmp_path, name, source, known, complete):
    """Literal pages are known; what takes running the script to know is said to be unknown."""
    pages = discover(script_of(tmp_path, source))
    assert (pages.known, pages.complete) == (known, complete)


def test_pages_folder(tmp_path):
    """Files in `pages/` are pages, named as Streamlit names them, but for `__init__.py` and hidden ones."""
    (tmp_path / "pages").mkdir()
    for name in ("2_📈_Trends.py", "__init__.py", ".draft.py", "notes.txt"):
        (tmp_path / "pages" / name).write_text("")
    pages = discover(script_of(tmp_path, "import streamlit as st"))
    assert (pages.known, pages.complete) == ({"/", "/Trends"}, True)


def test_pages_folder_beside_a_navigation(tmp_path):
    """With st.navigation the files in `pages/` are no pages; but Streamlit may still run them by hash at first."""
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "admin.py").write_text("")
    pages = discover(script_of(tmp_path, FUNCTIONS + "st.navigation([a, b]).run()"))
    assert pages.page("/admin") is None
    assert pages.paths_of(page_hash("admin")) == {"/admin"}


def test_navigation_in_a_module_of_the_tool(tmp_path):
    """The navigation is found where the script has imported it from, if that is its own directory."""
    (tmp_path / "menus").mkdir()
    (tmp_path / "menus" / "__init__.py").write_text("from .staff import show")
    (tmp_path / "menus" / "staff.py").write_text(f"{FUNCTIONS}def show(): st.navigation([a, b]).run()")
    pages = discover(script_of(tmp_path, "from menus import show\nshow()"))
    assert (pages.known, pages.complete) == ({"/", "/b"}, True)


@pytest.mark.parametrize("path", [ROOT / "streamlit_app.py", Path("streamlit_app.py")], ids=["absolute", "relative"])
def test_the_gateway_is_no_part_of_a_tool_beside_it(path, monkeypatch):
    """The bundled tool lies beside the package and imports it; its pages are its own two."""
    monkeypatch.chdir(ROOT)
    pages = discover(path)
    assert (pages.known, pages.complete) == ({"/", "/exchange"}, True)


def test_a_module_that_is_broken_is_left_out(tmp_path):
    """What a script imports may be anything: only the script itself must be valid."""
    (tmp_path / "broken.py").write_text("def (")
    (tmp_path / "zero.py").write_bytes(b"\0")
    os.mkfifo(tmp_path / "pipe.py")
    assert discover(script_of(tmp_path, "import broken, zero, pipe, absent")).complete
    with pytest.raises(SyntaxError):
        discover(script_of(tmp_path, "def ("))


PATHS = [
    ("a known page", "/ledger", True, (), "/ledger"),
    ("with a trailing slash", "/ledger/", True, (), "/ledger"),
    ("the default page", "/", True, (), "/"),
    ("an unknown one", "/other", True, (), None),
    ("one that the policy names", "/other", True, ("/other",), "/other"),
    ("an unknown one before anything is known", "/other", False, (), "/other"),
    ("an unknown one when the policy names all", "/other", False, ("/named",), None),
    ("a file is never taken for a page", "/robots.txt", False, (), None),
    ("nor is anything deeper", "/a/b", False, (), None),
    ("nor a hidden file", "/.env", False, (), None),
]


@pytest.mark.parametrize(("name", "path", "complete", "named", "expected"), PATHS, ids=[name for name, *_ in PATHS])
def test_paths(name, path, complete, named, expected):
    """Known pages are found; while the pages are not known, what could be one is taken for one."""
    assert Pages({"/ledger"}, complete=complete).page(path, named) == expected


def test_navigation_differs_by_person():
    """What is declared to one is a page from then on; what may be declared to another stays possible."""
    pages = Pages(complete=False)
    pages.learn([DeclaredPage("/", page_hash("ledger"), default=True), DeclaredPage("/v1.2", page_hash("v1.2"))])
    assert pages.page("/v1.2") == "/v1.2"
    assert pages.page("/admin") == "/admin"


def test_a_declared_page_that_the_source_does_not_show_is_learned():
    """A tool whose pages change while it runs: its next run tells."""
    pages = Pages(complete=True)
    assert pages.page("/new") is None
    pages.learn([DeclaredPage("/new", page_hash("new"))])
    assert (pages.page("/new"), pages.paths_of(page_hash("new"))) == ("/new", {"/new"})


def test_a_hash_stands_for_every_path_it_ever_had():
    """The same page is at / for one person and at its own path for another."""
    pages = Pages(complete=False)
    assert pages.paths_of(page_hash("ledger")) == frozenset()
    pages.learn([DeclaredPage("/", page_hash("ledger"), default=True)])
    assert pages.paths_of(page_hash("ledger")) == {"/"}
    pages.learn([DeclaredPage("/ledger", page_hash("ledger"))])
    assert pages.paths_of(page_hash("ledger")) == {"/", "/ledger"}


def test_the_hash_of_a_page_that_only_the_policy_names():
    """A rule about a page that nobody has declared yet holds for its hash, too."""
    pages = Pages(complete=False)
    assert pages.paths_of(page_hash("admin"), ("/admin", "/other")) == {"/admin"}
    assert pages.paths_of(page_hash("nothing"), ("/admin", "/other")) == frozenset()


def test_hashes_that_the_source_shows(tmp_path):
    """The default page's hash is that of its own name, its path is /; where it may be either, it stands for both."""
    exact = discover(script_of(tmp_path, FUNCTIONS + "st.navigation([a, b]).run()"))
    assert exact.paths_of(page_hash("a")) == {"/"}
    assert exact.paths_of(page_hash("b")) == {"/b"}
    assert exact.paths_of(page_hash("tool")) == {"/"}
    computed = discover(script_of(tmp_path, FUNCTIONS + "st.navigation([st.Page(b, default=x())] + [st.Page(a)])"))
    assert computed.paths_of(page_hash("a")) == {"/", "/a"}
    assert computed.paths_of(page_hash("b")) == {"/", "/b"}


def test_what_is_learned_is_bounded():
    """A tool that declares a page for every record does not fill the memory."""
    pages = Pages(complete=False)
    pages.learn(DeclaredPage(f"/{number}", f"hash-{number}") for number in range(2 * LEARNED))
    assert len(pages.known) <= LEARNED + 1
    assert pages.page("/0") == "/0"


def test_links_to_other_sites_are_not_declared():
    """A `navigation` message lists them beside the pages; nobody can open them here."""
    message = Navigation()
    message.app_pages.add(url_pathname="docs", page_script_hash="d", external_url="https://docs.example")
    message.app_pages.add(url_pathname="ledger", page_script_hash=page_hash("ledger"))
    assert declared(message) == (DeclaredPage("/ledger", page_hash("ledger")),)


# --- against Streamlit itself ---

TOOL = """
import streamlit as st
def home(): st.title("Home")
def ledger(): st.title("Ledger")
def old(): st.title("Old")
st.navigation([
    st.Page(home, title="Start"),
    st.Page(ledger, title="The ledger"),
    st.Page(old, url_path=" /archive/ "),
    st.Page("views/3_📈_Big chart.py"),
    st.Page("https://docs.example/x", title="Docs"),
]).run()
"""
NEIGHBOURS = {"pages/2_Trends.py": "", "pages/__init__.py": "", "pages/.draft.py": "", "pages/10.py": ""}


def served_by_streamlit(script):
    port = free_port()
    command = [PYTHON, "-m", "streamlit", "run", str(script), "--server.port", str(port), "--server.headless", "true"]
    environment = clean_environment({"STREAMLIT_BROWSER_GATHER_USAGE_STATS": "false"})
    return f"http://127.0.0.1:{port}", running(
        [*command, "--server.address", "127.0.0.1"], ready_line="URL: ", env=environment, cwd=ROOT
    )


@pytest.mark.parametrize(
    ("name", "source", "files"),
    [
        ("written navigation", TOOL, {"views/3_📈_Big chart.py": ""}),
        ("pages folder", "import streamlit as st", NEIGHBOURS),
        ("one page", "import streamlit as st", {}),
    ],
    ids=["navigation", "folder", "single"],
)
def test_what_the_source_says_is_what_streamlit_declares(tmp_path, name, source, files):
    """Paths and hashes read from the source are those that the running app declares, and so is the script's own."""
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    script = script_of(tmp_path, source)
    pages = discover(script)
    url, process = served_by_streamlit(script)
    with process, connect(url) as client:
        client.rerun()
    [started] = client.page.of_type("new_session")
    assert pages.main_hash == started.new_session.main_script_hash
    messages = client.page.of_type("navigation")
    found = {page for message in messages for page in declared(message.navigation)}
    assert pages.complete
    assert pages.known == {"/"} | {page.path for page in found}
    assert all(pages.paths_of(page.hash) == {page.path} for page in found)
    assert (len(messages) == 1) is (name != "one page")
