"""What may stand in the record, and how much of it. By allow-list: events are built from `ExchangeOpened` alone.

Bodies, cookies, `Authorization`, `Sec-WebSocket-Protocol` (Streamlit's session id travels in it) and the query string
are not in it, so nothing here has to find them. What is left are secrets that stand *inside* an allowed field:

- the Streamlit session in `/_stcore/upload_file/{session}/{file}`, the content hash in `/media/{id}`: the route and a
  pseudonym stay. A UUID in any other path that is not an API's is treated the same;
- what follows a `?` in a decoded path, which was `%3F` on the wire and is a query string to somebody;
- the user information of an Origin (`https://user:password@host`), which RFC 6454 forbids and clients may send.

`erased`, `masked` and `truncated` hold the JSON pointers (RFC 6901) of what was changed, so a reader knows what is
missing. Identities become pseudonyms first (`masking.py`): a text that was cut in the middle of a name would still show
half of it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final, TypeVar

from msgspec import Struct

from gateway.audit.masking import USER, mask, mask_session, with_session
from gateway.audit.masks import CLEAR, Masks
from gateway.model import Allow, Check, Client, Decision, ExchangeOpened, Principal, RequestContext, Surface


@dataclass(frozen=True, slots=True)
class Caps:
    """Greatest lengths, in characters, and counts. Each text is of the wire, so its sender chose the length."""

    path: int = 1024
    agent: int = 256
    text: int = 256
    items: int = 32
    details: int = 32
    ascii_only: bool = False


NORMAL: Final = Caps()
# For what is still above the hard cap. Printable ASCII only: a character outside it takes up to 12 bytes as an escape,
# one inside at most 2, so everything together stays below the hard cap whatever was sent.
TIGHT: Final = Caps(path=96, agent=24, text=24, items=2, details=16, ascii_only=True)

_IDENTITY: Final = 128  # request id, session: made by us or by a trusted proxy
_UPLOAD = re.compile(r"(/+_stcore/+upload_file/+)(.+)", re.IGNORECASE | re.DOTALL)
_MEDIA = re.compile(r"(/+media/+)(.+)", re.IGNORECASE | re.DOTALL)
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_IN_TEXT = re.compile(r"(/+_stcore/+upload_file/+|/+media/+)([^\s\"'?]+)", re.IGNORECASE)
_NOT_PRINTABLE_ASCII = re.compile(r"[^ -~]")
_USERINFO = re.compile(r"//[^/]*@", re.DOTALL)
_HASH = "{sha256:%s}"
_CUT: Final = "…"

T = TypeVar("T")

_PATHS: Final = ("/http_request/url/path", "/unmapped/gateway/inputs/path")
_PATHS_OF_SOCKETS: Final = ("/url/path", "/unmapped/gateway/inputs/path")


class Redacted(Struct, frozen=True, gc=False):
    """An exchange that may be written, with this session. The pointers name what is not as it came.

    A session that is masked stands here and not in the exchange: nearly every event has one, and most need no copy.
    """

    exchange: ExchangeOpened
    session: str | None
    erased: tuple[str, ...] = ()
    truncated: tuple[str, ...] = ()
    masked: tuple[str, ...] = ()

    @property
    def inputs(self) -> RequestContext:
        """All that the engine looked at, as it may be written."""
        context = self.exchange.context
        return context if self.session == context.session else with_session(context, self.session)


def redact(exchange: ExchangeOpened, caps: Caps = NORMAL, masks: Masks = CLEAR) -> Redacted:
    """The exchange without secrets, its identities masked and every text bounded.

    The same object when there is nothing to do. Raises whatever the masks do when they have no key.
    """
    masked: tuple[str, ...] = ()
    if masks:
        if caps is NORMAL and not (masks.user or masks.client) and _is_plain(exchange):
            session, masked = mask_session(exchange.context, masks)
            return Redacted(exchange, session, masked=masked)
        known = mask(exchange, masks)
        exchange, masked = known.exchange, known.masked
    if caps is NORMAL and _is_plain(exchange):
        return Redacted(exchange, exchange.context.session, masked=masked)
    return _Redaction(caps, masked).run(exchange)


def uuids(value: str) -> str:
    """The text with a pseudonym in place of each UUID: Streamlit's sessions are named so."""
    return _UUID.sub(lambda found: pseudonym(found[0]), value)


