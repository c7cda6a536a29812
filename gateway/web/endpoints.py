"""What the gateway itself serves under `/.gateway/`. Judged, recorded and limited like everything else."""

from collections.abc import Awaitable, Callable, Mapping

from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.middleware.exchange import Exchange, exchange_of
from gateway.model import Surface, Target
from gateway.web.closed import CLOSED
from gateway.web.health import Health

PREFIX = "/.gateway/"
FRAMES = "/.gateway/frame/"
REPORTS = "/.gateway/csp-report"
_READ = Target(Surface.GATEWAY, methods=("GET", "HEAD"))
_REPORT = Target(Surface.GATEWAY, methods=("POST",))


class Endpoints:
    """The gateway's own routes. Detail about health is for the operations listener: here it is one word.

    `reports` takes what browsers report, `embedded` serves the HTML that scripts embed, `closed` says why a socket has
    ended.
    """

    def __init__(self, health: Health, *, reports: ASGIApp, embedded: ASGIApp, closed: ASGIApp) -> None:
        self.health = health
        self._embedded = embedded
        self._routes: Mapping[str, tuple[Target, ASGIApp]] = {
            "/.gateway/healthz": (_READ, _answered(self._healthz)),
            "/.gateway/readyz": (_READ, _answered(self._readyz)),
            "/.gateway/whoami": (_READ, _answered(whoami)),
            REPORTS: (_REPORT, reports),
            CLOSED: (_READ, closed),
        }

    def target(self, path: str) -> Target | None:
        """The target at that path, if it is one of ours."""
        route = self._route(path)
        return None if route is None else route[0]

    def _route(self, path: str) -> tuple[Target, ASGIApp] | None:
        return (_READ, self._embedded) if path.startswith(FRAMES) else self._routes.get(path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._route(exchange_of(scope).context.path)
        if route is not None:  # nothing else is on the surface `gateway`
            await route[1](scope, receive, send)

    def _healthz(self, _: Exchange) -> Response:
        return _word("ok", 200)

    def _readyz(self, _: Exchange) -> Response:
        ready = self.health.ready
        return _word("ready" if ready else "not ready", 200 if ready else 503)


def _answered(answer: Callable[[Exchange], Response]) -> ASGIApp:
    async def answered(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(exchange_of(scope))(scope, receive, send)

    return answered


def whoami(exchange: Exchange) -> Response:
    """What we believe about the visitor: these keys and no others (no token, no cookie, no header)."""
    context, decision = exchange.context, exchange.decision
    body = {
        "request_id": exchange.request_id,
        "client": {"address": context.client.address, "provenance": context.client.provenance},
        "principal": {
            "id": context.principal.id,
            "method": context.principal.method,
            "groups": list(context.principal.groups),
        },
        "session": context.session,
        "policy": {"revision": exchange.policy.ref.revision, "digest": exchange.policy.ref.digest},
        "rule": None if decision is None else decision.rule,
    }
    return JSONResponse(body, headers={"cache-control": "no-store"})


def _word(text: str, status: int) -> Response:
    return PlainTextResponse(text, status, headers={"cache-control": "no-store"})


class Operations:
    """The operations listener's application: health in full, for whoever is on the machine.

    http: `/healthz` (the process answers) and `/readyz` (it may be sent visitors; says why not). websocket: refused.
    lifespan: passes nothing on: it has nothing to start.
    """

    def __init__(self, health: Health) -> None:
        self.health = health

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._answer(scope["path"], scope["method"])(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})

    def _answer(self, path: str, method: str) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
        if path not in ("/healthz", "/readyz"):
            return _word("not found", 404)
        if method not in ("GET", "HEAD"):
            return _word("method not allowed", 405)
        if path == "/healthz":
            return _word("ok", 200)
        return JSONResponse(self.health.report(), 200 if self.health.ready else 503)
