"""Names from the wire grant nothing: headers that claim an identity, an address or another target are taken out.

Every product in this field has had this fault (CVE-2025-64484, CVE-2026-30851, CVE-2026-39858 and others): the proxy
removes `X-Forwarded-User`, and the application reads `X_Forwarded_User`, or the second of two. So: the plain spelling
is removed without a word, since honest proxies send it; an underscore spelling or a second identity header has no
honest sender and is refused.
"""

from functools import lru_cache

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.middleware.exchange import exchange_of
from gateway.middleware.refusals import Refusals
from gateway.model import Reason

# Who somebody is, as identity-aware proxies say it.
IDENTITY_PREFIXES = (
    "x-auth-request-",  # oauth2-proxy
    "x-forwarded-user",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-preferred-username",
    "x-forwarded-access-token",
    "remote-",  # Authelia: remote-user, remote-groups, remote-email, remote-name
    "x-remote-",
    "x-pomerium-",
    "cf-access-",  # Cloudflare Access
    "x-goog-iap-",
    "x-goog-authenticated-",
    "x-amzn-oidc-",
    "x-ms-client-",  # Azure App Service
    "x-ms-token-",
    "tailscale-user-",
    "x-webauth-",  # Grafana's auth proxy
    "x-authenticated-",
    "x-authentik-",
    "x-streamlit-user",
    "x-user",
    "x-email",
    "x-groups",
    "x-client-cert",
    "x-ssl-",
    "ssl-client-",
    "x-gateway-",  # ours
)
# Where a request came from or was meant to go, as proxies say it. Several lines of these are lawful (RFC 9110 §5.3).
ROUTING_PREFIXES = (
    "x-forwarded",
    "forwarded",
    "x-real-ip",
    "x-client-ip",
    "client-ip",
    "x-cluster-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "fastly-client-ip",
    "fly-client-ip",
    "x-azure-clientip",
    "x-appengine-",
    "x-envoy-",
    "x-original-",
    "x-rewrite-url",
    "x-http-method",  # x-http-method-override and its kin
    "x-method-override",
    "x-host",
    "proxy",  # `Proxy:` becomes HTTP_PROXY in CGI children (CVE-2016-5385)
)
_REMOVED = IDENTITY_PREFIXES + ROUTING_PREFIXES


class IdentityHeaders:
    """Refuses smuggled identity headers and removes all others, so that nothing below can believe them.

    http and websocket: the same. What the gateway needed of them (client address, request id) was read before.
    lifespan: passes.
    """

    def __init__(self, app: ASGIApp, *, refusals: Refusals) -> None:
        self.app = app
        self.refusals = refusals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        suspects = [name for name, _ in headers if claims(name)]
        if suspects:
            if smuggled(suspects):
                await self.refusals.refuse(scope, send, Reason.IDENTITY_HEADER_SMUGGLED)
                return
            exchange = exchange_of(scope)
            client = exchange.context.client
            if any(_dashed(name).startswith(IDENTITY_PREFIXES) for name in suspects):
                flags = (*client.flags, "identity-header-removed")
                exchange.refine(client=type(client)(client.address, client.provenance, client.problem, flags))
            scope = {**scope, "headers": [(name, value) for name, value in headers if not claims(name)]}
        await self.app(scope, receive, send)


@lru_cache(maxsize=1024)
def claims(name: bytes) -> bool:
    """Whether a header of that name, in any spelling, claims an identity, an address or another target."""
    return _dashed(name).startswith(_REMOVED)


def smuggled(names: list[bytes]) -> bool:
    """Whether these claims were sent in a way that no honest proxy uses: an underscore, or an identity named twice."""
    if any(b"_" in name for name in names):
        return True
    identities = [_dashed(name) for name in names if _dashed(name).startswith(IDENTITY_PREFIXES)]
    return len(identities) != len(set(identities))


def _dashed(name: bytes) -> str:
    return name.decode("latin-1").lower().replace("_", "-")
