"""The parts of the Elastic Common Schema 9.4.0 that we write, and nothing else of it. A field that is None is left out.

Names and nesting are those of https://www.elastic.co/docs/reference/ecs/ecs-field-reference (Apache-2.0). `Own` is not
of ECS: what it has no field for stands under `gateway`, a namespace of our own, as ECS asks for.
"""

from typing import Any

from msgspec import Raw, Struct, field


class Fields(Struct, frozen=True, gc=False, omit_defaults=True):
    """A set of fields. Without cycle collection: a tree of text and numbers has no cycles."""


class Event(Fields, frozen=True):
    kind: str
    category: tuple[str, ...]
    type: tuple[str, ...]
    action: str
    code: str
    sequence: int
    severity: int
    dataset: str
    module: str
    id: str | None = None
    outcome: str | None = None
    reason: str | None = None
    start: str | None = None
    end: str | None = None
    duration: int | None = None  # nanoseconds


class Body(Fields, frozen=True):
    bytes: int


class Request(Fields, frozen=True):
    id: str
    method: str | None = None
    body: Body | None = None


class Response(Fields, frozen=True):
    status_code: int
    body: Body | None = None


class Http(Fields, frozen=True):
    request: Request
    response: Response | None = None
    version: str | None = None


class Url(Fields, frozen=True):
    path: str
    scheme: str | None = None
    domain: str | None = None


class Network(Fields, frozen=True):
    direction: str
    protocol: str
    application: str | None = None
    bytes: int | None = None


class Endpoint(Fields, frozen=True):
    address: str | None = None
    ip: str | None = None
    domain: str | None = None
    port: int | None = None
    bytes: int | None = None


class User(Fields, frozen=True):
    id: str
    name: str
    roles: tuple[str, ...] | None = None


class UserAgent(Fields, frozen=True):
    original: str


class Rule(Fields, frozen=True):
    ruleset: str
    version: str
    id: str | None = None
    name: str | None = None


class Hash(Fields, frozen=True):
    sha256: str


class File(Fields, frozen=True):
    name: str | None = None
    size: int | None = None
    mime_type: str | None = None
    type: str | None = None
    hash: Hash | None = None


class Error(Fields, frozen=True):
    type: str


class Related(Fields, frozen=True):
    ip: tuple[str, ...] | None = None
    user: tuple[str, ...] | None = None
    hosts: tuple[str, ...] | None = None
    hash: tuple[str, ...] | None = None


class Observer(Fields, frozen=True):
    name: str
    product: str
    vendor: str
    type: str
    version: str


class Labels(Fields, frozen=True):
    policy_digest: str


class Own(Fields, frozen=True):
    """`gateway`: ours."""

    log: str
    phase: str | None = None
    disposition: str | None = None
    session: str | None = None
    surface: str | None = None
    page: str | None = None
    message: str | None = None
    operation: str | None = None
    close_code: int | None = None
    complete: bool | None = None
    directive: str | None = None
    blocked: str | None = None
    enforced: bool | None = None
    count: int | None = None
    content_range: str | None = None
    truncated: bool | None = None
    details: dict[str, Any] | None = None


class Document(Fields, frozen=True):
    """One event."""

    timestamp: str | int = field(name="@timestamp")
    ecs: Raw
    event: Event
    observer: Raw
    gateway: Own
    message: str | None = None
    http: Http | None = None
    url: Url | None = None
    network: Network | None = None
    source: Endpoint | None = None
    destination: Endpoint | None = None
    user: User | None = None
    user_agent: UserAgent | None = None
    rule: Rule | None = None
    labels: Labels | None = None
    file: File | None = None
    error: Error | None = None
    related: Related | None = None
