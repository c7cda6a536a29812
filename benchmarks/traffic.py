"""Events as an installation of some size records them: users, sessions, pages, sockets, refusals, none like the other.

The random parts are as random as in production (request ids, event ids, ports, latencies), since they are what is left
of a record once it is compressed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from random import Random

from gateway.audit import Event, Stamp, closed, opened
from gateway.audit.activity import Happening, happened
from gateway.audit.stamp import ulid
from gateway.model import (
    Allow,
    Check,
    Client,
    Decision,
    Deny,
    ExchangeClosed,
    ExchangeOpened,
    Method,
    PolicyRef,
    Principal,
    Provenance,
    Reason,
    RequestContext,
    Surface,
)

BEGIN = 1_790_000_000_000  # milliseconds
DAY = 86_400_000
_HOST = "tools.corp.example"
_POLICY = PolicyRef("0007", "sha256:9b1d0c3e5f7a28461c0e9d8b7a6f5e4d3c2b1a09f8e7d6c5b4a3928170615243")
_PAGES = tuple(f"/{area}/{page}" for area in ("ledger", "risk", "desk") for page in "abcdefghij")
_AGENTS = tuple(
    f"Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.0.0 Safari/537.36"
    for system in ("X11; Linux x86_64", "Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_7")
    for version in (138, 139, 140, 141)
)
_TRACE = (
    Check("host", True, _HOST),
    Check("transport", True, "https"),
    Check("networks", False, "in none of office, vpn"),
    Check("rules", False, "no rule of 5 matched"),
)


@dataclass(frozen=True)
class _Visitor:
    principal: Principal
    address: str
    session: str
    agent: str


def traffic(count: int, *, seed: int = 1, begin: int = BEGIN, span: int = DAY) -> Iterator[Event]:
    """`count` events of 200 users in 2000 sessions, in the order of their times, over `span` milliseconds."""
    random = Random(seed)
    visitors = _visitors(random)
    now, made, waiting = float(begin), 0, list[tuple[float, ExchangeOpened]]()
    while made < count:
        now += random.expovariate(2 * count / span)
        due = [each for each in waiting if each[0] <= now]
        waiting = [each for each in waiting if each[0] > now]
        events = [_closed(exchange, int(at), random) for at, exchange in sorted(due, key=lambda each: each[0])]
        exchange, lasts = _exchange(random, visitors, int(now))
        waiting.append((now + lasts, exchange))
        events.append(opened(exchange, _stamp(int(now), random)))
        if exchange.context.kind == "websocket" and isinstance(exchange.decision, Allow):
            events.append(_page_open(exchange, int(now), random))
        for event in events[: count - made]:
            made += 1
            yield event


def _visitors(random: Random) -> list[_Visitor]:
    found = []
    for number in range(200):
        groups = tuple(sorted(random.sample(("desk", "finance", "it", "risk", "staff"), random.randint(1, 3))))
        principal = Principal(f"user{number:03d}@corp.example", Method.OIDC, groups, random.random() < 0.5)
        address, agent = f"10.{random.randint(0, 40)}.{random.randint(0, 255)}.{random.randint(1, 254)}", number % 12
        sessions = (random.randbytes(8).hex() for _ in range(10))
        found += [_Visitor(principal, address, session, _AGENTS[agent]) for session in sessions]
    return found


def _exchange(random: Random, visitors: list[_Visitor], now: int) -> tuple[ExchangeOpened, float]:
    # A session is busy for a while: a window over the visitors moves on with the time.
    visitor = visitors[(now // 60_000 + int(random.triangular(0, 300, 0))) % len(visitors)]
    socket = random.random() < 0.12
    page = random.choice(_PAGES)
    context = RequestContext(
        received_at=datetime.fromtimestamp(now / 1000, UTC),
        kind="websocket" if socket else "http",
        peer=visitor.address,
        client=Client(visitor.address, Provenance.DIRECT),
        scheme="https",
        method="GET",
        path="/_stcore/stream" if socket else page,
        surface=Surface.STREAM if socket else Surface.PAGE,
        host=_HOST,
        page=None if socket else page,
        origin=f"https://{_HOST}" if socket else None,
        principal=visitor.principal,
        session=visitor.session,
    )
    context, decision = _judged(context, random)
    request_id, port = random.randbytes(16).hex(), random.randint(32768, 60999)
    exchange = ExchangeOpened(request_id, context, decision, "1.1", port, (), visitor.agent)
    return exchange, random.lognormvariate(12, 1) if socket else random.lognormvariate(3, 1)


def _judged(context: RequestContext, random: Random) -> tuple[RequestContext, Decision]:
    if random.random() < 0.03:
        probe = random.choice(("/.env", "/wp-login.php", "/admin", f"/{random.randbytes(5).hex()}"))
        context = replace(context, path=probe, page=None, surface=Surface.PROBE, kind="http", session=None)
        return replace(context, principal=Principal("anonymous", Method.NONE)), Deny(
            Reason.NO_RULE_MATCHED, _POLICY, None, _TRACE
        )
    return context, Allow(Reason.ALLOWED_BY_RULE, _POLICY, random.choice(("staff", "finance", "desk")))


def _closed(exchange: ExchangeOpened, at: int, random: Random) -> Event:
    latency = at - int(exchange.context.received_at.timestamp() * 1000)
    allowed, socket = isinstance(exchange.decision, Allow), exchange.context.kind == "websocket"
    status = 403 if not allowed else 101 if socket else random.choice((200, 200, 200, 304))
    sent = int(random.lognormvariate(9, 2))
    end = ExchangeClosed(exchange, exchange.decision.reason, status, latency, 0, sent)
    return closed(replace(end, close_code=1001) if status == 101 else end, _stamp(at, random))


def _page_open(exchange: ExchangeOpened, at: int, random: Random) -> Event:
    page = random.choice(_PAGES)
    return happened(Happening(exchange, "page.open", page, {"page": page}), _stamp(at, random))


def _stamp(at: int, random: Random) -> Stamp:
    return Stamp(at, ulid(at, random.getrandbits(80)))
