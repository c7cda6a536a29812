"""OTLP/HTTP: batches as `ExportLogsServiceRequest`, binary protobuf with gzip, one request after the other.

Source: OTLP specification 1.x, "OTLP/HTTP". What it lets a client drop we never drop: after an answer that must not be
repeated, shipping stops.
"""

import email.utils
import gzip
import re
import ssl
import time
from collections.abc import Mapping
from typing import Final

import httpx
import msgspec
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from gateway import __version__
from gateway.audit.formats.otlp import log_record
from gateway.audit.shipping.connection import untrusted
from gateway.audit.shipping.errors import Refused, Undelivered
from gateway.audit.shipping.sink import Batch, Delivered

CONTENT_TYPE: Final = "application/x-protobuf"
RETRYABLE: Final = frozenset({429, 502, 503, 504})
"""The answers after which a request may be repeated: the specification lists them, and no others."""
LONGEST_WAIT: Final = 600.0
"""Seconds that a Retry-After may ask for. No receiver can silence us for longer."""

_TIMEOUT: Final = httpx.Timeout(30.0, connect=10.0)
_ERRNO: Final = re.compile(r"^\[Errno -?\d+\] ")
_PATIENCE: Final = 60.0  # seconds for a whole answer, however slowly it drips
_LONGEST_ANSWER: Final = 1024 * 1024
_SUCCESS: Final = (200, 204)  # 204 is not in the specification; there are receivers that say so


class OtlpSink:
    """A receiver of OTLP/HTTP. A confirmation is its answer 200 with a valid response message, or with none at all."""

    overlap = 0.0

    def __init__(self, url: str, headers: Mapping[str, str], context: ssl.SSLContext | None) -> None:
        self._url = url
        self._client = httpx.Client(
            headers={
                "User-Agent": f"streamlit-gateway/{__version__}",
                **headers,
                "Content-Type": CONTENT_TYPE,
                "Content-Encoding": "gzip",
                "Accept-Encoding": "identity",
            },
            verify=context or False,
            timeout=_TIMEOUT,
            # A proxy of the environment would get the record, and a redirect our credentials.
            trust_env=False,
            follow_redirects=False,
        )

    def send(self, batch: Batch) -> Delivered:
        """One request with the batch."""
        body = gzip.compress(request(batch).SerializeToString(), compresslevel=3, mtime=0)
        try:
            with self._client.stream("POST", self._url, content=body) as response:
                return _outcome(response, _read(response))
        except httpx.HTTPError as error:
            if (certificate := _certificate_error(error)) is not None:
                raise untrusted(self._url, certificate) from error
            raise Undelivered(f"{self._url}: {_cause(error)}") from error

    def check(self) -> None:
        """Nothing: what was confirmed stays confirmed."""

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def request(batch: Batch) -> ExportLogsServiceRequest:
    """The batch as one message: a resource for the log, in it a record for each event, in their order."""
    records = [log_record(msgspec.json.decode(each.line), each.line) for each in batch.events]
    scope = ScopeLogs(scope=InstrumentationScope(name="gateway.audit", version=__version__), log_records=records)
    facts = {
        "service.name": "streamlit-gateway",
        "service.version": __version__,
        "service.instance.id": batch.origin,
    }
    attributes = [KeyValue(key=key, value=AnyValue(string_value=value)) for key, value in facts.items()]
    return ExportLogsServiceRequest(
        resource_logs=[ResourceLogs(resource=Resource(attributes=attributes), scope_logs=[scope])]
    )


def _read(response: httpx.Response) -> bytes:
    until = time.monotonic() + _PATIENCE
    body = b""
    for piece in response.iter_raw():
        body += piece
        if len(body) > _LONGEST_ANSWER or time.monotonic() > until:
            raise httpx.ReadError("the answer is too long or too slow")
    return body


def _outcome(response: httpx.Response, body: bytes) -> Delivered:
    code = response.status_code
    if code in _SUCCESS:
        return _delivered(response, body)
    said = f"{response.url} answers {code} {response.reason_phrase}".rstrip()
    if code in RETRYABLE:
        raise Undelivered(said, after=retry_after(response.headers.get("Retry-After"), time.time()))
    raise Refused(said + _explanation(response, body), _HINTS.get(code, "see what the receiver says about it"))


_HINTS: Final = {
    400: "the receiver does not understand the request: is this its address for OTLP logs?",
    401: "name a file with a valid header with --header-file",
    403: "name a file with a valid header with --header-file",
    404: "write the whole path, such as /v1/logs",
    405: "write the whole path, such as /v1/logs",
    413: "lower --batch-bytes",
    415: "the receiver must take binary protobuf with gzip",
}


def _delivered(response: httpx.Response, body: bytes) -> Delivered:
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    # A page of a proxy's sign-in comes with 200, too: only what is a response message confirms anything.
    if kind != CONTENT_TYPE and (kind or body):
        raise Undelivered(
            f"{response.url}: the answer is {kind or 'of no type'}, not {CONTENT_TYPE}: nothing is confirmed"
        )
    try:
        partial = ExportLogsServiceResponse.FromString(body).partial_success
    except DecodeError:
        raise Undelivered(f"{response.url}: the answer is damaged: nothing is confirmed") from None
    return Delivered(max(0, partial.rejected_log_records), partial.error_message)


def _explanation(response: httpx.Response, body: bytes) -> str:
    """The beginning of a text, on one line; nothing else of a body is for people."""
    if response.headers.get("Content-Type", "").startswith("text/plain"):
        return ": " + " ".join(body[:200].decode("utf-8", "replace").split())
    return ""


def retry_after(value: str | None, now: float) -> float | None:
    """The seconds that a Retry-After asks for (RFC 9110 §10.2.3), at most `LONGEST_WAIT`; None when it says nothing."""
    if value is None:
        return None
    if value.strip().isascii() and value.strip().isdigit():
        return min(float(value), LONGEST_WAIT)
    try:
        moment = email.utils.parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, moment - now), LONGEST_WAIT)


def _certificate_error(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error


def _cause(error: httpx.HTTPError) -> str:
    text = _ERRNO.sub("", str(error)) or type(error).__name__
    return text[:1].lower() + text[1:].rstrip(".")
