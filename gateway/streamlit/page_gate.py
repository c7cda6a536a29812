"""Keeps a script from running a page that its visitor may not have.

What such a page shows does not leave (`view.py`), but running it can have effects, and what it leaves in the session's
state could be shown by a page that the visitor may have. Streamlit runs every page through one public method,
`st.Page.run`, in the script's thread; it is wrapped here, once for the process.
"""

from collections.abc import Callable
from functools import wraps
from typing import Final

import streamlit as st
from streamlit.navigation.page import Page

from gateway.streamlit.current import access_of_script

_MARK: Final = "__gateway_page_gate__"


def install() -> None:
    """Wrap `st.Page.run`; what is wrapped already stays as it is."""
    if not hasattr(Page.run, _MARK):
        Page.run = _gated(Page.run)  # type: ignore[method-assign, assignment]


def _gated(run: Callable[[Page], None]) -> Callable[[Page], None]:
    @wraps(run)
    def gated(page: Page) -> None:
        path = f"/{page.url_path}"
        access = access_of_script()
        # Without a socket of a visitor (Streamlit's own health check of the script) there is nobody to judge: only the
        # default page is run.
        allowed = path == "/" if access is None else page.is_external or access.page(path).allowed
        if not allowed:
            st.stop()  # the notice is there already: `navigation` has named the page before it is run
        run(page)

    setattr(gated, _MARK, True)
    return gated
