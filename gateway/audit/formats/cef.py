r"""ArcSight Common Event Format, CEF:0: one line an event, as it stands behind a syslog header.

Keys, lengths and escapes are those of the CEF implementation standard, version 25: `\` and `|` are escaped in the
header; `\`, `=` and line breaks (`\n`, `\r`) in the extension. Any other character that is not printable is written as
the text `\u001b`: CEF has no escape for it. The severity of OCSF becomes that of CEF (0 to 10) so that its words fall
into those of CEF: 1 informational is 1 and 2 low is 3 (Low), 3 medium is 6 (Medium), 4 high is 8 (High), 5 critical
and 6 fatal are 10 (Very-High); unknown is 0.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from gateway import __version__
from gateway.audit.encode import encode, one_line
from gateway.audit.formats.stored import ACTIONS, OUTCOMES, Stored, read
from gateway.audit.formats.titles import title

_PRODUCT: Final = "streamlit-gateway"
_SEVERITIES: Final = {1: 1, 2: 3, 3: 6, 4: 8, 5: 10, 6: 10}
_LONGEST: Final = 1023  # characters of `request` and of `flexString1`; what else there is keeps below its limit already
_PLAIN: Final = bytes(set(range(0x20, 0x7F)) - set(b"\\="))
_IN_HEADER = re.compile(r"[\\|]")
_IN_EXTENSION = re.compile(r"[\\=]")
_BREAKS: Final = {"\n": r"\n", "\r": r"\r"}
_OTHERS = re.compile(r"[^\n\r]+|[\n\r]")


def cef(event: Mapping[str, Any], raw: bytes) -> bytes:  # noqa: ARG001 - every format is called so
    """The event as one line of CEF without its newline: printable and valid UTF-8."""
    return text(read(event)).encode("utf-8", "replace")


def text(stored: Stored) -> str:
    """The event as CEF."""
    metadata, gateway = stored.metadata, stored.unmapped.gateway
    head = _header(
        metadata.product.version or __version__,
        metadata.event_code,
        gateway.phase,
        stored.severity_id,
        metadata.log_name,
    )
    return f"{head}cn1={metadata.sequence} rt={stored.time}{_extension(stored)}"


@lru_cache(maxsize=1024)  # the same few combinations come again and again
def _header(version: str, code: str, phase: str | None, severity: int, log: str) -> str:
    """The header, and the beginning of the extension: what hardly ever changes."""
    fields = (_PRODUCT, _PRODUCT, version, code, title(code, phase), str(_SEVERITIES.get(severity, 0)))
    constant = f"deviceExternalId={_value(log)} " if log else ""
    phase = f"flexString2Label=Phase flexString2={_value(phase)} " if phase else ""
    return f"CEF:0|{'|'.join(map(_field, fields))}|{constant}{phase}cn1Label=Sequence "


def _extension(stored: Stored) -> str:
    texts = (*_of_all(stored), *_who(stored), *_what(stored), *_of_file(stored))
    # One look at all of them: nearly every event has nothing to escape.
    if not _is_plain("".join([each for each in texts if each])):
        texts = tuple([_value(each) if each else None for each in texts])
    numbers = [f"{key}{number}" for key, number in zip(_NUMBERS, _numbers(stored), strict=True) if number is not None]
    return "".join([key + text for key, text in zip(_TEXTS, texts, strict=False) if text] + numbers)


_TEXTS: Final = (
    *(" externalId=", " act=", " outcome=", " reason=", " msg=", " cs1Label=Rule cs1="),
    *(
        " cs2Label=PolicyRevision cs2=",
        " cs3Label=PolicyDigest cs3=",
        " cs4Label=RequestId cs4=",
        " cs6Label=Page cs6=",
    ),
    *(" cat=", " flexString1Label=Details flexString1="),
    *(" suser=", " cs5Label=Session cs5=", " shost=", " src=", " c6a2Label=Source IPv6 Address c6a2="),
    *(" request=", " requestMethod=", " requestClientApplication=", " app=", " dhost=", " destinationServiceName="),
    *(" fname=", " fileHash=", " fileType="),
)
_NUMBERS: Final = (
    *(" spt=", " dpt=", " cn2Label=HttpStatus cn2=", " cn3Label=DurationMilliseconds cn3="),
    *(" flexNumber1Label=CloseCode flexNumber1=", " in=", " out=", " start=", " end=", " cnt=", " fsize="),
)


def _of_all(stored: Stored) -> tuple[str | None, ...]:
    metadata, gateway, rule = stored.metadata, stored.unmapped.gateway, stored.firewall_rule
    return (
        metadata.uid,
        None if stored.action_id is None else ACTIONS.get(stored.action_id),
        None if gateway.enforced is not None else OUTCOMES.get(stored.status_id),
        stored.reason,
        stored.message,
        None if rule is None else rule.uid,
        stored.revision,
        gateway.policy_digest,
        metadata.correlation_uid,
        gateway.page,
        gateway.surface,
        _details(stored),
    )


def _who(stored: Stored) -> tuple[str | None, ...]:
    actor, source = stored.actor, stored.src_endpoint
    user = actor.user.uid if actor and actor.user else None
    session = actor.session.uid if actor and actor.session else None
    if source is None:
        return user, session, None, None, None
    address = source.ip
    # `src` is for IPv4 only in CEF:0.
    addresses = (None, address) if address and ":" in address else (address, None)
    return user, session, source.name, *addresses


def _what(stored: Stored) -> tuple[str | None, ...]:
    target, asked = stored.target, stored.dst_endpoint
    if target is None:
        return (None,) * 6
    return (
        _url(target.scheme, target.hostname, target.path),
        stored.method,
        stored.user_agent,
        stored.app_protocol_name or target.scheme,
        asked.hostname if asked else None,
        asked.svc_name if asked else None,
    )


def _of_file(stored: Stored) -> tuple[str | None, ...]:
    file = stored.file
    return (file.name, file.sha256, file.mime_type) if file else ()


def _url(scheme: str | None, host: str | None, path: str | None) -> str | None:
    url = f"{scheme}://{host}{path}" if scheme and host else path
    return url if url is None or len(url) <= _LONGEST else f"{url[: _LONGEST - 1]}…"


def _details(stored: Stored) -> str | None:
    """The event's own facts as JSON; of a finding, what the browser reported."""
    gateway = stored.unmapped.gateway
    facts: Mapping[str, object] | None = gateway.details
    if gateway.directive is not None:
        facts = {"directive": gateway.directive, "blocked": gateway.blocked, "enforced": gateway.enforced}
    if not facts:
        return None
    json = encode(facts).decode()
    return json if len(json) <= _LONGEST else f"{json[: _LONGEST - 1]}…"