def path(value: str, *, surface: Surface | None = None) -> str:
    """The path with its secrets replaced. `api` and `mcp` paths keep their UUIDs: those name the owner's own things."""
    value = _UPLOAD.sub(_upload, value)
    if not _UPLOAD.search(value):
        value = _MEDIA.sub(lambda found: found[1] + pseudonym(found[2]), value)
    if surface not in (Surface.API, Surface.MCP):
        value = uuids(value)
    head, mark, query = value.partition("?")
    return f"{head}?{{query}}" if mark and query else value


def text(value: str) -> str:
    """Any text, such as a line of the process log, with the sessions and media ids of the paths in it replaced."""
    return _IN_TEXT.sub(_in_text, value)


def origin(value: str) -> str:
    """The origin without user information."""
    return _USERINFO.sub("//{userinfo}@", value)


def pseudonym(value: str) -> str:
    """`{sha256:…}` with 16 hex digits: the same for the same value, so two lines can be joined. Of a pseudonym: itself.

    Unkeyed, and meant for values of 122 random bits or more: those cannot be found by trying.
    """
    return (
        value
        if value.startswith("{sha256:")
        else _HASH % sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    )


def plain(value: str) -> str:
    """The text as valid Unicode: a lone surrogate, which UTF-8 cannot hold, becomes U+FFFD."""
    return value if value.isascii() else value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def valid(value: str, caps: Caps) -> str:
    """The text as these caps allow its characters."""
    return _NOT_PRINTABLE_ASCII.sub("?", value) if caps.ascii_only else plain(value)


def cut_mark(caps: Caps) -> str:
    """What stands at the end of a text that was cut."""
    return "~" if caps.ascii_only else _CUT


def _in_text(found: re.Match[str]) -> str:
    return _upload(found) if "upload_file" in found[1].lower() else found[1] + pseudonym(found[2])


def _upload(found: re.Match[str]) -> str:
    session, slash, file = found[2].partition("/")
    return found[1] + pseudonym(session) + (slash + pseudonym(file) if file else slash)


def _is_plain(exchange: ExchangeOpened) -> bool:
    """Whether nothing in it can need a change. Errs to the side of a closer look. Nearly every event passes here."""
    context = exchange.context
    wire = f"{context.path}{context.host}{context.origin}{context.page}{context.message}{context.method}"
    known = f"{exchange.request_id}{context.session}{context.principal.id}{context.peer}{context.client.address}"
    agent = exchange.user_agent or ""
    lists = exchange.forwarded + context.principal.groups + context.client.flags
    if lists:
        known += "".join(lists)
    return (
        len(wire) < NORMAL.text
        and len(known) < _IDENTITY + NORMAL.text
        and len(lists) <= NORMAL.items
        and len(agent) <= NORMAL.agent
        and wire.isascii()
        and known.isascii()
        and agent.isascii()
        and not _is_suspect(wire.lower())
        and (not exchange.decision.trace or isinstance(exchange.decision, Allow))
    )


def _is_suspect(wire: str) -> bool:
    # Plain searches: one regular expression for all of this takes five times as long.
    return "upload_file" in wire or "media/" in wire or "?" in wire or "@" in wire or wire.count("-") > 3


