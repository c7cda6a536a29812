"""Keyed pseudonyms: who it was stands in the record for those alone who know the name already, or hold the key.

A pseudonym is `hmac:<kid>:<32 hex>`: HMAC-SHA256 (RFC 2104) of the value, its first 128 bits. Each kind of value has a
key of its own, made with HKDF-SHA256 (RFC 5869) from the key that `kid` names, so a session and a user of the same name
do not meet. The same value has the same pseudonym as long as the key is the same: lines can be joined, and somebody who
is known can be found. When the key is gone, neither is possible any more: that is how the record forgets.

Nothing here reads a file or a clock. `mask_keys.py` has the keys, `masking.py` puts pseudonyms in the place of values.
"""

import hmac
import ipaddress
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, Literal, get_args

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.model import Conditions, Policy, RequestContext
from gateway.state.secrets import Secret

Kind = Literal["user", "client", "session"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
CACHED: Final = 8192
"""Values whose pseudonyms are remembered, for each key: making one costs 2 µs, remembering it a tenth."""

_CONTEXT: Final = b"streamlit-gateway.pseudonym/1\n"
_BYTES: Final = 16
_NEVER: Final = frozenset({"", "anonymous"})
_PREFIX: Final = "hmac:"


class MaskKey:
    """A key, ready for use. Shows nothing of itself."""

    __slots__ = ("kid", "pseudonym")

    kid: str
    pseudonym: Callable[[Kind, str], str]
    """`pseudonym(kind, value)`, cached."""

    def __init__(self, kid: str, secret: Secret) -> None:
        keys = {kind: _derived(secret, kind) for kind in KINDS}

        def pseudonym(kind: Kind, value: str) -> str:
            digest = hmac.digest(keys[kind], value.encode("utf-8", "surrogatepass"), "sha256")
            return f"{_PREFIX}{kid}:{digest[:_BYTES].hex()}"

        self.kid = kid
        self.pseudonym = lru_cache(maxsize=CACHED)(pseudonym)

    def __repr__(self) -> str:
        return f"MaskKey({self.kid!r}, hidden)"


class Masks:
    """Which kinds of value are masked, and the key of this moment.

    `key` is asked for each event: a key may be replaced, or erased, while we run. It may raise, and then the event
    cannot be made: nothing is written in clear because a key is missing.
    """

    __slots__ = ("client", "key", "kinds", "session", "user")

    def __init__(self, kinds: Iterable[Kind], key: Callable[[], MaskKey]) -> None:
        self.kinds = frozenset(kinds)
        self.key = key
        self.user = "user" in self.kinds
        self.client = "client" in self.kinds
        self.session = "session" in self.kinds

    def __bool__(self) -> bool:
        return bool(self.kinds)

    def of(self, kind: Kind, value: str) -> str:
        """The value as it stands in the record. Nobody, and `anonymous`, is nobody's name: both stay."""
        return self.key().pseudonym(kind, value) if kind in self.kinds and value not in _NEVER else value


def _no_key() -> MaskKey:
    raise AssertionError("nothing is masked, so nobody asks for a key")


CLEAR: Final = Masks((), _no_key)
"""Everything stands as it is."""


def is_pseudonym(value: str) -> bool:
    """Whether a value of ours (an address, a principal) is masked."""
    return value.startswith(_PREFIX)


def canonical(kind: Kind, value: str) -> str:
    """The value as the record would name it: an address in its canonical form.

    Raises:
        ValueError: not an address, and a client has nothing else.
    """
    if kind != "client":
        return value
    address = ipaddress.ip_address(value.strip().strip("[]").partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def _derived(secret: Secret, kind: Kind) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=_CONTEXT + kind.encode()).derive(secret.reveal())


# --- deciding again -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Exact:
    """The inputs, as far as the policy can tell them apart: a decision on them is the decision that was made."""

    context: RequestContext


@dataclass(frozen=True, slots=True)
class Inexact:
    """Something that the policy asks for is masked: another decision may come out. `because` says what, in sentences.

    Do not hand `context` to `decide` and call the result a replay.
    """

    context: RequestContext
    because: tuple[str, ...]


_INPUTS: Final = "/unmapped/gateway/inputs/"
_TEXTS: Final = ("path", "host", "page", "origin", "message", "method")


def unmask(
    context: RequestContext, masked: Collection[str], policy: Policy, keys: Collection[MaskKey]
) -> Exact | Inexact:
    """The inputs of a recorded decision, with what the policy itself knows put back in the place of pseudonyms.

    `masked` is the event's `unmapped.gateway.masked`; `keys` are all that are left. A masked principal whom the policy
    names gets the name again; one whom it does not name stays masked: no rule can tell the difference. An address is
    not put back, since it could be any; when no rule asks for networks, that changes nothing.
    """
    because: list[str] = []
    if f"{_INPUTS}principal/id" in masked:
        context, problem = _with_user(context, users_of(policy), keys)
        because += problem
    if f"{_INPUTS}client/address" in masked and _asks(policy, "networks"):
        because.append("the client's address is masked, and rules ask for networks")
    because += [f"the {name} quotes what is masked" for name in _TEXTS if _INPUTS + name in masked]
    return Inexact(context, tuple(because)) if because else Exact(context)


def users_of(policy: Policy) -> frozenset[str]:
    """Every user whom a rule of the policy names."""
    return frozenset(name for each in _conditions(policy) for name in each.users or ())


def _with_user(
    context: RequestContext, known: Collection[str], keys: Collection[MaskKey]
) -> tuple[RequestContext, tuple[str, ...]]:
    masked = context.principal.id
    kid = masked.split(":")[1] if is_pseudonym(masked) else ""
    key = next((key for key in keys if key.kid == kid), None)
    if key is None:
        lost = (f"the principal is masked with the key {kid}, which is gone, and rules name users",)
        return context, lost if known else ()
    name = next((name for name in known if key.pseudonym("user", name) == masked), None)
    return (context if name is None else replace(context, principal=replace(context.principal, id=name))), ()


def _asks(policy: Policy, condition: str) -> bool:
    return any(getattr(each, condition) is not None for each in _conditions(policy))


def _conditions(policy: Policy) -> Iterable[Conditions]:
    for rule in policy.rules:
        yield rule.when
        if rule.unless is not None:
            yield rule.unless
