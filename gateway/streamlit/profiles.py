"""Content-Security-Policy profiles and relaxations, as data: every entry with its reason, every set with its date.

Sources hold marks that `content_security.py` fills for each document: `{nonce}` is fresh; `{frames}`, `{components}`
and `{packaged}` are paths of our own.

Measured in Chromium 156, Firefox ESR 153 and WebKitGTK 2.50 with Streamlit 1.67. Never in here:

- `'self'` for scripts: it would bless uploaded files and media as scripts of the page;
- `'strict-dynamic'`: Streamlit's own bundle is a script gadget, and under it script in `st.html` ran.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final


@dataclass(frozen=True, slots=True)
class Entry:
    """One directive with its sources, and why it is as it is."""

    directive: str
    sources: tuple[str, ...]
    because: str


@dataclass(frozen=True, slots=True)
class Profile:
    """A whole policy. `since` is when it last changed; `basis` is where it comes from.

    `nonced_styles` and `trusted_types` need the parts of the bootstrap script of that name; `isolated` pages are
    cross-origin isolated.
    """

    since: date
    basis: str
    entries: tuple[Entry, ...]
    nonced_styles: bool = False
    trusted_types: bool = False
    isolated: bool = False


@dataclass(frozen=True, slots=True)
class Relaxation:
    """What is added to a profile. The directives in `replaced` are taken away first."""

    since: date
    because: str
    entries: tuple[Entry, ...]
    replaced: tuple[str, ...] = ()


_MEASURED: Final = "CSP Level 3, OWASP ASVS 5.0 V3.4.3, and what Streamlit 1.67 was seen to need in three browsers"

_SCRIPTS: Final = (
    Entry("default-src", ("'none'",), "what is not named is not loaded"),
    Entry(
        "script-src",
        ("'nonce-{nonce}'", "'wasm-unsafe-eval'"),
        "imports and module preloads inherit the nonce; protobuf's long.js compiles WebAssembly on every page load, and"
        " graphviz draws with it",
    ),
    Entry("script-src-attr", ("'none'",), "no element of Streamlit has an event handler in its markup"),
)
_LOADS: Final = (
    Entry("img-src", ("'self'", "data:", "blob:"), "icons in style sheets, charts saved as pictures"),
    Entry("font-src", ("'self'", "data:"), "one KaTeX font is a data: URL"),
    Entry("connect-src", ("'self'", "data:", "blob:"), "st.camera_input fetches data:, st.audio_input blob:"),
    Entry("media-src", ("'self'", "blob:"), "recordings are played from blob:"),
    Entry("manifest-src", ("'self'",), "browsers ask for one"),
    Entry("worker-src", ("'none'",), "only maps and packaged components have workers"),
    Entry("frame-src", ("{frames}",), "HTML that a script embeds is in a sandboxed document of its own"),
    Entry("object-src", ("'none'",), "plug-ins are gone"),
    Entry("base-uri", ("'none'",), "a base element would move every relative address"),
    Entry("form-action", ("'self'",), "sign-in and sign-out are ours"),
)

PROFILES: Final[Mapping[str, Profile]] = {
    "strict": Profile(
        since=date(2026, 11, 25),
        basis=_MEASURED,
        entries=(
            *_SCRIPTS,
            Entry(
                "style-src",
                ("'self'", "'unsafe-inline'"),
                "pandas Styler, mermaid, vega and st.html write them",
            ),
            *_LOADS,
        ),
    ),
    "max": Profile(
        since=date(2026, 11, 25),
        basis=_MEASURED + "; Trusted Types and cross-origin isolation as the HTML standard has them",
        entries=(
            *_SCRIPTS,
            Entry("style-src", ("'self'", "'nonce-{nonce}'"), "the bootstrap gives the nonce to what scripts make"),
            Entry(
                "style-src",
                (
                    "'sha256-LFzpE6sp9afnzR2SRbtH1VXdI8CAwj1mF5NHGMWOO9I='",
                    "'sha256-gXnHDepVZ6KF6fKGOD+GVc9BynM50JQqht95p3HpemI='",
                ),
                "the waveforms of st.audio_input and of recordings in st.chat_input bring theirs as markup",
            ),
            Entry("style-src-attr", ("'unsafe-inline'",), "KaTeX and mermaid place every glyph with a style attribute"),
            *_LOADS,
            Entry("require-trusted-types-for", ("'script'",), "text becomes script only if the default policy agrees"),
            Entry("trusted-types", ("default", "dompurify"), "the bootstrap's policy, and DOMPurify's own"),
        ),
        nonced_styles=True,
        trusted_types=True,
        isolated=True,
    ),
}

_SINCE: Final = date(2026, 11, 25)

RELAXATIONS: Final[Mapping[str, Relaxation]] = {
    "charts": Relaxation(
        _SINCE,
        "Plotly's WebGL traces",
        (
            Entry(
                "script-src",
                ("'unsafe-eval'",),
                "scattergl, parcoords and splom compile code, and px.scatter and px.line above 1000 rows use scattergl",
            ),
        ),
    ),
    "geo-charts": Relaxation(
        _SINCE,
        "Plotly's geo traces: choropleth, scattergeo",
        (Entry("connect-src", ("https://cdn.plot.ly",), "the outlines of countries are fetched from there"),),
    ),
    "maps": Relaxation(
        _SINCE,
        "st.map, st.pydeck_chart and Plotly's map traces",
        (
            Entry("worker-src", ("blob:",), "deck.gl and MapLibre decode in workers that they make themselves"),
            Entry(
                "connect-src",
                ("https://basemaps.cartocdn.com", "https://*.basemaps.cartocdn.com"),
                "style and tiles of the base map; the tile hosts are numbered",
            ),
        ),
    ),
    "mapbox": Relaxation(
        _SINCE,
        "maps with a style of Mapbox",
        (
            Entry("worker-src", ("blob:",), "as for maps"),
            Entry(
                "connect-src",
                ("https://api.mapbox.com", "https://events.mapbox.com", "https://*.tiles.mapbox.com"),
                "styles and tiles; the tile hosts are numbered",
            ),
        ),
    ),
    "components": Relaxation(
        _SINCE,
        "custom components: declared ones in frames, packaged ones (such as st.pdf) in the page",
        (
            Entry("frame-src", ("{components}",), "a declared component is a document of its own"),
            Entry("script-src", ("{packaged}",), "Streamlit loads packaged ones by script elements without a nonce"),
            Entry("worker-src", ("{packaged}",), "st.pdf reads its file in a worker"),
        ),
    ),
    "page-icons": Relaxation(
        _SINCE,
        "page icons of the kind :material/...:",
        (Entry("img-src", ("https://fonts.gstatic.com",), "the favicon is a picture there"),),
    ),
    "external-media": Relaxation(
        _SINCE,
        "pictures, sound and films from hosts that nobody can list",
        (
            Entry("img-src", ("https:",), "any host"),
            Entry("media-src", ("https:",), "any host"),
        ),
    ),
    "inline": Relaxation(
        _SINCE,
        "the last resort: script in st.html, and pages under a profile that cannot be met",
        (
            Entry("script-src", ("'self'", "'unsafe-inline'", "'unsafe-eval'", "blob:"), "everything that is there"),
            Entry("script-src-attr", ("'unsafe-inline'",), "event handlers in markup too"),
        ),
        replaced=("script-src", "script-src-attr"),  # beside a nonce, 'unsafe-inline' would be ignored
    ),
}

# Everything that is not a document: nothing in it may run, even when somebody opens it on its own. On bare Streamlit an
# SVG or HTML file in the media manager runs script in the tool's origin.
INERT: Final = b"default-src 'none'; frame-ancestors 'none'; sandbox"

# Without `allow-same-origin`: the document has an origin of its own, and reaches neither the page nor its cookies.
SANDBOX: Final = Entry(
    "sandbox",
    (
        *("allow-scripts", "allow-forms", "allow-modals", "allow-downloads"),
        *("allow-popups", "allow-popups-to-escape-sandbox"),
    ),
    "as Streamlit's own sandbox, but for allow-same-origin; a link to another site may open it as it is",
)

# HTML that a script embeds. It may run what it likes: it is in nobody's origin, and can send nothing anywhere.
EMBEDDED: Final = (
    SANDBOX,
    Entry("default-src", ("'none'",), "no network"),
    Entry("script-src", ("'unsafe-inline'", "'unsafe-eval'", "data:", "blob:"), "its own script"),
    Entry("style-src", ("'unsafe-inline'", "data:"), "its own styles"),
    Entry("img-src", ("data:", "blob:"), "pictures inside the HTML"),
    Entry("font-src", ("data:",), "fonts inside the HTML"),
    Entry("media-src", ("data:", "blob:"), "media inside the HTML"),
    Entry("connect-src", ("data:", "blob:"), "what it has made itself"),
    Entry("worker-src", ("blob:",), "workers inside the HTML"),
    Entry("base-uri", ("'none'",), "relative addresses lead nowhere anyway"),
    Entry("form-action", ("'none'",), "a form would carry data out"),
    Entry("frame-ancestors", ("'self'",), "the page alone"),
)

# A declared component's files. `{components}` is their own path: uploads and media are no scripts here either.
COMPONENT: Final = (
    Entry("default-src", ("'none'",), "what is not named is not loaded"),
    Entry("script-src", ("{components}", "'unsafe-inline'", "'unsafe-eval'"), "bundlers and Arrow compile code"),
    Entry("style-src", ("{components}", "'unsafe-inline'"), "style libraries write them"),
    Entry("img-src", ("{components}", "data:", "blob:"), "its own pictures"),
    Entry("font-src", ("{components}", "data:"), "its own fonts"),
    Entry("connect-src", ("{components}", "data:", "blob:"), "its own files"),
    Entry("media-src", ("{components}", "data:", "blob:"), "its own media"),
    Entry("worker-src", ("{components}", "blob:"), "its own workers"),
    Entry("base-uri", ("'none'",), "bundles name their files relative to themselves"),
    Entry("object-src", ("'none'",), "plug-ins are gone"),
    Entry("form-action", ("'none'",), "components talk to the page by messages"),
    Entry("frame-ancestors", ("'self'",), "the page alone"),
)