def _numbers(stored: Stored) -> tuple[int | None, ...]:
    source, asked, traffic = stored.src_endpoint, stored.dst_endpoint, stored.traffic
    request, response = stored.http_request, stored.http_response
    return (
        source.port if source else None,
        asked.port if asked else None,
        stored.status,
        stored.duration,
        stored.unmapped.gateway.close_code,
        traffic.bytes_in if traffic else request.body_length if request else None,
        traffic.bytes_out if traffic else response.body_length if response else None,
        stored.start_time,
        stored.end_time,
        stored.count,
        stored.file.size if stored.file else None,
    )


def _field(value: str) -> str:
    """A field of the header."""
    return _IN_HEADER.sub(r"\\\g<0>", value if value.isprintable() else one_line(value))


def _value(value: str) -> str:
    """The value of a key."""
    if _is_plain(value):
        return value
    if value.isprintable():
        return _IN_EXTENSION.sub(r"\\\g<0>", value)
    return "".join(
        _BREAKS.get(each) or _IN_EXTENSION.sub(r"\\\g<0>", one_line(each)) for each in _OTHERS.findall(value)
    )


def _is_plain(value: str) -> bool:
    if value.isascii():  # three times as fast as looking at each character
        return not value.encode().translate(None, _PLAIN)
    return value.isprintable() and "=" not in value and "\\" not in value
