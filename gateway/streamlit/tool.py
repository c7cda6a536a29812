"""The Streamlit tool itself, hardened and ready to be wrapped."""

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import streamlit as st
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.audit.recorder import Recorder
from gateway.errors import StartupError
from gateway.middleware.exchange import exchange_of
from gateway.middleware.refusals import Refusals
from gateway.model import Policy, Surface, Target
from gateway.streamlit.assets import installed
from gateway.streamlit.assets_upkeep import Places
from gateway.streamlit.document import Document
from gateway.streamlit.handover import HandOver
from gateway.streamlit.heap import settle
from gateway.streamlit.host_config import HostConfig
from gateway.streamlit.machine import switch_often
from gateway.streamlit.media import Media
from gateway.streamlit.options import harden, verify
from gateway.streamlit.ownership import Ownership
from gateway.streamlit.page_gate import install
from gateway.streamlit.pages import Pages, discover
from gateway.streamlit.script_errors import recorded
from gateway.streamlit.surfaces import Elsewhere, Surfaces
from gateway.streamlit.uploads import UploadGuard
from gateway.streamlit.versions import announce, check_version

_PROTOCOLS: tuple[Literal["http", "websocket"], ...] = ("http", "websocket")
Lifespan = Callable[[Any], AbstractAsyncContextManager[dict[str, Any] | None]]


@dataclass(frozen=True, slots=True)
class Extensions:
    """What the tool's owner adds, in Starlette's own types. `middleware` runs inside admission and record."""

    routes: Sequence[BaseRoute] = ()
    middleware: Sequence[Middleware] = ()
    lifespan: Lifespan | None = None
    exception_handlers: Mapping[Any, Callable[[Any, Any], Any]] | None = None
    on_script_error: Callable[[Exception], bool | None] | None = None

    def target(self, method: str, path: str) -> Target | None:
        """The target at that path, if the owner has a route there; of several the one that knows the method."""
        found: dict[Literal["http", "websocket"], BaseRoute] = {}
        for kind in _PROTOCOLS if self.routes else ():
            scope: Scope = {"type": kind, "path": path, "root_path": "", "method": method, "headers": []}
            best = max(self.routes, key=lambda route: route.matches(scope)[0].value)
            if best.matches(scope)[0] is not Match.NONE:
                found[kind] = best
        if not found:
            return None
        methods = getattr(found.get("http"), "methods", None) or {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}
        return Target(Surface.API, methods=tuple(sorted(methods)), protocols=tuple(found))


class Tool:
    """One Streamlit script as an ASGI application: its document from us, everything else from Streamlit.

    http: pages get the gateway's copy of Streamlit's document. websocket: Streamlit's. lifespan: Streamlit's, which
    runs the owner's; hardened options are verified once it has started.
    """

    def __init__(
        self,
        script: Path,
        extensions: Extensions,
        *,
        policy: Policy,
        base_path: str,
        cookie_secret: str,
        packs: Places,
        recorder: Recorder,
        refusals: Refusals,
        reload: bool,
    ) -> None:
        self.script = script.resolve()
        if not self.script.is_file():
            raise StartupError(f"there is no Streamlit script at {script}", hint="name the file: gateway serve tool.py")
        announce(check_version(st.__version__))
        self.pages = self._discover(policy)
        self.extensions = extensions
        self.ownership = Ownership()
        install()
        # `streamlit run` does the same: a script imports its neighbours.
        if str(self.script.parent) not in sys.path:
            sys.path.insert(0, str(self.script.parent))
        self._streamlit = st.App(
            self.script,
            routes=extensions.routes,
            middleware=extensions.middleware,
            lifespan=extensions.lifespan,
            exception_handlers=extensions.exception_handlers,
            on_script_error=recorded(recorder, extensions.on_script_error),
        )
        limits = policy.limits
        self._options = harden(
            base_path=base_path,
            upload_bytes=limits.upload,
            message_bytes=limits.message,
            cookie_secret=cookie_secret,
            agent_api=policy.streamlit.agent_api == "allow",
            script_health=policy.streamlit.script_health == "allow",
            reload=reload,
        )
        self._document = Document()
        self._assets = installed(packs)
        handover = HandOver(self._streamlit, ownership=self.ownership, recorder=recorder)
        media = Media(handover, ownership=self.ownership, refusals=refusals)
        files = UploadGuard(media, ownership=self.ownership, refusals=refusals)
        self._handed_over: ASGIApp = HostConfig(files)

    def _discover(self, policy: Policy) -> Pages:
        try:
            return discover(self.script, policy.streamlit.pages)
        except SyntaxError as error:
            raise StartupError(f"{self.script.name} is not valid Python: line {error.lineno}: {error.msg}") from error

    def surfaces(self, ours: Elsewhere) -> Surfaces:
        """The manifest of everything that is served: `ours` first, then the owner's routes, then Streamlit's."""
        return Surfaces(self.pages, lambda method, path: ours(method, path) or self.extensions.target(method, path))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            try:
                await self._streamlit(scope, receive, self._verified(send))
            finally:
                await self._assets.close()
        elif exchange_of(scope).surface is Surface.PAGE:
            await self._document(scope, receive, send)
        elif exchange_of(scope).surface is Surface.STATIC and exchange_of(scope).context.path in self._assets:
            await self._assets(scope, receive, send)
        else:
            await self._handed_over(scope, receive, send)

    def _verified(self, send: Send) -> Send:
        async def verified(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                settle()
                switch_often()
                try:
                    verify(self._options)
                    self._assets.start()
                except StartupError as error:
                    message = {"type": "lifespan.startup.failed", "message": str(error)}
            await send(message)

        return verified
