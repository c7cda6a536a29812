"""Which imported packages bring custom components, found in their files and never by importing them."""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.machinery import PathFinder
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path
from typing import Final

from gateway.streamlit.asks import Ask, Certainty, Hint, relaxation

# Packages that also ask for something else. From what eleven popular ones did in a browser under each profile.
_MORE: Final[Mapping[str, tuple[Hint, ...]]] = {
    "streamlit_folium": (
        Hint("its map library comes from cdn.jsdelivr.net", Ask("embedded.scripts", "https://cdn.jsdelivr.net")),
        Hint("its map library comes from cdn.jsdelivr.net", Ask("embedded.styles", "https://cdn.jsdelivr.net")),
    ),
    "extra_streamlit_components": (
        Hint("its cookie manager does not work in a sandbox; st.context.cookies reads them", None, Certainty.FINE),
    ),
    "streamlit_url_fragment": (
        Hint("it reads the page's address, which a sandbox keeps from it", None, Certainty.FINE),
    ),
    "vega_datasets": (
        Hint(
            "the addresses of its data lead to cdn.jsdelivr.net",
            Ask("external.connect", "https://cdn.jsdelivr.net"),
            Certainty.POSSIBLE,
        ),
    ),
}
# Known to be components even where they are not installed.
_KNOWN: Final = frozenset(
    {
        *("st_aggrid", "streamlit_ace", "streamlit_option_menu", "streamlit_lottie", "streamlit_folium"),
        *("streamlit_antd_components", "extra_streamlit_components", "streamlit_autorefresh", "streamlit_chat"),
        *("streamlit_url_fragment", "streamlit_javascript", "streamlit_pdf"),
    }
)
_DECLARES: Final = re.compile(rb"\bdeclare_component\s*\(|\bv2\.component\s*\(|\bcomponents\.v2\b")
_FILES: Final = 500  # of a package that are looked into


def hints_of_import(module: str, root: Path) -> Iterator[Hint]:
    """What importing that module asks for. A module of the tool itself, in `root`, is read like the script."""
    name = module.partition(".")[0]
    if name in ("streamlit", "gateway") or (root / name).is_dir() or (root / f"{name}.py").is_file():
        return
    if name in _KNOWN or _declares_components(name):
        yield relaxation("components", f"{name} brings components: documents in frames, or scripts of a package")
    yield from _MORE.get(name, ())


@lru_cache(maxsize=256)
def _declares_components(name: str) -> bool:
    return any(_builds_on_streamlit(each) for each in _distributions().get(name, ())) and any(
        _DECLARES.search(path.read_bytes()) for path in _python_files(name)
    )


@lru_cache(maxsize=1)
def _distributions() -> Mapping[str, list[str]]:
    return packages_distributions()


def _builds_on_streamlit(distribution: str) -> bool:
    try:
        needed = requires(distribution) or ()
    except PackageNotFoundError:
        return False
    return any(re.match(r"streamlit\b(?!-)", each) for each in needed)


def _python_files(name: str) -> Iterator[Path]:
    # The finder alone: `importlib.util.find_spec` may run hooks of what is imported already.
    spec = PathFinder.find_spec(name)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        yield from sorted(Path(folder).rglob("*.py"))[:_FILES]
    if spec and spec.origin and not spec.submodule_search_locations and spec.origin.endswith(".py"):
        yield Path(spec.origin)
