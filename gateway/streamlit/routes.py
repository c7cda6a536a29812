"""The routes of the installed Streamlit, and what of them the manifest does not name."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import streamlit as st
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from streamlit import config

from gateway.streamlit.manifest import FRONTEND, ROUTES

# The options that give Streamlit routes which it does not have otherwise.
_FEATURES: Final = tuple(sorted({route.option for route in ROUTES if route.option} | {"server.enableAgentApi"}))


@dataclass(frozen=True, slots=True)
class Found:
    """A route of Streamlit as Starlette knows it. `methods` is empty for what is not plain HTTP."""

    protocol: Literal["http", "websocket", "mount", "unknown"]
    path: str
    methods: tuple[str, ...] = ()


def installed_routes(script: Path) -> tuple[Found, ...]:
    """Every route that the installed Streamlit has for a script, with all of its features switched on.

    Changes options of this process, so it is nothing for one that serves.
    """
    for name in _FEATURES:
        config.set_option(name, True, "streamlit-gateway")
    # Private: nothing public gives the routes before the application has started.
    application = st.App(script)._build_starlette_app()  # noqa: SLF001
    return tuple(_found(route) for route in application.routes)


def compare(routes: Iterable[Found]) -> tuple[Found, ...]:
    """The routes, with the methods, that the manifest does not name: nobody has looked at them."""
    named: dict[tuple[str, str], set[str]] = {
        (route.protocol, route.path): {*route.methods, *route.withheld} for route in ROUTES
    }
    unknown: dict[tuple[str, str], Found] = {}
    for route in routes:
        place = (route.protocol, route.path)
        known = named.get(place)
        more = set(route.methods) - (known or set())
        if (known is None and not _is_frontend(route)) or more:
            # Streamlit has a route for each method or two.
            before = unknown[place].methods if place in unknown else ()
            unknown[place] = Found(route.protocol, route.path, tuple(sorted({*before, *more})))
    return tuple(unknown.values())


def _found(route: BaseRoute) -> Found:
    match route:
        case Route():
            return Found("http", route.path, tuple(sorted(route.methods or ("any",))))
        case WebSocketRoute():
            return Found("websocket", route.path)
        case Mount():
            return Found("mount", route.path or f"/ ({route.name})")
        case _:
            return Found("unknown", str(getattr(route, "path", "?")))


def _is_frontend(route: Found) -> bool:
    return route == Found("mount", f"/ ({FRONTEND})")
