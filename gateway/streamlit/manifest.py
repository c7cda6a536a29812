"""Every route that Streamlit serves, as data: what is served of it, on which surface, and why.

Looked at in Streamlit 1.67, with every feature of its switched on; `tests/streamlit/test_manifest.py` compares these
entries with the routes of the installed version in both directions, and so does `gateway doctor`. A route that is not
named here is not served: what a newer Streamlit adds stays shut until somebody has looked at it.

Methods are those that we pass on. `withheld` are those that Streamlit would answer and we do not. OPTIONS is withheld
everywhere: Streamlit answers it with the addresses of its development server, and no page of another origin has any
business here, so that no browser needs to ask.
"""

from dataclasses import dataclass
from typing import Final, Literal

from gateway.model import Surface


@dataclass(frozen=True, slots=True)
class Route:
    """One route below the application, its path in Starlette's notation (`{name}` is a segment, `{name:path}` any).

    Whoever the rules allow gets there, always, or once `key` of the policy's `[streamlit]` says `"allow"`. `option` is
    the option of Streamlit without which it has no such route, and `since` the first version that we have looked at.
    """

    path: str
    surface: Surface
    methods: tuple[str, ...]
    because: str
    withheld: tuple[str, ...] = ("OPTIONS",)
    protocol: Literal["http", "websocket"] = "http"
    key: str | None = None
    option: str | None = None
    since: str = "1.67"


_READ: Final = ("GET", "HEAD")

ROUTES: Final[tuple[Route, ...]] = (
    Route(
        "/_stcore/stream",
        Surface.STREAM,
        (),
        "The socket through which everything happens: its handshake and each of its messages are judged.",
        withheld=(),
        protocol="websocket",
    ),
    Route(
        "/_stcore/health",
        Surface.STATIC,
        _READ,
        "The page asks it before it connects, and gets the cookie with the token for uploads.",
    ),
    Route(
        "/_stcore/host-config",
        Surface.STATIC,
        _READ,
        "The page asks it whose commands it may take. The gateway puts the policy's origins into the answer.",
        withheld=(),
    ),
    Route(
        "/_stcore/upload_file/{session_id}/{file_id}",
        Surface.UPLOAD,
        ("PUT", "DELETE"),
        "Files that visitors give to the tool.",
    ),
    Route("/media/{file_id:path}", Surface.MEDIA, _READ, "Images, audio, video and downloads that the tool made."),
    Route("/component/{path:path}", Surface.COMPONENT, _READ, "Documents of declared components, in their frames."),
    Route("/_stcore/bidi-components/{path:path}", Surface.COMPONENT, _READ, "Scripts of packaged components."),
    Route(
        "/app/static/{path:path}",
        Surface.STATIC,
        _READ,
        "Files of the tool's own static folder, where the tool has switched that on.",
        option="server.enableStaticServing",
    ),
    Route(
        "/auth/login",
        Surface.API,
        ("GET",),
        "Streamlit's own sign-in, for tools that have set it up.",
        withheld=("HEAD",),
    ),
    Route(
        "/auth/logout",
        Surface.API,
        ("GET",),
        "Streamlit's own sign-out. A GET that changes something, so that a foreign page can cause it: it ends a sign-in"
        " of the tool's own, never a session of the gateway.",
        withheld=("HEAD",),
    ),
    Route(
        "/oauth2callback",
        Surface.API,
        ("GET",),
        "Where the identity provider of Streamlit's own sign-in sends the visitor back to.",
        withheld=("HEAD",),
    ),
    Route(
        "/_stcore/metrics",
        Surface.API,
        _READ,
        "Counts and sizes of sessions and caches: for operators, not for visitors.",
        key="metrics",
    ),
    Route(
        "/_stcore/script-health-check",
        Surface.API,
        _READ,
        "Runs the whole script for whoever asks, without a session: a load that a visitor must not be able to make.",
        key="script_health",
        option="server.scriptHealthCheckEnabled",
    ),
    Route(
        "/_stcore/agent/interact",
        Surface.MCP,
        ("POST",),
        "Drives the tool from a program, without page or cookie.",
        withheld=("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"),
        key="agent_api",
    ),
    Route(
        "/_stcore/agent/openapi.json",
        Surface.MCP,
        _READ,
        "Describes the interface for programs.",
        withheld=("POST", "PUT", "PATCH", "DELETE", "OPTIONS"),
        key="agent_api",
    ),
    Route(
        "/_stcore/agent/mcp",
        Surface.MCP,
        ("POST",),
        "The interface for programs as a server of the Model Context Protocol.",
        withheld=("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"),
        key="agent_api",
    ),
)

# The mount of Streamlit's front end at the root, which answers every other path with its page as well. We serve the
# files that are in its folder, our own copy of the page at the paths of pages, and nothing else.
FRONTEND: Final = "static-assets"
