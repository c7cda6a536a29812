"""Whether the page that sends a request belongs to the origin it sends it to (RFC 6454).

A browser cannot be kept from opening a WebSocket to us from a foreign page, cookies included; the Origin header is
the only thing that tells (RFC 6455 §10.2, ASVS 4.4.2). So its three parts are compared whole, never a prefix or suffix.
"""

from typing import Literal

from gateway.identity.host import parse_authority
from gateway.model import Reason

Origin = tuple[str, str, int]  # scheme, host, port: the port is never left out

_DEFAULT_PORTS = {"http": 80, "https": 443}


def parse_origin(text: str) -> Origin | None:
    """Scheme, host and port that a serialized origin names (RFC 6454 §6.2); None for anything but one http(s) origin.

    `null` (a sandboxed frame, a `data:` page) is no origin; neither is anything with user information, a path
    (not even `/`), a query, a blank or a second origin. Letter case and a trailing dot of the host do not matter.
    """
    scheme, separator, authority = text.partition("://")
    scheme = scheme.lower()
    named = parse_authority(authority)
    if not separator or named is None or scheme not in _DEFAULT_PORTS:
        return None
    host, port = named
    return scheme, host, port or _DEFAULT_PORTS[scheme]


def origin_allowed(
    origin: str | None, *, scheme: Literal["http", "https"], host: str | None, port: int | None, extra: tuple[str, ...]
) -> Reason | None:
    """None when the origin is the request's own or one of `extra`; else the reason why not.

    `scheme`, `host` and `port` are the request's, canonical, as `client_scheme` and `parse_host` give them; without
    a port it is the scheme's. Entries of `extra` that are no origin allow nothing.
    """
    if origin is None:
        return Reason.ORIGIN_MISSING
    named = parse_origin(origin)
    own = None if host is None else (scheme, host, port or _DEFAULT_PORTS[scheme])
    if named is not None and (named == own or named in map(parse_origin, extra)):
        return None
    return Reason.ORIGIN_NOT_ALLOWED
