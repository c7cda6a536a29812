"""What a method and a path address: the routes of the manifest, the files of the front end, pages, or nothing."""

from collections.abc import Callable
from pathlib import Path
from re import Pattern

from starlette.routing import compile_path
from streamlit import config, file_util

from gateway.model import Policy, Surface, Target
from gateway.streamlit.manifest import ROUTES, Route
from gateway.streamlit.pages import Pages

_READ = ("GET", "HEAD")
_PROBE = Target(Surface.PROBE)
_STATIC = Target(Surface.STATIC, methods=_READ)

# What the gateway itself and the tool's owner serve: asked first, so that the manifest stays Streamlit's.
Elsewhere = Callable[[str, str], Target | None]


class Surfaces:
    """Says what a method and a path below the application address. Everything else is a probe."""

    def __init__(self, pages: Pages, elsewhere: Elsewhere) -> None:
        self.pages = pages
        self.elsewhere = elsewhere
        self._files = frozenset(_frontend_files())
        self._targets = {route.path: target_of(route) for route in ROUTES}
        self._exact = {route.path: route for route in ROUTES if "{" not in route.path}
        self._patterns = [_compiled(route) for route in ROUTES if "{" in route.path]

    def target(self, method: str, path: str, policy: Policy) -> Target:
        """The target of a request; PROBE when we serve nothing there."""
        return self.elsewhere(method, path) or self._streamlit(path, policy) or self._page(path, policy)

    def _streamlit(self, path: str, policy: Policy) -> Target | None:
        route = self._exact.get(path) or self._matched(path)
        if route is None:
            return _STATIC if path in self._files else None
        return self._targets[route.path] if is_open(route, policy) else _PROBE

    def _matched(self, path: str) -> Route | None:
        for prefix, pattern, route in self._patterns:
            if path.startswith(prefix) and pattern.match(path):
                return route
        return None

    def _page(self, path: str, policy: Policy) -> Target:
        page = self.pages.page(path, policy.streamlit.pages)
        return _PROBE if page is None else Target(Surface.PAGE, page, _READ)


def target_of(route: Route) -> Target:
    """The target at a route of the manifest."""
    return Target(route.surface, methods=route.methods, protocols=(route.protocol,))


def is_open(route: Route, policy: Policy) -> bool:
    """Whether the route is served at all: the policy opens it where that is asked for, and Streamlit has it.

    Without its option Streamlit would answer there with its page.
    """
    asked = route.key is None or getattr(policy.streamlit, route.key) == "allow"
    return asked and (route.option is None or bool(config.get_option(route.option)))


def _compiled(route: Route) -> tuple[str, Pattern[str], Route]:
    return route.path.partition("{")[0], compile_path(route.path)[0], route


def _frontend_files() -> list[str]:
    """The URL paths of Streamlit's own front end, but for its document, which the gateway serves itself."""
    root = Path(file_util.get_static_dir())
    files = (path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    return [f"/{file}" for file in files if file != "index.html"]
