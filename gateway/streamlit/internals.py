"""The parts of Streamlit that are not documented and that the gateway rests on, each with what rests on it.

Imports nothing of Streamlit by itself, so that it can tell what is missing where nothing else of this package loads.
"""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Internal:
    """One name: its module, its path of attributes there, what of the gateway needs it."""

    module: str
    name: str
    because: str

    @property
    def place(self) -> str:
        """As it is written in full."""
        return f"{self.module}.{self.name}"


INTERNALS: Final = (
    Internal("streamlit.config", "get_option", "reads the options that routes depend on"),
    Internal("streamlit.config", "set_option", "hardens the options"),
    Internal("streamlit.file_util", "get_static_dir", "finds the front end that is served"),
    Internal("streamlit.source_util", "page_icon_and_name", "names the pages of files as Streamlit does"),
    Internal("streamlit.url_util", "is_url", "tells pages from links as Streamlit does"),
    Internal("streamlit.util", "calc_hash", "knows a page by its hash: rules by page rest on it"),
    Internal("streamlit.navigation.page", "Page.run", "stops a page that its visitor may not see before it runs"),
    Internal("streamlit.runtime", "exists", "asks whether there is a runtime before it is used"),
    Internal("streamlit.runtime", "get_instance", "reaches the files that visitors have uploaded"),
    Internal("streamlit.runtime.runtime", "Runtime.media_file_mgr", "knows which files a message refers to"),
    Internal("streamlit.runtime.runtime", "Runtime.uploaded_file_mgr", "removes files that were not accepted"),
    Internal("streamlit", "App._build_starlette_app", "lists the routes for this check; nothing that serves uses it"),
)


def missing_internals() -> Iterator[Internal]:
    """Those that the installed Streamlit does not have."""
    return (internal for internal in INTERNALS if not _is_there(internal))


def _is_there(internal: Internal) -> bool:
    try:
        found = importlib.import_module(internal.module)
    except ImportError:
        return False
    for part in internal.name.split("."):
        if not hasattr(found, part):
            return False
        found = getattr(found, part)
    return True
