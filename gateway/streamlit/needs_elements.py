"""What Streamlit's own elements ask of the content-security profile: media, icons, frames, components, markup."""

import ast
import re
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from typing import Final

from gateway.streamlit.asks import Ask, Certainty, Hint, from_outside, relaxation
from gateway.streamlit.names import Names
from gateway.streamlit.needs_charts import Rule, keyword

_MARKDOWN_IMAGE: Final = re.compile(r"!\[[^\]]*\]\(\s*<?(https?://[^\s)>]+)")
_YOUTUBE: Final = re.compile(r"(https?:)?(//)?((www|m)\.)?(youtube(-nocookie)?\.com|youtu\.be)/")
_MATERIAL: Final = ":material/"

_ICON: Final = relaxation("page-icons", "the browser loads a :material/...: icon of a page from fonts.gstatic.com")
_FRAME: Final = relaxation("components", "a declared component is a document of its own, in a frame")
_PACKAGED: Final = relaxation("components", "the component's script comes from a file of its package")
_SANDBOXED: Final = Hint("it runs in a sandboxed document of its own", None, Certainty.FINE)
_NEVER: Final = Hint(
    "script in st.html would run with the rights of the page; st.iframe with the same HTML runs in a sandbox",
    Ask("add", "inline"),
)


def argument(call: ast.Call, position: int, name: str) -> ast.expr | None:
    """The value of an argument, by keyword or by position."""
    return keyword(call, name) or (call.args[position] if len(call.args) > position else None)


def _media(key: str, what: str, *places: tuple[int, str]) -> Rule:
    """An address, or a list of addresses, that the browser loads from."""

    def rule(call: ast.Call, names: Names) -> Iterator[Hint]:
        for position, name in places:
            node = argument(call, position, name)
            for each in node.elts if isinstance(node, ast.List | ast.Tuple) else [node]:
                if hint := from_outside(key, names.text(each), what):
                    yield hint

    return rule


def _video(call: ast.Call, names: Names) -> Iterator[Hint]:
    url = names.text(argument(call, 0, "data")) or ""
    if _YOUTUBE.match(url):
        yield Hint("Streamlit shows it in a frame of YouTube", Ask("external.frames", "https://www.youtube.com"))
    elif hint := from_outside("external.media", url, "the film"):
        yield hint


def _icon(call: ast.Call, names: Names) -> Iterator[Hint]:
    """The icon of a page: the only keyword of st.Page, the second argument of st.set_page_config."""
    position = 1 if any(name.endswith("set_page_config") for name in names.of(call.func)) else len(call.args)
    icon = names.text(argument(call, position, "page_icon") or keyword(call, "icon")) or ""
    if icon.startswith(_MATERIAL):
        yield _ICON
    elif hint := from_outside("external.images", icon, "the icon"):
        yield hint


def _html(call: ast.Call, _: Names) -> Iterator[Hint]:
    allowed = keyword(call, "unsafe_allow_javascript")
    if allowed is not None and not (isinstance(allowed, ast.Constant) and not allowed.value):
        yield _NEVER


def _frame(call: ast.Call, names: Names) -> Iterator[Hint]:
    """A frame: of an address, or of HTML."""
    source = names.text(call.args[0] if call.args else keyword(call, "src") or keyword(call, "html"))
    if source is not None and re.match(r"\s*(https?:)?//", source):
        if hint := from_outside("external.frames", source, "the frame"):
            yield hint
        return
    yield _SANDBOXED
    yield from _loaded("embedded", source or "")


def _declared(call: ast.Call, names: Names) -> Iterator[Hint]:
    address = names.text(argument(call, 2, "url"))
    if hint := from_outside("external.frames", address, "the component"):
        yield hint
    elif address is None:
        yield _FRAME


def _second(call: ast.Call, names: Names) -> Iterator[Hint]:
    """A component of the second kind: inline script runs with the page's nonce, a file of a package does not."""
    for name in ("js", "css", "html"):
        text = names.text(keyword(call, name)) or ""
        if re.fullmatch(r"[\w./*?\[\]-]+\.(js|mjs|css|html)", text.strip()):
            yield _PACKAGED
            return


