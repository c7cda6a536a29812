"""Which pages a script has, read without running it."""

import pytest

from gateway.streamlit.pages import Pages, discover

SCRIPTS = [
    ("a script without pages", "import streamlit as st\nst.write(1)", {"/"}, True),
    (
        "pages as functions",
        (
            "import streamlit as st\ndef a(): ...\ndef b(): ...\n"
            "st.navigation([st.Page(a, default=True), st.Page(b)]).run()"
        ),
        {"/", "/b"},
        True,
    ),
    (
        "a default that is computed",
        "import streamlit as st\ndef a(): ...\nst.navigation([st.Page(a, default=x())]).run()",
        {"/"},
        False,
    ),
    (
        "a page with its own path",
        "import streamlit as st\ndef a(): ...\nst.navigation([st.Page(a, url_path='chart')]).run()",
        {"/", "/chart"},
        True,
    ),
    (
        "pages as files",
        "import streamlit as st\nst.navigation({'x': [st.Page('views/1_Big_chart.py'), st.Page('b.py')]}).run()",
        {"/", "/Big_chart", "/b"},
        True,
    ),
    (
        "pages by name",
        "from streamlit import Page, navigation\ndef a(): ...\none = Page(a)\nnavigation([one]).run()",
        {"/", "/a"},
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
        "pages that come from elsewhere",
        "import streamlit as st\nfrom menu import pages\ndef a(): ...\nst.Page(a)\nst.navigation(pages).run()",
        {"/", "/a"},
        False,
    ),
]


@pytest.mark.parametrize(("name", "source", "known", "complete"), SCRIPTS, ids=[name for name, *_ in SCRIPTS])
def test_pages_of_a_script(tmp_path, name, source, known, complete):
    """Literal pages are known; what takes running the script to know is said to be unknown."""
    script = tmp_path / "tool.py"
    script.write_text(source)
    pages = discover(script)
    assert (pages.known, pages.complete) == (known, complete)


def test_pages_folder(tmp_path):
    """Files in `pages/` are pages, named as Streamlit names them; with st.navigation they are not."""
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "2_📈_Trends.py").write_text("")
    script = tmp_path / "tool.py"
    script.write_text("import streamlit as st")
    assert discover(script).known == {"/", "/Trends"}


PATHS = [
    ("a known page", "/ledger", True, "/ledger"),
    ("with a trailing slash", "/ledger/", True, "/ledger"),
    ("the default page", "/", True, "/"),
    ("an unknown one", "/other", True, None),
    ("an unknown one before anything is known", "/other", False, "/other"),
    ("a file is never taken for a page", "/robots.txt", False, None),
    ("nor is anything deeper", "/a/b", False, None),
    ("nor a hidden file", "/.env", False, None),
]


@pytest.mark.parametrize(("name", "path", "complete", "expected"), PATHS, ids=[name for name, *_ in PATHS])
def test_paths(name, path, complete, expected):
    """Known pages are found; while the pages are not known, what could be one is taken for one."""
    assert Pages(frozenset({"/ledger"}), complete=complete).page(path) == expected


def test_declared_pages_are_learned():
    """What the running app declares adds to what is known, and ends the guessing."""
    pages = Pages(frozenset(), complete=False)
    pages.learn(frozenset({"/ledger"}))
    assert (pages.page("/ledger"), pages.page("/other")) == ("/ledger", None)
