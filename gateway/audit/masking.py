"""Puts pseudonyms in the place of identities: in an exchange, in the facts of a rarer event, in any text about them.

What is masked must not stand anywhere else in the same line: a trace quotes the client's address, a path may hold the
user's name. So every text of the wire is searched for the masked values as whole words, whatever their case. What an
operator has written (names of rules and groups) stays.

Pointers (RFC 6901) say where a pseudonym stands. A masked address stands in `src_endpoint.uid`: OCSF wants an address
in `ip`. From `intermediate_ips` it is left out.
"""

import re
from collections.abc import Mapping
from dataclasses import fields, replace
from functools import lru_cache
from operator import attrgetter
from typing import Final

from msgspec import Struct

from gateway.audit.masks import Kind, Masks
from gateway.model import Allow, Client, Decision, ExchangeOpened, Principal, Provenance, RequestContext

USER: Final = "/actor/user/uid"
SESSION: Final = "/actor/session/uid"
CLIENT: Final = "/src_endpoint/uid"
_PROXIES: Final = "/src_endpoint/intermediate_ips"
_GATEWAY: Final = "/unmapped/gateway/"
_INPUTS: Final = f"{_GATEWAY}inputs/"
_TRACE: Final = f"{_GATEWAY}trace"
_SESSION_ONLY: Final = (SESSION, f"{_INPUTS}session")

# Facts that are an identity by their name.
_NAMED: Final[Mapping[str, Kind]] = {
    "user": "user",
    "principal": "user",
    "client": "client",
    "address": "client",
    "peer": "client",
    "session": "session",
}


class Masked(Struct, frozen=True, gc=False):
    """An exchange with pseudonyms in it, and where they will stand in an event that has its inputs."""

    exchange: ExchangeOpened
    masked: tuple[str, ...] = ()


class Words:
    """Masked values with their pseudonyms, and the search for them in texts. Collects where it has found any."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values = dict(values)
        self.found: list[str] = []

    def learn(self, value: str, pseudonym: str) -> None:
        """Search for this value, too, if its pseudonym is another."""
        if pseudonym != value:
            self.values[value] = pseudonym

    def text(self, value: str, *pointers: str) -> str:
        """The text with each of the values in it masked. `pointers` are where it stands."""
        # Searched plainly first: nearly no text holds one, and two plain searches are nothing beside a pattern.
        folded = value.lower() if self.values else ""
        if not any(clear in value or clear.lower() in folded for clear in self.values):
            return value
        pattern, pseudonyms = _words(tuple(self.values)), tuple(self.values.values())
        after = pattern.sub(lambda match: pseudonyms[(match.lastindex or 1) - 1], value)
        if after != value:
            self.found.extend(pointers)
        return after

    def maybe(self, value: str | None, *pointers: str) -> str | None:
        """As `text`; of nothing, nothing."""
        return None if value is None else self.text(value, *pointers)


@lru_cache(maxsize=256)
def _words(values: tuple[str, ...]) -> re.Pattern[str]:
    # Neither a letter nor a digit beside it: 10.0.0.1 does not stand in 10.0.0.11, but alice does in alice_q3.csv.
    # One pattern for all: a pseudonym that was put in is not searched for the next value.
    any_of = "|".join(f"({re.escape(each)})" for each in values)
    return re.compile(rf"(?<![^\W_])(?:{any_of})(?![^\W_])", re.IGNORECASE)


# --- an exchange ----------------------------------------------------------------------------------------------


def mask(exchange: ExchangeOpened, masks: Masks) -> Masked:
    """The exchange with everything masked that is to be masked; the same object when there is nothing."""
    first = _session_only(exchange, masks)
    if not (masks.user or masks.client):
        return first
    known = words(exchange, masks)
    return _Masking(known).run(first) if known.values else first


def words(exchange: ExchangeOpened, masks: Masks) -> Words:
    """What of this exchange is masked wherever it is quoted: the addresses of a person, and the principal's name."""
    if not (masks.user or masks.client):
        return Words({})
    context = exchange.context
    return Words(_addresses(context, masks) | names(context.principal, masks))


def names(principal: Principal, masks: Masks) -> dict[str, str]:
    """The principal's name and its pseudonym, when users are masked and it has one."""
    after = masks.of("user", principal.id)
    return {} if after == principal.id else {principal.id: after}


def _addresses(context: RequestContext, masks: Masks) -> dict[str, str]:
    """The addresses that may be a person's: the client, and the peer unless it is a proxy that has named one."""
    if not masks.client:
        return {}
    known = {context.client.address}
    if context.client.provenance is not Provenance.FORWARDED:
        known.add(context.peer)
    return {address: masks.of("client", address) for address in known if address}


_CONTEXT: Final = attrgetter(*(each.name for each in fields(RequestContext)))
_AT_SESSION: Final = [each.name for each in fields(RequestContext)].index("session")


def mask_session(context: RequestContext, masks: Masks) -> tuple[str | None, tuple[str, ...]]:
    """The session as it may stand in the record, and where. Nothing has to be searched for it: it is of our making."""
    if not masks.session or not context.session:
        return context.session, ()
    return masks.of("session", context.session), _SESSION_ONLY


