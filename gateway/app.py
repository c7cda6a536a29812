"""The composition root: a Streamlit tool inside the gateway's stack. The stack is one list; read it top to bottom."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from starlette.middleware import Middleware
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import GatewayError
from gateway.hosting import check_server
from gateway.identity.session import SessionSealer
from gateway.middleware.admission import Admission
from gateway.middleware.error_pages import ErrorPages
from gateway.middleware.exchange import exchange_of
from gateway.middleware.headers import SecurityHeaders
from gateway.middleware.identity_headers import IdentityHeaders
from gateway.middleware.limits import Limits
from gateway.middleware.opening import Opening, trust_of
from gateway.middleware.quotas import Quotas
from gateway.middleware.raw import RawRefusals
from gateway.middleware.recording import Recording
from gateway.middleware.refusals import Refusals
from gateway.middleware.session_activity import SessionActivity
from gateway.middleware.sessions import Sessions
from gateway.model import Surface
from gateway.resources import Resources, explain, not_ready
from gateway.settings import Settings
from gateway.streamlit.assets_upkeep import Places
from gateway.streamlit.content_security import changes_of
from gateway.streamlit.frames import EmbeddedHtml, Frames
from gateway.streamlit.stream import Parts, StreamGuard
from gateway.streamlit.tool import Extensions, Lifespan, Tool
from gateway.web.closed import Closed
from gateway.web.endpoints import Endpoints
from gateway.web.reports import Reports


class Gateway:
    """An ASGI application around a Streamlit script: every exchange judged, limited, recorded and explained.

        app = Gateway("streamlit_app.py", policies="policies")

    `routes`, `middleware`, `lifespan`, `exception_handlers` and `on_script_error` are Starlette's and Streamlit's own;
    they run inside admission and record. Nothing is opened before `start` (which the server's lifespan calls): until
    then every request is refused.

    http and websocket: through the stack below. lifespan: starts the gateway, then the tool; stops them in reverse.

    Raises:
        SettingsError: when the environment cannot be used.
    """

    def __init__(
        self,
        script: str | os.PathLike[str] | None = None,
        *,
        policies: str | os.PathLike[str] | None = None,
        routes: Sequence[BaseRoute] = (),
        middleware: Sequence[Middleware] = (),
        lifespan: Lifespan | None = None,
        exception_handlers: Mapping[Any, Callable[[Any, Any], Any]] | None = None,
        on_script_error: Callable[[Exception], bool | None] | None = None,
        settings: Settings | None = None,
        reload: bool = False,
    ) -> None:
        self.settings = settings or Settings.load(
            os.environ,
            script=None if script is None else Path(script),
            policies=None if policies is None else Path(policies),
        )
        self.extensions = Extensions(routes, middleware, lifespan, exception_handlers, on_script_error)
        self.reload = reload
        self.resources: Resources | None = None
        self._app: ASGIApp = not_ready
        self._reports: Reports | None = None

    def start(self) -> Resources:
        """Open policies, state and record, and build the stack. Once; `stop` undoes it.

        Raises:
            ConfigurationError: policies that cannot be used.
            StartupError: the state directory, the record or the script.
        """
        if self.resources is None:
            self.resources = resources = Resources.open(self.settings)
            try:
                self._app = self._stack(resources)
            except BaseException:
                self.stop()
                raise
            resources.announce()
        return self.resources

    def stop(self) -> None:
        """Close the record and stop watching the policies. What comes after is refused."""
        self._app = not_ready
        if self._reports is not None:
            self._reports.flush()  # what has only been counted so far
            self._reports = None
        if self.resources is not None:
            self.resources.close()
            self.resources = None

    def raw_refusals(self) -> RawRefusals:
        """The hook for our own server: answers bytes that never become a request."""
        resources = self.start()
        return RawRefusals(resources.active_policy, resources.brand, resources.recorder)

    def trusts_peer(self, peer: str) -> bool:
        """Whether that peer is a trusted proxy, behind which many visitors may stand."""
        return self.resources is not None and trust_of(self.resources.active_policy().proxies).trusts(peer)

    def _stack(self, resources: Resources) -> ASGIApp:
        settings, recorder = self.settings, resources.recorder
        refusals = Refusals(resources.brand, recorder)
        tool = Tool(
            settings.script,
            self.extensions,
            policy=resources.revisions.active,
            base_path=settings.server.base_path,
            cookie_secret=resources.state.streamlit_cookie_secret().reveal().hex(),
            packs=Places(resources.state.cache_directory(), settings.assets.dir),
            recorder=recorder,
            refusals=refusals,
            reload=self.reload,
        )
        sessions = SessionActivity()
        base_path = settings.server.base_path
        frames = Frames(base_path)
        self._reports = reports = Reports(recorder.ledger.append, masks=recorder.masks)
        endpoints = Endpoints(resources.health, reports=reports, embedded=frames, closed=Closed(resources.brand))
        surfaces = tool.surfaces(lambda _, path: endpoints.target(path))
        opening = Opening(resources.active_policy, surfaces.target, settings.server.base_path)
        parts = Parts(recorder, tool.pages, tool.ownership, sessions, resources.brand, resources.active_policy)
        security = partial(changes_of, base=base_path)

        stack = [
            # outermost first
            Middleware(Recording, open_exchange=opening, recorder=recorder),  # one exchange, one closing record
            Middleware(SecurityHeaders, content_security=security),  # on every answer, whoever gives it
            Middleware(ErrorPages, refusals=refusals),  # what breaks below gets a page, not a trace
            Middleware(Limits, refusals=refusals),  # target, head, method, body: before anybody looks inside
            Middleware(IdentityHeaders, refusals=refusals),  # names from the wire grant nothing
            Middleware(Sessions, sealer=_sealer(resources), activity=sessions),  # our cookie in, and out again
            Middleware(Admission, recorder=recorder, refusals=refusals),  # the judgement, in the record before it acts
            Middleware(Quotas, refusals=refusals),  # rates and counts of those who may come in
            Middleware(StreamGuard, parts=parts),  # each message inside the socket, and the socket itself
            Middleware(EmbeddedHtml, frames=frames),  # HTML that a script embeds becomes a document of its own
        ]
        app: ASGIApp = _Inside(endpoints, tool)
        for layer in reversed(stack):
            app = layer.cls(app, *layer.args, **layer.kwargs)
        return app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        try:
            check_server()
            self.start()
        except GatewayError as error:
            await send({"type": "lifespan.startup.failed", "message": explain(error)})
            return
        try:
            await self._app(scope, _again(message, receive), send)
        finally:
            self.stop()


class _Inside:
    """What the stack protects: the gateway's own endpoints, and the tool."""

    def __init__(self, endpoints: Endpoints, tool: Tool) -> None:
        self.endpoints = endpoints
        self.tool = tool

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        ours = scope["type"] == "http" and exchange_of(scope).surface is Surface.GATEWAY
        await (self.endpoints if ours else self.tool)(scope, receive, send)


def _sealer(resources: Resources) -> SessionSealer:
    """Settings and state list keys newest first; the sealer wants the newest last."""
    return SessionSealer([key.reveal() for key in reversed(resources.session_keys)])


def _again(first: Message, receive: Receive) -> Receive:
    """A receive that gives a message once more that has been taken already."""
    pending = [first]

    async def again() -> Message:
        return pending.pop() if pending else await receive()

    return again


def __getattr__(name: str) -> Gateway:
    # `uvicorn gateway.app:app`: made when it is asked for, so that importing this module opens and reads nothing.
    if name == "app":
        globals()["app"] = Gateway()
        return globals()["app"]  # type: ignore[no-any-return]
    raise AttributeError(name)
