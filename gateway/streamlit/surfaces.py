"""Every route that Streamlit serves, with its surface and methods. What is not named here is not served.

Observed on Streamlit 1.67. Left out on purpose, so that they are 404: `/_stcore/metrics` and
`/_stcore/script-health-check` (for operators, not visitors), and OPTIONS everywhere (Streamlit answers it with the
addresses of its development server).
"""

from collections.abc import Callable
from pathlib import Path

from streamlit import config, file_util

from gateway.model import Policy, Surface, Target
from gateway.streamlit.pages import Pages

_READ = ("GET", "HEAD")
_PROBE = Target(Surface.PROBE, methods=("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_STATIC = Target(Surface.STATIC, methods=_READ)

_EXACT = {
    "/_stcore/health": Target(Surface.STATIC, methods=_READ),
    "/_stcore/host-config": Target(Surface.STATIC, methods=("GET",)),
    "/_stcore/stream": Target(Surface.STREAM, methods=("GET",)),
    "/auth/login": Target(Surface.API, methods=("GET",)),
    "/auth/logout": Target(Surface.API, methods=("GET",)),
    "/oauth2callback": Target(Surface.API, methods=("GET",)),
}
_PREFIXES = (
    ("/_stcore/upload_file/", Target(Surface.UPLOAD, methods=("PUT", "DELETE"))),
    ("/_stcore/bidi-components/", Target(Surface.COMPONENT, methods=("GET",))),
    ("/component/", Target(Surface.COMPONENT, methods=("GET",))),
    ("/media/", Target(Surface.MEDIA, methods=_READ)),
)
_AGENT = ("/_stcore/agent/interact", "/_stcore/agent/openapi.json", "/_stcore/agent/mcp")

# What the gateway itself and the tool's owner serve: asked first, so that the manifest above stays Streamlit's.
Elsewhere = Callable[[str, str], Target | None]


class Surfaces:
    """Says what a method and a path below the application address."""

    def __init__(self, pages: Pages, elsewhere: Elsewhere) -> None:
        self.pages = pages
        self.elsewhere = elsewhere
        self._files = frozenset(_frontend_files())

    def target(self, method: str, path: str, policy: Policy) -> Target:
        """The target of a request; PROBE when we serve nothing there."""
        return self.elsewhere(method, path) or self._streamlit(path) or self._agent(path, policy) or self._page(path)

    def _streamlit(self, path: str) -> Target | None:
        if path in _EXACT:
            return _EXACT[path]
        if path in self._files:
            return _STATIC
        if path.startswith("/app/static/") and config.get_option("server.enableStaticServing"):
            return _STATIC
        return next((target for prefix, target in _PREFIXES if path.startswith(prefix)), None)

    def _agent(self, path: str, policy: Policy) -> Target | None:
        if path in _AGENT and policy.streamlit.agent_api == "allow":
            return Target(Surface.MCP, methods=("GET", "POST"))
        return None

    def _page(self, path: str) -> Target:
        page = self.pages.page(path)
        return _PROBE if page is None else Target(Surface.PAGE, page, _READ)


def _frontend_files() -> list[str]:
    """The URL paths of Streamlit's own front end, but for its document, which the gateway serves itself."""
    root = Path(file_util.get_static_dir())
    files = (path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    return [f"/{file}" for file in files if file != "index.html"]