def with_session(context: RequestContext, session: str | None) -> RequestContext:
    """The context with another session, in half of the time that `dataclasses.replace` takes."""
    inputs = list(_CONTEXT(context))
    inputs[_AT_SESSION] = session
    return RequestContext(*inputs)


def _session_only(exchange: ExchangeOpened, masks: Masks) -> Masked:
    session, pointers = mask_session(exchange.context, masks)
    if not pointers:
        return Masked(exchange)
    return Masked(replace(exchange, context=with_session(exchange.context, session)), pointers)


class _Masking:
    """One exchange with a user or an address to be masked."""

    def __init__(self, words: Words) -> None:
        self.words = words
        self.values = words.values

    def run(self, before: Masked) -> Masked:
        exchange, text = before.exchange, self.words.text
        is_http = exchange.context.kind == "http"
        agent = "/http_request/user_agent" if is_http else f"{_GATEWAY}user_agent"
        ids = ("/metadata/correlation_uid", *(("/http_request/uid",) if is_http else ()))
        result = replace(
            exchange,
            request_id=text(exchange.request_id, *ids),
            context=self._context(exchange.context),
            decision=self._decision(exchange.decision),
            forwarded=self._forwarded(exchange.forwarded),
            user_agent=self.words.maybe(exchange.user_agent, agent),
        )
        return Masked(result, tuple(dict.fromkeys((*before.masked, *self.words.found))))

    def _context(self, context: RequestContext) -> RequestContext:
        is_http = context.kind == "http"
        url, named = ("/http_request/url", ("/activity_name",)) if is_http else ("/url", ())
        text, maybe = self.words.text, self.words.maybe
        return replace(
            context,
            principal=replace(context.principal, id=self._whole(context.principal.id, USER, "principal/id")),
            client=self._client(context),
            peer=context.peer and self._whole(context.peer, None, "peer"),
            method=text(context.method, f"{_INPUTS}method", *named),
            path=text(context.path, f"{url}/path", f"{_INPUTS}path"),
            host=maybe(context.host, "/dst_endpoint/hostname", f"{url}/hostname", f"{_INPUTS}host"),
            page=maybe(context.page, f"{_GATEWAY}page", f"{_INPUTS}page"),
            message=maybe(context.message, f"{_INPUTS}message"),
            origin=maybe(context.origin, f"{_INPUTS}origin"),
        )

    def _client(self, context: RequestContext) -> Client:
        address = context.client.address
        if address is not None:
            return replace(context.client, address=self._whole(address, CLIENT, "client/address"))
        if context.peer in self.values:
            self.words.found.append(CLIENT)  # the peer stands there for the client that is not known
        return context.client

    def _whole(self, value: str, pointer: str | None, name: str) -> str:
        after = self.values.get(value)
        if after is None:
            return value
        self.words.found += [each for each in (pointer, _INPUTS + name) if each]
        return after

    def _forwarded(self, addresses: tuple[str, ...]) -> tuple[str, ...]:
        kept = tuple(each for each in addresses if each not in self.values)
        if len(kept) < len(addresses):
            self.words.found.append(_PROXIES)
        return kept

    def _decision(self, decision: Decision) -> Decision:
        if isinstance(decision, Allow) or not decision.trace:
            return decision  # the trace of an Allow is not recorded
        checks = tuple(replace(each, detail=self.words.text(each.detail, _TRACE)) for each in decision.trace)
        return replace(decision, trace=checks)


@lru_cache(maxsize=256)
def of_event(masked: tuple[str, ...], *absent: str) -> tuple[str, ...]:
    """The pointers that stay in an event without its inputs, and without what begins with one of `absent`."""
    return tuple(each for each in masked if not each.startswith((_INPUTS, _TRACE, f"{_GATEWAY}user_agent", *absent)))


# --- events without an exchange -------------------------------------------------------------------------------


class Person(Struct, frozen=True, gc=False):
    """Who an event is about, masked, with the search for the name in its texts."""

    principal: Principal
    session: str | None
    words: Words
    masked: tuple[str, ...]


def person(principal: Principal, masks: Masks, session: str | None = None) -> Person:
    """The principal, and the session if there is one, as they may stand in the record."""
    known = names(principal, masks)
    shown = masks.of("session", session) if session else session
    pointers = ((USER,) if known else ()) + ((SESSION,) if shown != session else ())
    return Person(replace(principal, id=known.get(principal.id, principal.id)), shown, Words(known), pointers)


def mask_facts(facts: Mapping[str, object], masks: Masks, words: Words) -> Mapping[str, object]:
    """The facts with masked what is an identity by its name, or quotes one; `words` notes where."""
    if not masks:
        return facts
    for name, value in facts.items():
        if isinstance(value, str) and name in _NAMED:
            words.learn(value, masks.of(_NAMED[name], value))  # another fact may quote it
    return {name: _fact(str(name), value, masks, words) for name, value in facts.items()}


def _fact(name: str, value: object, masks: Masks, words: Words) -> object:
    at = f"{_GATEWAY}details/{name.replace('~', '~0').replace('/', '~1')}"
    match value:
        case str():
            kind = _NAMED.get(name)
            after = masks.of(kind, value) if kind else value
            if after != value:
                words.found.append(at)
                return after
            return words.text(value, at)
        case list() | tuple():
            return [_fact(name, each, masks, words) for each in value]
        case _:
            return value
