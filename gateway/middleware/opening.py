"""What is known of an exchange at its first byte: who is behind the peer, for which host, and where it wants to go."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache

from starlette.types import Scope

from gateway import entropy
from gateway.identity.client import ProxyTrust, client_scheme, find_client, request_id_from
from gateway.identity.host import parse_host
from gateway.middleware.exchange import Exchange
from gateway.model import Policy, Proxies, RequestContext, Surface, Target

ActivePolicy = Callable[[], Policy]
OUTSIDE = Target(Surface.PROBE)  # not below our base path, or nothing that answers there
TargetOf = Callable[[str, str, Policy], Target]


class Opening:
    """Opens exchanges. The policy is asked for once, here: every exchange is judged by exactly one revision."""

    def __init__(self, active_policy: ActivePolicy, target_of: TargetOf, base_path: str = "") -> None:
        self.active_policy = active_policy
        self.target_of = target_of
        self.base_path = base_path

    def __call__(self, scope: Scope) -> Exchange:
        """The exchange of a scope. Never raises for anything that a client can send."""
        policy = self.active_policy()
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        peer, port = scope.get("client") or (None, None)
        trust = trust_of(policy.proxies)
        found = find_client(trust, peer, headers)
        host = parse_host(headers)
        method = scope.get("method", "GET")
        path = path_below(scope["path"], scope.get("root_path", "") + self.base_path)
        target = OUTSIDE if path is None else self.target_of(method, path, policy)
        if scope["type"] not in target.protocols:
            target = OUTSIDE
        context = RequestContext(
            received_at=datetime.now(UTC),
            kind=scope["type"],
            peer=peer,
            client=found.client,
            scheme=client_scheme(trust, peer, headers, scope["scheme"]),
            method=method,
            path=scope["path"] if path is None else path,
            surface=target.surface,
            host=host.host,
            port=host.port,
            host_problem=host.problem,
            page=target.page,
            origin=_only(headers, b"origin"),
        )
        return Exchange(
            request_id=request_id_from(trust, peer, headers) or entropy.take(16).hex(),
            context=context,
            policy=policy,
            target=target,
            http_version=scope.get("http_version", "1.1"),
            peer_port=port,
            forwarded=found.forwarded,
            user_agent=_only(headers, b"user-agent"),
        )


@lru_cache(maxsize=8)
def trust_of(proxies: Proxies) -> ProxyTrust:
    """The compiled form of what a policy says about proxies, made once."""
    return ProxyTrust.of(proxies)


def path_below(path: str, root: str) -> str | None:
    """The decoded path below the application's root (ASGI: `path` includes `root_path`); None when it is outside."""
    if not root or path == root:
        return path if not root else "/"
    return path[len(root) :] if path.startswith(root + "/") else None


def _only(headers: list[tuple[bytes, bytes]], name: bytes) -> str | None:
    """The value of a header; several lines are one list (RFC 9110 §5.3), which no origin equals."""
    values = [value for key, value in headers if key == name]
    return b", ".join(values).decode("latin-1") if values else None
