"""What the other schemas need of a stored event, with its types checked: names and nesting are those of OCSF 1.8.0.

The record holds more than this, and stays the evidence; a document in another schema says where in it the event stands.
"""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import msgspec
from msgspec import Struct

ACTIONS: Final = {1: "allowed", 2: "denied", 3: "observed", 4: "modified"}
DISPOSITIONS: Final = {
    1: "allowed",
    2: "blocked",
    7: "redirected",
    23: "challenged",
    24: "revoked",
    25: "rejected",
    27: "error",
}
SEVERITIES: Final = {1: "informational", 2: "low", 3: "medium", 4: "high", 5: "critical", 6: "fatal"}
OUTCOMES: Final = {1: "success", 2: "failure"}


class Part(Struct, frozen=True, gc=False):
    """An object of the record. What is not there is None."""


class Product(Part, frozen=True):
    version: str | None = None


class Metadata(Part, frozen=True):
    sequence: int
    uid: str | None = None
    event_code: str = "unknown"
    log_name: str = ""
    correlation_uid: str | None = None
    is_truncated: bool | None = None
    product: Product = Product()


class User(Part, frozen=True):
    uid: str | None = None
    type_id: int = 0


class Session(Part, frozen=True):
    uid: str | None = None


class Actor(Part, frozen=True):
    user: User | None = None
    session: Session | None = None


class Endpoint(Part, frozen=True):
    ip: str | None = None
    port: int | None = None
    hostname: str | None = None
    svc_name: str | None = None
    intermediate_ips: tuple[str, ...] = ()
    uid: str | None = None

    @property
    def name(self) -> str | None:
        """What stands in the place of an address: its pseudonym, or the host on which a command was run."""
        return self.uid or self.hostname


class Url(Part, frozen=True):
    path: str | None = None
    scheme: str | None = None
    hostname: str | None = None


class HttpRequest(Part, frozen=True):
    url: Url | None = None
    http_method: str | None = None
    version: str | None = None
    user_agent: str | None = None
    body_length: int | None = None


class HttpResponse(Part, frozen=True):
    code: int | None = None
    body_length: int | None = None


class Traffic(Part, frozen=True):
    bytes: int | None = None
    bytes_in: int | None = None
    bytes_out: int | None = None


class Versioned(Part, frozen=True):
    version: str | None = None


class FirewallRule(Part, frozen=True):
    uid: str | None = None
    name: str | None = None


class Api(Part, frozen=True):
    operation: str | None = None


class Fingerprint(Part, frozen=True):
    value: str
    algorithm_id: int = 0


class File(Part, frozen=True):
    name: str | None = None
    size: int | None = None
    mime_type: str | None = None
    hashes: tuple[Fingerprint, ...] = ()

    @property
    def sha256(self) -> str | None:
        """Its digest in hex, if it was recorded."""
        return next((each.value for each in self.hashes if each.algorithm_id == 3), None)


class Principal(Part, frozen=True):
    groups: tuple[str, ...] = ()


class Inputs(Part, frozen=True):
    principal: Principal = Principal()
    message: str | None = None


class Gateway(Part, frozen=True):
    phase: str | None = None
    reason: str | None = None
    policy_digest: str | None = None
    surface: str | None = None
    page: str | None = None
    user_agent: str | None = None
    status: int | None = None
    close_code: int | None = None
    complete: bool | None = None
    directive: str | None = None
    blocked: str | None = None
    enforced: bool | None = None
    source: str | None = None
    line: int | None = None
    content_range: str | None = None
    inputs: Inputs | None = None
    details: dict[str, Any] | None = None


class Unmapped(Part, frozen=True):
    gateway: Gateway = Gateway()


class Stored(Part, frozen=True):
    """One event of the record. Times are in milliseconds since 1970-01-01 UTC."""

    metadata: Metadata
    time: int
    class_uid: int = 0
    activity_id: int = 0
    severity_id: int = 0
    status_id: int = 0
    activity_name: str | None = None
    status_detail: str | None = None
    action_id: int | None = None
    disposition_id: int | None = None
    message: str | None = None
    start_time: int | None = None
    end_time: int | None = None
    duration: int | None = None
    count: int | None = None
    app_protocol_name: str | None = None
    actor: Actor | None = None
    src_endpoint: Endpoint | None = None
    dst_endpoint: Endpoint | None = None
    http_request: HttpRequest | None = None
    http_response: HttpResponse | None = None
    url: Url | None = None
    traffic: Traffic | None = None
    policy: Versioned | None = None
    entity_result: Versioned | None = None
    firewall_rule: FirewallRule | None = None
    api: Api | None = None
    file: File | None = None
    unmapped: Unmapped = Unmapped()

    @property
    def target(self) -> Url | None:
        """What was asked for, by a request or by a WebSocket."""
        return self.url if self.http_request is None else self.http_request.url

    @property
    def method(self) -> str | None:
        """The HTTP method, also one that OCSF has no number for."""
        return None if self.http_request is None else self.http_request.http_method or self.activity_name

    @property
    def user_agent(self) -> str | None:
        """The user agent, of a request or of a WebSocket."""
        return (self.http_request and self.http_request.user_agent) or self.unmapped.gateway.user_agent

    @property
    def status(self) -> int | None:
        """The HTTP status that was sent; of a WebSocket, that of its handshake."""
        return self.unmapped.gateway.status if self.http_response is None else self.http_response.code

    @property
    def revision(self) -> str | None:
        """The policy revision that judged, or that became active."""
        policy = self.policy or self.entity_result
        return policy.version if policy else None

    @property
    def reason(self) -> str | None:
        """The stable code of the outcome."""
        return self.status_detail or self.unmapped.gateway.reason


def read(event: Mapping[str, Any]) -> Stored:
    """The event as the gateway writes it.

    A line that somebody else has put into a file may have any shape. Then only its place, time and code are taken over,
    those that are there: nothing of it can pass for a field of another type.
    """
    try:
        return msgspec.convert(event, Stored)
    except (msgspec.ValidationError, RecursionError):
        return _stranger(event)


def _stranger(event: Mapping[str, Any]) -> Stored:
    found, time = event.get("metadata"), event.get("time")
    metadata = found if isinstance(found, dict) else {}
    sequence, code = metadata.get("sequence"), metadata.get("event_code")
    return Stored(
        Metadata(
            sequence if isinstance(sequence, int) else -1,
            event_code=code if isinstance(code, str) else "unknown",
            log_name=str(metadata.get("log_name", "")),
        ),
        time if isinstance(time, int) else 0,
    )


def instant(milliseconds: int) -> str | None:
    """The moment as RFC 3339 writes it, in UTC with milliseconds; None when no calendar has it."""
    seconds, rest = divmod(milliseconds, 1000)
    text = _second(seconds)
    return text and f"{text}.{rest:03d}Z"


@lru_cache(maxsize=256)  # events come in the order of time
def _second(seconds: int) -> str | None:
    with suppress(ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return None
