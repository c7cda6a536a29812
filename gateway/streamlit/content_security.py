"""From the names in a policy to the headers of an answer: Content-Security-Policy and what goes with it."""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from starlette.types import Scope

from gateway.middleware.exchange import Exchange, exchange_of
from gateway.model import ContentSecurity, Sources, Surface
from gateway.streamlit.profiles import COMPONENT, EMBEDDED, INERT, PROFILES, RELAXATIONS, SANDBOX, Entry
from gateway.web.endpoints import FRAMES, REPORTS

COMPONENTS: Final = "/component/"
PACKAGED: Final = "/_stcore/bidi-components/"

Headers = list[tuple[bytes, bytes]]
Changes = Mapping[bytes, bytes | None]

_KINDS: Final = {
    "scripts": "script-src",
    "styles": "style-src",
    "fonts": "font-src",
    "images": "img-src",
    "media": "media-src",
    "frames": "frame-src",
    "connect": "connect-src",
}
# Host names and IPv4 addresses; the grammar of CSP has no place for IPv6 ones.
_NAMED = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")


# --- documents ------------------------------------------------------------------------------------------------


def of_document(policy: ContentSecurity, nonce: str, home: str | None = None, base: str = "") -> Headers:
    """The policy headers of one page; a `report_only` profile goes beside the enforced one, without relaxations.

    `home` is the address of the application as the visitor's browser knows it (`home_of`), `base` its path there.
    """
    enforced = _template(policy.profile, policy.add, policy.external, policy.frame_ancestors, home, base)
    headers = [(b"content-security-policy", enforced.replace("{nonce}", nonce).encode())]
    if policy.report_only is not None:
        candidate = _template(policy.report_only, (), policy.external, policy.frame_ancestors, home, base)
        headers.append((b"content-security-policy-report-only", candidate.replace("{nonce}", nonce).encode()))
    return headers


def of_page(scope: Scope, nonce: str) -> Headers:
    """The policy headers of the page that this request asks for."""
    exchange = exchange_of(scope)
    base = base_of(scope, exchange)
    return of_document(exchange.policy.content_security, nonce, home_of(exchange, base), base)


def base_of(scope: Scope, exchange: Exchange) -> str:
    """The path of the application, without a slash at the end: what stands before the path that was judged."""
    path: str = scope["path"]
    below = exchange.context.path
    return (path.removesuffix(below) if path.endswith(below) else path).rstrip("/")


def home_of(exchange: Exchange, base: str) -> str | None:
    """Scheme, host, port and path of the application; None where CSP cannot say it (an IPv6 address, no host)."""
    context = exchange.context
    if context.host is None or not _NAMED.fullmatch(context.host):
        return None
    port = "" if context.port is None else f":{context.port}"
    return f"{context.scheme}://{context.host}{port}{base}" if re.fullmatch(r"[\w./~-]*", base, re.ASCII) else None


@lru_cache(maxsize=64)
def _template(
    profile: str, add: tuple[str, ...], external: Sources, ancestors: tuple[str, ...], home: str | None, base: str
) -> str:
    directives = _directives(PROFILES[profile].entries, home)
    # In the order of the table: what replaces comes last, whatever the policy's order.
    for name, relaxation in RELAXATIONS.items():
        if name in add:
            for directive in relaxation.replaced:
                del directives[directive]
            _add(directives, relaxation.entries, home)
    _add(directives, _outside(external), home)
    directives["frame-ancestors"] = ancestors or ("'none'",)
    directives["report-uri"] = (base + REPORTS,)
    return _text(directives)


# --- the documents in its frames ------------------------------------------------------------------------------


@lru_cache(maxsize=16)
def of_embedded(policy: ContentSecurity) -> bytes:
    """The policy of HTML that a script embeds: sandboxed, without network but for the hosts of `embedded`."""
    directives = _directives(EMBEDDED, None)
    _add(directives, _outside(policy.embedded), None)
    return _text(directives).encode()


