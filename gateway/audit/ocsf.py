"""The parts of the Open Cybersecurity Schema Framework 1.8.0 that we write, and nothing else of it.

Names, numbers and nesting are those of https://schema.ocsf.io/1.8.0 (Apache-2.0). A field that is `UNSET` is left out.
`metadata` is first and `unmapped` last in every class: the ledger completes both when it writes the line.
"""

from typing import Final

from msgspec import UNSET, Raw, Struct, UnsetType
from msgspec.json import encode

from gateway import __version__

VERSION: Final = "1.8.0"


class Object(Struct, frozen=True, gc=False):
    """An OCSF object. Without cycle collection: a tree of text and numbers has no cycles."""


class Product(Object, frozen=True):
    name: str
    vendor_name: str
    version: str


PRODUCT: Final = Product("streamlit-gateway", "streamlit-gateway", __version__)
# Encoded once: the same bytes stand in every line.
_PRODUCT: Final = Raw(encode(PRODUCT))


class Metadata(Object, frozen=True):
    uid: str
    event_code: str
    correlation_uid: str | UnsetType = UNSET
    is_truncated: bool | UnsetType = UNSET
    profiles: tuple[str, ...] | UnsetType = UNSET
    version: str = VERSION
    product: Raw = _PRODUCT


class User(Object, frozen=True):
    uid: str
    type_id: int = 1


class Session(Object, frozen=True):
    uid: str


class Actor(Object, frozen=True):
    user: User
    session: Session | UnsetType = UNSET


class Endpoint(Object, frozen=True):
    ip: str | UnsetType = UNSET
    port: int | UnsetType = UNSET
    hostname: str | UnsetType = UNSET
    svc_name: str | UnsetType = UNSET
    intermediate_ips: tuple[str, ...] | UnsetType = UNSET
    uid: str | UnsetType = UNSET  # a pseudonym, where there would be an address


class Url(Object, frozen=True):
    path: str
    scheme: str | UnsetType = UNSET
    hostname: str | UnsetType = UNSET


class HttpRequest(Object, frozen=True):
    uid: str
    http_method: str | UnsetType  # OCSF knows nine; another one is the event's `activity_name`
    version: str
    url: Url
    user_agent: str | UnsetType = UNSET
    body_length: int | UnsetType = UNSET


class HttpResponse(Object, frozen=True):
    code: int
    latency: int
    body_length: int


class Traffic(Object, frozen=True):
    bytes: int
    bytes_in: int
    bytes_out: int


class Policy(Object, frozen=True):
    version: str
    name: str = "gateway"
    uid: str = "gateway"
    is_applied: bool = True


class FirewallRule(Object, frozen=True):
    uid: str
    name: str


class Api(Object, frozen=True):
    operation: str


class ManagedEntity(Object, frozen=True):
    name: str
    uid: str
    version: str
    policy: Policy
    type_id: int = 5  # Policy


class FindingInfo(Object, frozen=True):
    uid: str
    title: str
    types: tuple[str, ...]
    first_seen_time: int
    last_seen_time: int


class Fingerprint(Object, frozen=True):
    value: str
    algorithm_id: int = 3  # SHA-256


class File(Object, frozen=True):
    name: str
    size: int
    mime_type: str | UnsetType = UNSET
    hashes: tuple[Fingerprint, ...] | UnsetType = UNSET
    type_id: int = 1  # Regular File


class Unmapped(Object, frozen=True):
    """Our own facts, under one key of our own, as OCSF asks for what it has no field for."""

    gateway: Object


class Base(Object, frozen=True, gc=False, kw_only=True):
    """What every class begins with."""

    metadata: Metadata
    category_uid: int
    class_uid: int
    activity_id: int
    type_uid: int
    time: int
    severity_id: int
    status_id: int


class Activity(Base, frozen=True, gc=False, kw_only=True):
    """What the HTTP and the network class share."""

    status_detail: str
    action_id: int
    disposition_id: int
    actor: Actor
    dst_endpoint: Endpoint
    policy: Policy
    src_endpoint: Endpoint | UnsetType = UNSET
    firewall_rule: FirewallRule | UnsetType = UNSET
    start_time: int | UnsetType = UNSET
    end_time: int | UnsetType = UNSET
    duration: int | UnsetType = UNSET


class HttpActivity(Activity, frozen=True, gc=False, kw_only=True):
    """HTTP Activity, 4002."""

    activity_name: str | UnsetType = UNSET
    http_request: HttpRequest
    http_response: HttpResponse | UnsetType = UNSET
    unmapped: Unmapped


class NetworkActivity(Activity, frozen=True, gc=False, kw_only=True):
    """Network Activity, 4001: a WebSocket."""

    url: Url
    traffic: Traffic | UnsetType = UNSET
    app_protocol_name: str = "websocket"
    unmapped: Unmapped


class FileHosting(Activity, frozen=True, gc=False, kw_only=True):
    """File Hosting Activity, 6006: a file that came in or went out."""

    file: File
    http_request: HttpRequest
    unmapped: Unmapped


class ApplicationLifecycle(Base, frozen=True, gc=False, kw_only=True):
    """Application Lifecycle, 6002: the gateway's and the record's own life."""

    message: str
    activity_name: str | UnsetType = UNSET
    app: Raw = _PRODUCT
    unmapped: Unmapped


class ApplicationError(Base, frozen=True, gc=False, kw_only=True):
    """Application Error, 6008: a script that raised."""

    message: str
    actor: Actor
    unmapped: Unmapped


class EntityManagement(Base, frozen=True, gc=False, kw_only=True):
    """Entity Management, 3004: another policy revision."""

    message: str
    actor: Actor
    entity: ManagedEntity
    entity_result: ManagedEntity
    unmapped: Unmapped


class ApiActivity(Base, frozen=True, gc=False, kw_only=True):
    """API Activity, 6003: what an administrator did."""

    message: str
    actor: Actor
    api: Api
    src_endpoint: Endpoint
    unmapped: Unmapped


class DetectionFinding(Base, frozen=True, gc=False, kw_only=True):
    """Detection Finding, 2004: what a browser refused to load."""

    message: str
    count: int
    finding_info: FindingInfo
    actor: Actor
    unmapped: Unmapped
