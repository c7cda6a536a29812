"""The words of the product: frozen values, no behaviour beyond their invariants.

Read this file first, then `policy/decide.py` (the judgement) and `app.py` (the stack).

Everything the engine may look at is in `RequestContext`, and all of it is plain JSON (text, numbers,
lists): what decided a request is what the record stores, so a recorded decision can be replayed exactly.
Addresses are canonical text as `ipaddress` prints it; instants are aware datetimes in UTC.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Literal, Protocol

# --- where a request goes, and what it is ---------------------------------------------------------------------


class Surface(StrEnum):
    """Which part of the product a target belongs to. `PROBE` is everything that we do not serve."""

    PAGE = "page"
    STREAM = "stream"
    MESSAGE = "message"
    UPLOAD = "upload"
    MEDIA = "media"
    STATIC = "static"
    COMPONENT = "component"
    API = "api"
    MCP = "mcp"
    CONSOLE = "console"
    GATEWAY = "gateway"
    PROBE = "probe"


@dataclass(frozen=True, slots=True)
class Target:
    """What a method and a path address: the surface, the page if it is one, and the methods it answers to.

    `page` is the page's URL path below the application, such as `/ledger`; the default page is `/`. Who speaks another
    of the `protocols` finds nothing there: a socket is not for a page, nor a plain request for a socket.
    """

    surface: Surface
    page: str | None = None
    methods: tuple[str, ...] = ("GET", "HEAD")
    protocols: tuple[Literal["http", "websocket"], ...] = ("http",)


# --- who asks -------------------------------------------------------------------------------------------------


class Provenance(StrEnum):
    """How we know the client's address."""

    DIRECT = "direct"  # the peer itself
    FORWARDED = "forwarded"  # named by a trusted proxy, in the one header the policy selects
    UNKNOWN = "unknown"  # could not be established: never allowed


@dataclass(frozen=True, slots=True)
class Client:
    """Who we believe is behind the peer, and how we know.

    `address` is None exactly when `provenance` is UNKNOWN, and then `problem` says why.
    `flags` are observations for the record, such as `forwarded-from-untrusted`; they grant nothing.
    """

    address: str | None
    provenance: Provenance
    problem: "Reason | None" = None
    flags: tuple[str, ...] = ()


