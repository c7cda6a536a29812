"""What charts ask of the content-security profile: Plotly, pydeck, Altair and Vega-Lite.

From the bundle of Streamlit 1.67 (plotly.js 4) and from what was blocked in three browsers.
"""

import ast
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from gateway.streamlit.asks import Ask, Certainty, Hint, from_outside, relaxation
from gateway.streamlit.names import Names

Rule = Callable[[ast.Call, Names], Iterator[Hint]]

_WEBGL: Final = relaxation(
    "charts", "Plotly compiles code for its WebGL traces; without it they say that there is no WebGL"
)
_GEO: Final = relaxation("geo-charts", "Plotly fetches the outlines of countries from cdn.plot.ly")
_MAP: Final = relaxation("maps", "the base map is drawn in workers, from tiles of basemaps.cartocdn.com")
_MAPBOX: Final = relaxation("mapbox", "the base map comes from Mapbox")
_DECK: Final = relaxation("maps", "deck.gl works in workers, and its base map comes from basemaps.cartocdn.com")

# Kinds of Plotly traces, by the name they have in a figure.
TRACES: Final[Mapping[str, Hint]] = {
    **dict.fromkeys(("scattergl", "scatterpolargl", "parcoords", "splom"), _WEBGL),
    **dict.fromkeys(("choropleth", "scattergeo"), _GEO),
    **dict.fromkeys(("scattermap", "choroplethmap", "densitymap"), _MAP),
    **dict.fromkeys(("scattermapbox", "choroplethmapbox", "densitymapbox"), _MAPBOX),
}
_EXPRESS: Final[Mapping[str, Hint]] = {
    **dict.fromkeys(("scatter_matrix", "parallel_coordinates"), _WEBGL),
    **dict.fromkeys(("choropleth", "scatter_geo", "line_geo"), _GEO),
    **dict.fromkeys(("scatter_map", "line_map", "choropleth_map", "density_map"), _MAP),
    **dict.fromkeys(("scatter_mapbox", "line_mapbox", "choropleth_mapbox", "density_mapbox"), _MAPBOX),
}
_MODES: Final = ("scatter", "line", "scatter_polar", "line_polar", "ecdf")  # those with `render_mode`

# Styles of base maps that do not come from where the relaxation `maps` looks.
_TILES: Final[Mapping[str, tuple[str, ...]]] = {
    "open-street-map": ("https://tile.openstreetmap.org",),
    "satellite": ("https://server.arcgisonline.com",),
    "satellite-streets": ("https://server.arcgisonline.com",),
}


def _always(hint: Hint) -> Rule:
    def rule(_: ast.Call, __: Names) -> Iterator[Hint]:
        yield hint

    return rule


def _render_mode(call: ast.Call, names: Names) -> Iterator[Hint]:
    """Plotly Express decides by the number of rows, unless it is told."""
    mode = keyword(call, "render_mode")
    match names.text(mode):
        case "svg":
            return
        case "webgl":
            yield _WEBGL
        case _:
            because = 'above 1000 rows Plotly Express uses WebGL by itself; render_mode="svg" keeps it from that'
            yield relaxation("charts", because, Certainty.POSSIBLE)


def _deck(call: ast.Call, names: Names) -> Iterator[Hint]:
    style = names.text(keyword(call, "map_style")) or ""
    if names.text(keyword(call, "map_provider")) == "mapbox" or style.startswith("mapbox:"):
        yield _MAPBOX
    elif hint := from_outside("external.connect", style, "the style of the base map"):
        yield hint


def _layer(call: ast.Call, names: Names) -> Iterator[Hint]:
    data = keyword(call, "data") or (call.args[1] if len(call.args) > 1 else None)
    if hint := from_outside("external.connect", names.text(data), "the data of a layer"):
        yield hint


def _address(position: int, *keywords: str) -> Rule:
    def rule(call: ast.Call, names: Names) -> Iterator[Hint]:
        given = [keyword(call, name) for name in keywords] + call.args[position : position + 1]
        for node in given:
            if hint := from_outside("external.connect", names.text(node), "the data of a chart"):
                yield hint

    return rule


CALLS: Final[Mapping[str, Rule]] = {
    **{f"plotly.graph_objects.{name.capitalize()}": _always(hint) for name, hint in TRACES.items()},
    **{f"plotly.express.{name}": _always(hint) for name, hint in _EXPRESS.items()},
    **{f"plotly.express.{name}": _render_mode for name in _MODES},
    "plotly.figure_factory.create_hexbin_map": _always(_MAP),
    "plotly.figure_factory.create_hexbin_mapbox": _always(_MAPBOX),
    "streamlit.map": _always(_DECK),
    "streamlit.pydeck_chart": _always(_DECK),
    "pydeck.Deck": _deck,
    "pydeck.Layer": _layer,
    "altair.Chart": _address(0, "data"),
    "altair.Data": _address(0, "url"),
    "altair.UrlData": _address(0, "url"),
    "altair.topo_feature": _address(0, "url"),
}


def of_any_call(call: ast.Call, names: Names) -> Iterator[Hint]:
    """What shows in a call whatever is called: `fig.add_scattergl(...)`, `type="splom"`, a style of a base map."""
    method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    added = TRACES.get(method.removeprefix("add_")) if method.startswith("add_") else None
    written = TRACES.get(names.text(keyword(call, "type")) or "")
    yield from (hint for hint in (added, written) if hint is not None)
    for name in ("map_style", "mapbox_style"):
        yield from _style(names.text(keyword(call, name)))
    for name in ("map", "mapbox"):
        yield from _style(names.text(entry(keyword(call, name), "style")))


def of_dict(node: ast.Dict, names: Names) -> Iterator[Hint]:
    """What a literal dictionary asks for: a trace, or data of Vega-Lite at an address."""
    if hint := TRACES.get(names.text(entry(node, "type")) or ""):
        yield hint
    data = entry(node, "data")
    if found := from_outside("external.connect", names.text(entry(data, "url")), "the data of a chart"):
        yield found


def _style(style: str | None) -> Iterator[Hint]:
    for host in _TILES.get(style or "", ()):
        yield Hint(f"the base map {style} is loaded from {host}", Ask("external.connect", host))


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    """The value of a keyword argument."""
    return next((each.value for each in call.keywords if each.arg == name), None)


def entry(node: ast.expr | None, key: str) -> ast.expr | None:
    """The value of a key in a literal dictionary, or in a call of `dict`."""
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return next((value for name, value in pairs if isinstance(name, ast.Constant) and name.value == key), None)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict":
        return keyword(node, key)
    return None
