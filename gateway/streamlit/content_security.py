"""Content-Security-Policy for Streamlit's documents, as named data.

Measured in Chromium 156, Firefox ESR 153 and WebKitGTK 2.50 with Streamlit 1.67: a nonce-only script policy works; no
`'self'` (it would bless uploaded files as scripts), no `'unsafe-inline'`, no `'unsafe-eval'`, never `'strict-dynamic'`
(Streamlit's bundle is a script gadget: under it, script in `st.html` ran).

Profiles are whole policies; relaxations add sources to single directives. `{nonce}` is fresh for every document.
"""

from collections.abc import Mapping
from functools import lru_cache

from gateway.model import ContentSecurity, Surface

Directives = Mapping[str, tuple[str, ...]]

PROFILES: Mapping[str, Directives] = {
    "strict": {
        "default-src": ("'none'",),
        # 'wasm-unsafe-eval': protobuf's long.js compiles a WebAssembly module on every page load; graphviz needs it.
        "script-src": ("'nonce-{nonce}'", "'wasm-unsafe-eval'"),
        "script-src-attr": ("'none'",),
        # Inline styles stay: pandas Styler, KaTeX, mermaid, vega tooltips and st.html write them.
        "style-src": ("'self'", "'unsafe-inline'"),
        "img-src": ("'self'", "data:", "blob:"),
        "font-src": ("'self'", "data:"),  # one KaTeX font is a data: URL
        "connect-src": ("'self'", "data:", "blob:"),  # data: st.camera_input, blob: st.audio_input
        "media-src": ("'self'", "blob:"),
        "manifest-src": ("'self'",),
        "worker-src": ("'none'",),
        "frame-src": ("'none'",),
        "object-src": ("'none'",),
        "base-uri": ("'none'",),
        "form-action": ("'self'",),
        "frame-ancestors": ("'none'",),
    },
}

RELAXATIONS: Mapping[str, Directives] = {
    # Plotly's WebGL traces (scattergl, parcoords, splom; px.scatter and px.line above 1000 rows) compile code.
    "charts": {"script-src": ("'unsafe-eval'",)},
    # deck.gl and MapLibre run in blob: workers and fetch tiles.
    "maps": {
        "worker-src": ("blob:",),
        "connect-src": ("https://basemaps.cartocdn.com", "https://*.basemaps.cartocdn.com"),
    },
    # Declared components are documents of their own, in frames of the same origin.
    "components": {"frame-src": ("'self'",)},
}

# Everything that is not a document: nothing in it may run, even when somebody opens it on its own. On bare Streamlit an
# SVG or HTML file in the media manager runs script in the tool's origin.
INERT = b"default-src 'none'; frame-ancestors 'none'; sandbox"

# A declared component's own document, only when the policy adds `components`.
COMPONENT = (
    b"default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    b"img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; media-src 'self' blob: data:; "
    b"worker-src 'self' blob:; base-uri 'none'; object-src 'none'; form-action 'none'; frame-ancestors 'self'"
)


def of_document(policy: ContentSecurity, nonce: str) -> list[tuple[bytes, bytes]]:
    """The policy headers of one document; a `report_only` profile goes beside the enforced one."""
    headers = [(b"content-security-policy", _template(policy.profile, policy.add).replace("{nonce}", nonce).encode())]
    if policy.report_only is not None:
        candidate = _template(policy.report_only, ()).replace("{nonce}", nonce).encode()
        headers.append((b"content-security-policy-report-only", candidate))
    return headers


def of_surface(policy: ContentSecurity, surface: Surface) -> bytes:
    """The policy of an answer that is not a document of ours."""
    return COMPONENT if surface is Surface.COMPONENT and "components" in policy.add else INERT


@lru_cache(maxsize=32)
def _template(profile: str, add: tuple[str, ...]) -> str:
    directives = {name: list(sources) for name, sources in PROFILES[profile].items()}
    for relaxation in add:
        for name, sources in RELAXATIONS[relaxation].items():
            present = [source for source in directives.get(name, []) if source != "'none'"]
            directives[name] = present + [source for source in sources if source not in present]
    return "; ".join(f"{name} {' '.join(sources)}" for name, sources in directives.items())