class Method(StrEnum):
    """How a principal was authenticated."""

    NONE = "none"  # known by network only: an anonymous session, still traceable
    OIDC = "oidc"
    PROXY = "proxy"
    MTLS = "mtls"
    LOCAL = "local"
    TOKEN = "token"  # noqa: S105


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated identity. The anonymous one is a principal too."""

    id: str = "anonymous"
    method: Method = Method.NONE
    groups: tuple[str, ...] = ()
    mfa: bool = False


ANONYMOUS = Principal()


# --- everything the engine may look at ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RequestContext:
    """Everything the engine may look at, and nothing else. Round-trips through JSON.

    `host` is lower case without port and trailing dot, None when it was missing or malformed (`host_problem`).
    `port` is the one the client named in Host, None when it named none. `path` is the decoded path below the
    application's root. `origin` is the serialized Origin header (RFC 6454), verbatim. `session` is a
    fingerprint of the gateway's session, never the session's credential.
    """

    received_at: datetime
    kind: Literal["http", "websocket"]
    peer: str | None
    client: Client
    scheme: Literal["http", "https"]
    method: str
    path: str
    surface: Surface
    host: str | None = None
    port: int | None = None
    host_problem: "Reason | None" = None
    page: str | None = None
    message: str | None = None
    origin: str | None = None
    principal: Principal = ANONYMOUS
    session: str | None = None


# --- outcomes -------------------------------------------------------------------------------------------------


class Reason(StrEnum):
    """Stable codes for outcomes: kebab-case, documented in `reasons.py`, never reworded."""

    ALLOWED_BY_RULE = "allowed-by-rule"
    DENIED_BY_RULE = "denied-by-rule"
    NO_RULE_MATCHED = "no-rule-matched"
    SIGN_IN_REQUIRED = "sign-in-required"
    STEP_UP_REQUIRED = "step-up-required"

    HOST_MISSING = "host-missing"
    HOST_MALFORMED = "host-malformed"
    HOST_NOT_ALLOWED = "host-not-allowed"
    HTTPS_REQUIRED = "https-required"
    CLIENT_ADDRESS_UNKNOWN = "client-address-unknown"
    CLIENT_ADDRESS_MALFORMED = "client-address-malformed"
    CLIENT_ADDRESS_ALL_TRUSTED = "client-address-all-trusted"
    CLIENT_ADDRESS_AMBIGUOUS = "client-address-ambiguous"
    CLIENT_ADDRESS_CHAIN_TOO_SHORT = "client-address-chain-too-short"
    ORIGIN_MISSING = "origin-missing"
    ORIGIN_NOT_ALLOWED = "origin-not-allowed"
    IDENTITY_HEADER_SMUGGLED = "identity-header-smuggled"

    REQUEST_MALFORMED = "request-malformed"
    REQUEST_TIMEOUT = "request-timeout"
    TARGET_MALFORMED = "target-malformed"
    TARGET_TOO_LONG = "target-too-long"
    HEADERS_MALFORMED = "headers-malformed"
    HEADERS_TOO_LARGE = "headers-too-large"
    BODY_TOO_LARGE = "body-too-large"
    METHOD_NOT_ALLOWED = "method-not-allowed"
    NOT_FOUND = "not-found"
    MEDIA_NOT_YOURS = "media-not-yours"
    UPLOAD_NOT_YOURS = "upload-not-yours"
    UPLOAD_NOT_EXPECTED = "upload-not-expected"
    UPLOAD_MALFORMED = "upload-malformed"
    UPLOAD_TYPE_NOT_ALLOWED = "upload-type-not-allowed"
    UPLOAD_TYPE_MISMATCH = "upload-type-mismatch"
    UPLOADS_TOO_MANY = "uploads-too-many"
    UPLOADS_TOO_LARGE = "uploads-too-large"
    MESSAGE_NOT_ALLOWED = "message-not-allowed"
    MESSAGE_MALFORMED = "message-malformed"
    MESSAGE_TOO_LARGE = "message-too-large"
    RATE_LIMITED = "rate-limited"
    TOO_MANY_SOCKETS = "too-many-sockets"
    READER_TOO_SLOW = "reader-too-slow"
    SESSION_ENDED = "session-ended"
    TOO_MANY_CONNECTIONS = "too-many-connections"

    APPLICATION_REFUSED = "application-refused"
    APPLICATION_ERROR = "application-error"
    ENGINE_ERROR = "engine-error"
    AUDIT_UNAVAILABLE = "audit-unavailable"
    NOT_READY = "not-ready"


@dataclass(frozen=True, slots=True)
class PolicyRef:
    """Which policy judged: the revision's number and `sha256:` + hex digest of everything it consists of."""

    revision: str
    digest: str


@dataclass(frozen=True, slots=True)
class Check:
    """One step of a decision: what was looked at, whether it held, and the values that settled it."""

    name: str
    held: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Allow:
    """Go ahead, until `lease` at the latest (None: as long as the policy stands)."""

    reason: Reason
    policy: PolicyRef
    rule: str | None
    trace: tuple[Check, ...] = ()
    lease: datetime | None = None


@dataclass(frozen=True, slots=True)
class Deny:
    """No."""

    reason: Reason
    policy: PolicyRef
    rule: str | None = None
    trace: tuple[Check, ...] = ()


@dataclass(frozen=True, slots=True)
class Challenge:
    """Not like this: the same request could be allowed for somebody who proves who they are."""

    reason: Reason
    policy: PolicyRef
    rule: str | None = None
    trace: tuple[Check, ...] = ()


@dataclass(frozen=True, slots=True)
class Redirect:
    """Not here: ask again at `scheme` of the same host and target."""

    reason: Reason
    policy: PolicyRef
    scheme: Literal["https"] = "https"
    rule: str | None = None
    trace: tuple[Check, ...] = ()


Decision = Allow | Deny | Challenge | Redirect


# --- policy ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NetworkEntry:
    """One CIDR of a network. `expires` is the last day on which it holds, in UTC."""

    cidr: str
    owner: str | None = None
    ticket: str | None = None
    expires: date | None = None