class _Redaction:
    """One closer look at one exchange; collects the pointers on the way."""

    def __init__(self, caps: Caps, masked: tuple[str, ...]) -> None:
        self.caps = caps
        self.masked = masked
        self.erased: list[str] = []
        self.truncated: list[str] = []

    def run(self, exchange: ExchangeOpened) -> Redacted:
        context = self._context(exchange.context)
        result = replace(
            exchange,
            request_id=self._cut(exchange.request_id, min(_IDENTITY, 4 * self.caps.text), "/metadata/correlation_uid"),
            context=context,
            decision=self._decision(exchange.decision, exchange.context, context),
            http_version=self._cut(exchange.http_version, 8, "/http_request/version"),
            forwarded=tuple(
                self._cut(address, 64, "/src_endpoint/intermediate_ips") for address in self._some(exchange.forwarded)
            ),
            user_agent=self._maybe(exchange.user_agent, self.caps.agent, "/http_request/user_agent"),
        )
        return Redacted(result, result.context.session, _once(self.erased), _once(self.truncated), self.masked)

    def _context(self, context: RequestContext) -> RequestContext:
        limit, at = self.caps.text, "/unmapped/gateway/inputs/"
        return replace(
            context,
            peer=self._maybe(context.peer, 64, at + "peer"),
            client=self._client(context.client),
            method=self._cut(context.method, limit, at + "method"),
            path=self._path(context),
            host=self._maybe(context.host, min(255, 4 * limit), at + "host"),
            page=self._page(context),
            message=self._maybe(context.message, limit, at + "message"),
            origin=self._origin(context.origin),
            principal=self._principal(context.principal),
            session=self._maybe(context.session, min(_IDENTITY, 4 * limit), at + "session"),
        )

    def _path(self, context: RequestContext) -> str:
        pointers = _PATHS if context.kind == "http" else _PATHS_OF_SOCKETS
        return self._erase(
            context.path, path(valid(context.path, self.caps), surface=context.surface), self.caps.path, pointers
        )

    def _page(self, context: RequestContext) -> str | None:
        if context.page is None:
            return None
        return self._erase(
            context.page, path(valid(context.page, self.caps)), self.caps.text, ("/unmapped/gateway/inputs/page",)
        )

    def _origin(self, value: str | None) -> str | None:
        if value is None:
            return None
        return self._erase(value, origin(valid(value, self.caps)), self.caps.text, ("/unmapped/gateway/inputs/origin",))

    def _erase(self, before: str, after: str, limit: int, pointers: tuple[str, ...]) -> str:
        if after != before:
            self.erased.extend(pointers)
        if len(after) <= limit:
            return after
        self.truncated.extend(pointers)
        return after[: limit - 1] + cut_mark(self.caps)

    def _client(self, client: Client) -> Client:
        flags = tuple(self._cut(flag, 64, "/unmapped/gateway/inputs/client/flags") for flag in self._some(client.flags))
        return replace(
            client, address=self._maybe(client.address, 64, "/unmapped/gateway/inputs/client/address"), flags=flags
        )

    def _principal(self, principal: Principal) -> Principal:
        at, limit = "/unmapped/gateway/inputs/principal/", self.caps.text
        groups = tuple(
            self._cut(group, min(128, limit), at + "groups") for group in self._some(principal.groups, at + "groups")
        )
        # Half a pseudonym finds nobody: one stays whole whatever the caps are.
        longest = max(limit, 64) if USER in self.masked else limit
        return replace(principal, id=self._cut(principal.id, longest, at + "id"), groups=groups)

    def _decision(self, decision: Decision, before: RequestContext, after: RequestContext) -> Decision:
        if isinstance(decision, Allow) or not decision.trace:
            return decision
        checks = self._some(decision.trace, "/unmapped/gateway/trace")
        return replace(decision, trace=tuple(self._check(check, before, after) for check in checks))

    def _check(self, check: Check, before: RequestContext, after: RequestContext) -> Check:
        # A check quotes the values that settled it: what was taken out of the context must not come back through here.
        detail = check.detail
        for old, new in ((before.path, after.path), (before.origin, after.origin), (before.page, after.page)):
            if old and old != new and old in detail:
                detail = detail.replace(old, new or "")
        detail = origin(text(detail))
        at = "/unmapped/gateway/trace"
        return replace(
            check, name=self._cut(check.name, min(64, self.caps.text), at), detail=self._cut(detail, self.caps.text, at)
        )

    def _some(self, values: tuple[T, ...], pointer: str | None = None) -> tuple[T, ...]:
        if len(values) <= self.caps.items:
            return values
        if pointer:
            self.truncated.append(pointer)
        return values[: self.caps.items]

    def _maybe(self, value: str | None, limit: int, pointer: str) -> str | None:
        return None if value is None else self._cut(value, limit, pointer)

    def _cut(self, value: str, limit: int, pointer: str) -> str:
        value = valid(value, self.caps)
        if len(value) <= limit:
            return value
        self.truncated.append(pointer)
        return value[: limit - 1] + cut_mark(self.caps)


def _once(pointers: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(pointers))