@lru_cache(maxsize=64)
def of_component(policy: ContentSecurity, name: str, home: str | None) -> bytes:
    """The policy of a declared component's files: sandboxed unless the policy trusts the component."""
    sandbox = () if name in policy.trusted_components else (SANDBOX,)
    directives = _directives((*sandbox, *COMPONENT), home)
    _add(directives, _outside(policy.embedded), home)
    return _text(directives).encode()


# --- every other answer ---------------------------------------------------------------------------------------

_ISOLATED: Final[Changes] = {b"cross-origin-embedder-policy": b"require-corp"}
_INERT: Final[Changes] = {b"content-security-policy": INERT}
# What a document may do says nothing of a script or a font, and is as long as all other headers together: 27 kB of a
# first visit's 65 files.
_PART: Final[Changes] = {b"permissions-policy": None}
# In a document with an origin of its own, Origin-Agent-Cluster only fills the console.
_FRAMED: Final[Changes] = {b"x-frame-options": b"SAMEORIGIN", b"origin-agent-cluster": None}
# A sandboxed component asks for its own files from an origin that is nobody's. They are public: anybody can install
# the package.
_SHARED: Final[Changes] = {b"cross-origin-resource-policy": b"cross-origin", b"access-control-allow-origin": b"*"}


def changes_of(exchange: Exchange, base: str = "") -> Changes:
    """How the security headers of this answer differ from the usual ones, by its surface; None takes one away.

    The Content-Security-Policy among them is for an answer that brings none.
    """
    policy, path = exchange.policy.content_security, exchange.context.path
    changes: dict[bytes, bytes | None] = dict(_INERT)
    if PROFILES[policy.profile].isolated:
        changes |= _ISOLATED
    if exchange.surface is Surface.COMPONENT and path.startswith(COMPONENTS) and "components" in policy.add:
        name = path.removeprefix(COMPONENTS).partition("/")[0]
        changes |= _FRAMED
        changes |= {} if name in policy.trusted_components else _SHARED
        changes[b"content-security-policy"] = of_component(policy, name, home_of(exchange, base))
    elif exchange.surface is Surface.STATIC and exchange.reason is None:  # a refusal is a document
        changes |= _PART
    elif exchange.surface is Surface.GATEWAY and path.startswith(FRAMES):
        changes |= _FRAMED
    return changes


# --- the words of the language --------------------------------------------------------------------------------


def _directives(entries: Iterable[Entry], home: str | None) -> dict[str, tuple[str, ...]]:
    directives: dict[str, tuple[str, ...]] = {}
    for entry in entries:
        directives[entry.directive] = directives.get(entry.directive, ()) + _filled(entry.sources, home)
    return directives


def _add(directives: dict[str, tuple[str, ...]], entries: Iterable[Entry], home: str | None) -> None:
    """Add sources; `'none'` beside another source would be ignored, with a warning."""
    for entry in entries:
        present = [source for source in directives.get(entry.directive, ()) if source != "'none'"]
        added = [source for source in _filled(entry.sources, home) if source not in present]
        directives[entry.directive] = tuple(present + added) or ("'none'",)


def _filled(sources: tuple[str, ...], home: str | None) -> tuple[str, ...]:
    """The sources with our own paths in the places of their marks.

    Where CSP cannot name the host, frames and a component's own files fall back to `'self'` (nothing else of ours lets
    itself be framed, and a sandboxed component has no origin to lose); scripts of the page do not.
    """
    own = {
        "{frames}": "'self'" if home is None else home + FRAMES,
        "{components}": "'self'" if home is None else home + COMPONENTS,
        "{packaged}": None if home is None else home + PACKAGED,
    }
    filled = (own.get(source, source) for source in sources)
    return tuple(source for source in filled if source is not None)


def _outside(sources: Sources) -> tuple[Entry, ...]:
    named = ((directive, getattr(sources, kind)) for kind, directive in _KINDS.items())
    return tuple(Entry(directive, hosts, "named by the policy") for directive, hosts in named if hosts)


def _text(directives: Mapping[str, tuple[str, ...]]) -> str:
    return "; ".join(f"{name} {' '.join(sources)}" for name, sources in directives.items())