def _column(key: str, what: str) -> Rule:
    hint = Hint(f"the browser loads {what} from the addresses in the data", Ask(key, ""), Certainty.POSSIBLE)

    def rule(_: ast.Call, __: Names) -> Iterator[Hint]:
        yield hint

    return rule


def _pdf(_: ast.Call, __: Names) -> Iterator[Hint]:
    yield relaxation("components", "st.pdf is a packaged component: its script and its worker are files of it")


CALLS: Final[Mapping[str, Rule]] = {
    "streamlit.image": _media("external.images", "the picture", (0, "image")),
    "streamlit.audio": _media("external.media", "the sound", (0, "data")),
    "streamlit.video": _video,
    "streamlit.logo": _media("external.images", "the logo", (0, "image"), (9, "icon_image")),
    "streamlit.chat_message": _media("external.images", "the avatar", (9, "avatar")),
    "streamlit.set_page_config": _icon,
    "streamlit.Page": _icon,
    "streamlit.html": _html,
    "streamlit.iframe": _frame,
    "streamlit.pdf": _pdf,
    "streamlit.components.v1.html": _frame,
    "streamlit.components.v1.iframe": _frame,
    "streamlit.components.v1.declare_component": _declared,
    "streamlit.components.v2.component": _second,
    "streamlit.column_config.ImageColumn": _column("external.images", "pictures"),
    "streamlit.column_config.AudioColumn": _column("external.media", "sound"),
    "streamlit.column_config.VideoColumn": _column("external.media", "films"),
}


# --- markup ---------------------------------------------------------------------------------------------------


def of_text(text: str, *, markup: bool) -> Iterator[Hint]:
    """What a text that is shown in the page loads from elsewhere: pictures of Markdown, and elements of `markup`."""
    for url in _MARKDOWN_IMAGE.findall(text):
        if hint := from_outside("external.images", url, "a picture"):
            yield hint
    if markup and "<" in text:
        yield from _loaded("external", text)


def shows_markup(call: ast.Call, called: frozenset[str]) -> bool:
    """Whether a call puts HTML into the page itself."""
    allowed = keyword(call, "unsafe_allow_html")
    permitted = allowed is not None and not (isinstance(allowed, ast.Constant) and not allowed.value)
    return permitted or bool(called & {"streamlit.html", "streamlit.components.v2.component"})


def _loaded(table: str, html: str) -> Iterator[Hint]:
    """What HTML loads, for the page (`external`) or for a document of its own (`embedded`)."""
    parser = _Loads()
    parser.feed(html)
    parser.close()
    for kind, url, what in parser.found:
        if (table, kind) == ("external", "scripts"):
            continue  # never runs: Streamlit takes it out, and the nonce is not in it
        if hint := from_outside(f"{table}.{kind}", url, what):
            yield hint
    if table == "embedded":
        for url in re.findall(r"""\b(?:fetch|import|EventSource|WebSocket)\(\s*["'](https?://[^"']+)""", html):
            if hint := from_outside("embedded.connect", url, "data"):
                yield hint


class _Loads(HTMLParser):
    """Collects what elements load: the kind of source, the address, the words for it."""

    _SOURCES: Final[Mapping[str, tuple[str, str]]] = {
        "script": ("scripts", "a script"),
        "img": ("images", "a picture"),
        "video": ("media", "a film"),
        "audio": ("media", "sound"),
        "source": ("media", "media"),
        "iframe": ("frames", "a frame"),
    }

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag in self._SOURCES and (url := given.get("src")):
            kind, what = self._SOURCES[tag]
            self.found.append((kind, _absolute(url), what))
        elif tag == "link" and "stylesheet" in given.get("rel", "").lower():
            self.found.append(("styles", _absolute(given.get("href", "")), "a style sheet"))

    def handle_data(self, data: str) -> None:
        for url in re.findall(r"""@import\s+(?:url\()?["']?(https?://[^"')\s;]+)""", data):
            self.found.append(("styles", url, "a style sheet"))


def _absolute(url: str) -> str:
    return f"https:{url}" if url.startswith("//") else url
