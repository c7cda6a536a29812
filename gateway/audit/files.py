"""Events about files: what came in, what went out, and what was refused (`file.upload`, `file.download`).

Every constructor is pure: the stamp is passed in. The content is never in them, only its SHA-256.
"""

from typing import Final, Literal

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from gateway.audit import ocsf
from gateway.audit.event import Event, actor, event_of, fits, metadata, truncated
from gateway.audit.exchanges import PROFILES, Facts, destination, source
from gateway.audit.masking import of_event, words
from gateway.audit.masks import CLEAR, Masks
from gateway.audit.outcomes import outcome_at_the_door
from gateway.audit.redact import NORMAL, TIGHT, Caps, Redacted, cut_mark, redact, text, valid
from gateway.audit.stamp import Stamp
from gateway.model import Deny, ExchangeOpened, Reason

_CLASS: Final = 6006
_ABSENT: Final = ("/http_request/user_agent", "/unmapped/gateway/page", "/activity_name")
_ACTIVITIES: Final = {"upload": 1, "download": 2}


class Transfer(Struct, frozen=True, gc=False):
    """One file on its way. `size` in bytes, of what was transferred; `sha256` in hex, None when it was refused.

    `part` is the Content-Range of a part (RFC 9110 §14.4): size and digest are that part's, then.
    """

    direction: Literal["upload", "download"]
    name: str
    size: int
    sha256: str | None
    media_type: str
    part: str | None = None
    refused: Reason | None = None


class _Transferred(Facts, frozen=True):
    """`unmapped.gateway` of a file event."""

    policy_digest: str
    surface: str
    content_range: str | UnsetType
    erased: tuple[str, ...] | UnsetType
    masked: tuple[str, ...] | UnsetType
    truncated: tuple[str, ...] | UnsetType


def transferred(transfer: Transfer, exchange: ExchangeOpened, stamp: Stamp, masks: Masks = CLEAR) -> Event:
    """`file.upload`: before the script can see it. `file.download`: before it leaves."""
    known = words(exchange, masks)
    name = known.text(transfer.name, "/file/name")
    transfer = transfer if name is transfer.name else replace(transfer, name=name)
    event = _event(transfer, redact(exchange, NORMAL, masks), stamp, NORMAL, known.found)
    if fits(event):
        return event
    return truncated(_event(transfer, redact(exchange, TIGHT, masks), stamp, TIGHT, known.found))


def _event(transfer: Transfer, redacted: Redacted, stamp: Stamp, caps: Caps, found: list[str]) -> Event:
    exchange = redacted.exchange
    context, decision = exchange.context, exchange.decision
    judged = decision if transfer.refused is None else Deny(transfer.refused, decision.policy, decision.rule)
    outcome = outcome_at_the_door(judged)
    activity, rule = _ACTIVITIES[transfer.direction], judged.rule
    file, cut = _file(transfer, caps)
    cut = (*redacted.truncated, *cut)
    return event_of(
        ocsf.FileHosting(
            metadata=metadata(stamp, f"file.{transfer.direction}", PROFILES, exchange.request_id, cut),
            category_uid=6,
            class_uid=_CLASS,
            activity_id=activity,
            type_uid=_CLASS * 100 + activity,
            time=stamp.time,
            severity_id=outcome.severity,
            status_id=outcome.status,
            status_detail=judged.reason,
            action_id=outcome.action,
            disposition_id=outcome.disposition,
            actor=actor(context.principal, redacted.session),
            src_endpoint=source(exchange),
            dst_endpoint=destination(context),
            file=file,
            http_request=ocsf.HttpRequest(
                exchange.request_id,
                context.method,
                exchange.http_version,
                ocsf.Url(context.path, context.scheme, context.host or UNSET),
            ),
            policy=ocsf.Policy(judged.policy.revision),
            firewall_rule=ocsf.FirewallRule(rule, rule) if rule else UNSET,
            unmapped=ocsf.Unmapped(
                _Transferred(
                    "file",
                    judged.reason,
                    judged.policy.digest,
                    context.surface,
                    transfer.part or UNSET,
                    redacted.erased or UNSET,
                    (*of_event(redacted.masked, *_ABSENT), *found) or UNSET,
                    cut or UNSET,
                )
            ),
        )
    )


def _file(transfer: Transfer, caps: Caps) -> tuple[ocsf.File, tuple[str, ...]]:
    """The file as it may stand in the record, and the places of what was shortened."""
    name = text(valid(transfer.name, caps))
    cut = len(name) > caps.text
    file = ocsf.File(
        f"{name[: caps.text - 1]}{cut_mark(caps)}" if cut else name,
        transfer.size,
        valid(transfer.media_type[: caps.text], caps) or UNSET,
        UNSET if transfer.sha256 is None else (ocsf.Fingerprint(transfer.sha256),),
    )
    return file, ("/file/name",) if cut else ()