class NetworkMembership(Protocol):
    """Answers which named networks hold an address; O(log n) for any number of CIDRs."""

    def names(self, address: str, on: date) -> frozenset[str]:
        """The networks whose entries, not expired on that day, contain the address."""

    def expiry(self, address: str, name: str, on: date) -> date | None:
        """The last day on which `name` holds the address; None when it has no end."""

    def contains(self, address: str, names: tuple[str, ...], on: date) -> bool:
        """Whether any of the named networks holds the address on that day."""


@dataclass(frozen=True, slots=True)
class Hosts:
    """Host names that we answer to (`*.corp.example` matches any depth below), and extra origins."""

    allowed: tuple[str, ...]
    origins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Proxies:
    """Which peers may name the client, in exactly one header.

    `client_address` is `none`, `x-forwarded-for`, `forwarded` or the name of a single-value header such as
    `x-real-ip`. `hops`, when set, is the number of proxies in front: the address is the one at that depth, and
    every address to its right must be trusted as well.
    """

    trusted: tuple[str, ...] = ()
    client_address: str = "none"
    hops: int | None = None


@dataclass(frozen=True, slots=True)
class Hsts:
    """Strict-Transport-Security (RFC 6797). Sent only over https."""

    max_age: timedelta = timedelta(days=730)
    include_subdomains: bool = True
    preload: bool = False


@dataclass(frozen=True, slots=True)
class Transport:
    """`https = "required"` refuses or redirects plain http; `optional` is for loopback and development."""

    https: Literal["required", "optional"] = "required"
    hsts: Hsts | None = Hsts()


