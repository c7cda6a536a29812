"""Streamlit's answer about its host, with the origins of the policy in the place of its own."""

import json

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.middleware.exchange import Exchange, exchange_of

PATH = "/_stcore/host-config"

# What the page would do at the word of a page that frames it, or report to somebody: never, whatever was configured.
FIXED = {"useExternalAuthToken": False, "enableCustomParentMessages": False, "metricsUrl": ""}


class HostConfig:
    """Rewrites `/_stcore/host-config`, which tells the page from which origins it takes commands.

    Streamlit names the pages of its cloud there, or those of its own configuration, for everybody. Its answer is kept
    as it is otherwise, so that a newer version's page finds every key that it asks for.

    http: only that path. websocket, lifespan: pass.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or exchange_of(scope).context.path != PATH:
            await self.app(scope, receive, send)
            return
        # Without conditions and encodings: the answer is to come whole, and is short.
        headers = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
        answer = _Answer()
        await self.app({**scope, "method": "GET", "headers": headers}, receive, answer)
        body = rewritten(bytes(answer.body), exchange_of(scope))
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [
                    (b"content-type", b"application/json"),
                    (b"content-length", str(len(body)).encode()),
                    (b"cache-control", b"no-store"),
                ],
            }
        )
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def rewritten(body: bytes, exchange: Exchange) -> bytes:
    """The answer as it goes out. Raises ValueError when Streamlit's is not the JSON object that we know."""
    config = json.loads(body)
    if not isinstance(config, dict) or "allowedOrigins" not in config:
        raise ValueError("Streamlit's host configuration is not laid out as expected")
    config |= {name: value for name, value in FIXED.items() if name in config}
    config["allowedOrigins"] = list(exchange.policy.hosts.origins)
    return json.dumps(config, separators=(",", ":")).encode()


class _Answer:
    """The body of an answer, collected."""

    def __init__(self) -> None:
        self.body = bytearray()

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.body":
            self.body += message.get("body", b"")