@dataclass(frozen=True, slots=True)
class Sources:
    """Hosts outside that a document may load from, by what is loaded: origins such as `https://images.example`."""

    scripts: tuple[str, ...] = ()
    styles: tuple[str, ...] = ()
    fonts: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    media: tuple[str, ...] = ()
    frames: tuple[str, ...] = ()
    connect: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ContentSecurity:
    """Named Content-Security-Policy profile, named relaxations, and a candidate to report on in parallel.

    `external` holds for pages, `embedded` for the documents in their frames (HTML that a script embeds, components).
    `trusted_components` run in the page's own origin; `frame_ancestors` are the origins that may frame pages.
    """

    profile: str = "strict"
    add: tuple[str, ...] = ()
    report_only: str | None = None
    external: Sources = Sources()
    embedded: Sources = Sources()
    trusted_components: tuple[str, ...] = ()
    frame_ancestors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sessions:
    """When a session ends: after `idle` without a request, at the latest `lifetime` after its start."""

    idle: timedelta = timedelta(minutes=30)
    lifetime: timedelta = timedelta(hours=12)
    concurrent: int | None = None


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` in each `period` seconds on average, `burst` at once, counted `per` session or client."""

    count: int
    period: float
    burst: int
    per: Literal["session", "client"] = "session"


@dataclass(frozen=True, slots=True)
class ScriptLimits:
    """How many scripts run at once in one process; None: four (`streamlit/governor.py`)."""

    at_once: int | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes, counts, rates. Defaults admit a Streamlit page with room to spare and little else."""

    target: int = 8 * 1024
    header_count: int = 100
    header_bytes: int = 32 * 1024
    body: int = 1024 * 1024
    message: int = 25 * 1024 * 1024
    upload: int = 50 * 1000 * 1000
    upload_types: tuple[str, ...] = ()
    upload_files: int = 100  # kept at a time, of one Streamlit session
    upload_total: int = 500 * 1000 * 1000  # bytes of them together
    requests: Rate | None = None
    messages: Rate = Rate(50, 1.0, 500)  # of one socket, whatever `per` says
    sockets_per_session: int = 50
    sockets_per_client: int | None = None  # many people may share an address
    sockets_total: int = 5000
    sockets_new: Rate = Rate(120, 60.0, 120)  # of one principal, session or client, whatever `per` says
    scripts: ScriptLimits = ScriptLimits()


DEFAULT_MESSAGES = (
    *("rerun_script", "stop_script", "app_heartbeat", "file_urls_request"),
    *("deferred_file", "dataframe_chunk"),  # downloads made when they are asked for, and the rows of a long table
)


@dataclass(frozen=True, slots=True)
class StreamlitOptions:
    """What the policy says about Streamlit itself: message kinds let in, pages beyond the discovered, and which of the
    routes exist that are not for visitors: the agent API, metrics, and the health check that runs the script.
    """

    messages: tuple[str, ...] = DEFAULT_MESSAGES
    pages: tuple[str, ...] = ()
    agent_api: Literal["deny", "allow"] = "deny"
    metrics: Literal["deny", "allow"] = "deny"
    script_health: Literal["deny", "allow"] = "deny"


class Effect(StrEnum):
    ALLOW = "allow"
    DENY = "deny"


class Authenticated(StrEnum):
    """`any`: signed in, whatever way. `session`: a gateway session, anonymous or not. `sso`: through an identity
    provider or an identity-aware proxy. `mfa`: with more than one factor.
    """

    ANY = "any"
    SESSION = "session"
    SSO = "sso"
    MFA = "mfa"


@dataclass(frozen=True, slots=True)
class Hours:
    """A daily window in a time zone, start included, end excluded; it may run past midnight."""

    start: time
    end: time
    zone: str


@dataclass(frozen=True, slots=True)
class Conditions:
    """All that are set must hold; a tuple holds if any entry does. None is *not asked*; an empty tuple never holds.

    `paths` and `pages` are patterns: `*` stands for any run of characters, `/` included. `days` are 0 (Monday) to
    6, in the zone of `hours`, else UTC. `expires` is the last day, in UTC.
    """

    networks: tuple[str, ...] | None = None
    hosts: tuple[str, ...] | None = None
    surfaces: tuple[Surface, ...] | None = None
    methods: tuple[str, ...] | None = None
    paths: tuple[str, ...] | None = None
    pages: tuple[str, ...] | None = None
    users: tuple[str, ...] | None = None
    groups: tuple[str, ...] | None = None
    authenticated: Authenticated | None = None
    days: tuple[int, ...] | None = None
    hours: Hours | None = None
    expires: date | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One allow or deny. It applies when `when` holds and `unless`, if given, does not."""

    id: str
    effect: Effect
    because: str
    when: Conditions = Conditions()
    unless: Conditions | None = None


@dataclass(frozen=True, slots=True)
class PolicyTest:
    """An example that a revision carries with it: a request, and what must come of it."""

    name: str
    request: RequestContext
    expect: Literal["allow", "deny", "challenge", "redirect"]
    reason: Reason | None = None
    rule: str | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """One complete policy, ready to judge. `networks` holds the entries, `membership` the index over them."""

    ref: PolicyRef
    title: str
    networks: Mapping[str, tuple[NetworkEntry, ...]]
    membership: NetworkMembership = field(repr=False, compare=False)
    hosts: Hosts
    proxies: Proxies = Proxies()
    transport: Transport = Transport()
    content_security: ContentSecurity = ContentSecurity()
    sessions: Sessions = Sessions()
    limits: Limits = Limits()
    streamlit: StreamlitOptions = StreamlitOptions()
    rules: tuple[Rule, ...] = ()
    tests: tuple[PolicyTest, ...] = ()


# --- what happened --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ExchangeOpened:
    """An exchange as far as it is known when it is judged. Nothing here is secret; sizes are bounded by the audit."""

    request_id: str
    context: RequestContext
    decision: Decision
    http_version: str = "1.1"
    peer_port: int | None = None
    forwarded: tuple[str, ...] = ()  # the proxies the request came through, nearest first
    user_agent: str | None = None


@dataclass(frozen=True, slots=True)
class ExchangeClosed:
    """How an exchange ended. `reason` is the decision's, unless something later refused it or broke.

    `status` is the HTTP status sent (None: nothing was sent); for a WebSocket that was accepted, 101.
    `latency` is in milliseconds; `close_code` (RFC 6455 §7.4) only for a WebSocket that was accepted.
    """

    opened: ExchangeOpened
    reason: Reason
    status: int | None
    latency: int
    bytes_in: int
    bytes_out: int
    close_code: int | None = None
    complete: bool = True  # False: the client left, or the answer was cut off
