"""Events about the gateway itself: its life and the record's, another policy, a script that raised, an administrator.

Every constructor is pure: the stamp is passed in.
"""

import ipaddress
from collections.abc import Mapping
from typing import Final

from msgspec import UNSET, UnsetType

from gateway.audit import ocsf
from gateway.audit.details import Details, details
from gateway.audit.event import Event, actor, event_of, fit, metadata, short
from gateway.audit.masking import CLIENT, Words, mask_facts, person
from gateway.audit.masks import CLEAR, Masks, is_pseudonym
from gateway.audit.redact import Caps
from gateway.audit.stamp import Stamp
from gateway.model import PolicyRef, Principal

_LIFECYCLE, _ERROR, _ENTITY, _API, _OTHER = 6002, 6008, 3004, 6003, 99
_WITH_ACTOR: Final = ("host",)


class _Facts(ocsf.Object, frozen=True):
    """`unmapped.gateway` of the rarer events. `phase` says what kind; `details` are the event's own facts."""

    phase: str
    details: Details
    page: str | UnsetType = UNSET
    erased: tuple[str, ...] | UnsetType = UNSET
    masked: tuple[str, ...] | UnsetType = UNSET


_ACTIVITIES: Final = {"start": 3, "stop": 4}
# Codes that somebody should look at: severity, status.
_ALARMS: Final = {
    "audit.failed": (4, 2),
    "audit.suppressed": (4, 2),
    "audit.recovered": (3, 1),
    "audit.clock_step": (2, 1),
    "audit.set_aside": (4, 2),
    "audit.seal_failed": (3, 2),
    "audit.pruned": (2, 1),
    "audit.space": (3, 1),
    "audit.anchor_failed": (3, 2),
    "audit.anchor_conflict": (4, 2),
    "gateway.degraded": (3, 2),
    "policy.rejected": (3, 2),
}


def lifecycle(code: str, message: str, facts: Mapping[str, object], stamp: Stamp, masks: Masks = CLEAR) -> Event:
    """Something in the life of the gateway or of the record itself, such as `audit.start` or `gateway.stop`."""
    activity = _ACTIVITIES.get(code.rpartition(".")[2], _OTHER)
    severity, status = _ALARMS.get(code, (1, 1))
    words = Words({})
    facts = mask_facts(facts, masks, words)
    masked = tuple(words.found) or UNSET

    def build(caps: Caps) -> Event:
        kept, erased = details(facts, caps)
        return event_of(
            ocsf.ApplicationLifecycle(
                metadata=metadata(stamp, short(code)),
                category_uid=6,
                class_uid=_LIFECYCLE,
                activity_id=activity,
                type_uid=_LIFECYCLE * 100 + activity,
                time=stamp.time,
                severity_id=severity,
                status_id=status,
                message=short(message),
                activity_name=short(code) if activity == _OTHER else UNSET,
                unmapped=ocsf.Unmapped(_Facts("lifecycle", kept, erased=erased or UNSET, masked=masked)),
            )
        )

    return fit(build)


def policy_change(
    before: PolicyRef | None,
    after: PolicyRef,
    by: Principal,
    facts: Mapping[str, object],
    stamp: Stamp,
    masks: Masks = CLEAR,
) -> Event:
    """Another revision became the active one (`policy.change`). `before` is None at the first load."""
    who = person(by, masks)
    facts = mask_facts(facts, masks, who.words)
    masked = (*who.masked, *who.words.found) or UNSET

    def build(caps: Caps) -> Event:
        digests = {"digest": after.digest} | ({"previous_digest": before.digest} if before else {})
        kept, erased = details({**digests, **facts}, caps)
        return event_of(
            ocsf.EntityManagement(
                metadata=metadata(stamp, "policy.change"),
                category_uid=3,
                class_uid=_ENTITY,
                activity_id=3,
                type_uid=_ENTITY * 100 + 3,
                time=stamp.time,
                severity_id=2,
                status_id=1,
                message=short(f"policy revision {after.revision} is active"),
                actor=_by(who.principal),
                entity=_entity(before, is_applied=False) if before else _entity(after, is_applied=True),
                entity_result=_entity(after, is_applied=True),
                unmapped=ocsf.Unmapped(_Facts("change", kept, erased=erased or UNSET, masked=masked)),
            )
        )

    return fit(build)


def script_error(
    exception: str,
    frames: str,
    principal: Principal,
    stamp: Stamp,
    *,
    page: str | None = None,
    request_id: str | None = None,
    masks: Masks = CLEAR,
) -> Event:
    """A script raised (`script.error`). `exception` is its type's name and `frames` a hash of where.

    Never the exception's text: it holds the tool's data.
    """
    kept, _ = details({"exception": exception, "frames": frames})
    who = person(principal, masks)
    page = who.words.maybe(page, "/unmapped/gateway/page")
    request_id = who.words.maybe(request_id, "/metadata/correlation_uid")
    masked = (*who.masked, *who.words.found) or UNSET
    return event_of(
        ocsf.ApplicationError(
            metadata=metadata(stamp, "script.error", _WITH_ACTOR, short(request_id) if request_id else None),
            category_uid=6,
            class_uid=_ERROR,
            activity_id=1,
            type_uid=_ERROR * 100 + 1,
            time=stamp.time,
            severity_id=3,
            status_id=2,
            message="the script raised an exception",
            actor=_by(who.principal),
            unmapped=ocsf.Unmapped(_Facts("error", kept, page=short(page) if page else UNSET, masked=masked)),
        )
    )


def admin_action(
    operation: str,
    by: Principal,
    source: str,
    facts: Mapping[str, object],
    stamp: Stamp,
    *,
    code: str = "admin.action",
    succeeded: bool = True,
    masks: Masks = CLEAR,
) -> Event:
    """What an administrator did (`admin.action`, or a `code` of its own such as `audit.query`).

    `source` is an address, or the host's name for a command.
    """
    who = person(by, masks)
    endpoint, at = _endpoint(source, masks, who.words)
    facts = mask_facts(facts, masks, who.words)
    masked = (*who.masked, *at, *who.words.found) or UNSET

    def build(caps: Caps) -> Event:
        kept, erased = details(facts, caps)
        return event_of(
            ocsf.ApiActivity(
                metadata=metadata(stamp, short(code), _WITH_ACTOR),
                category_uid=6,
                class_uid=_API,
                activity_id=_OTHER,
                type_uid=_API * 100 + _OTHER,
                time=stamp.time,
                severity_id=2,
                status_id=1 if succeeded else 2,
                message=short(operation),
                actor=_by(who.principal),
                api=ocsf.Api(short(operation)),
                src_endpoint=endpoint,
                unmapped=ocsf.Unmapped(_Facts("admin", kept, erased=erased or UNSET, masked=masked)),
            )
        )

    return fit(build)


def _by(principal: Principal) -> ocsf.Actor:
    return actor(Principal(short(principal.id), principal.method))


def _entity(ref: PolicyRef, *, is_applied: bool) -> ocsf.ManagedEntity:
    policy = ocsf.Policy(ref.revision, is_applied=is_applied)
    return ocsf.ManagedEntity("gateway", "gateway", ref.revision, policy)


def _endpoint(source: str, masks: Masks, words: Words) -> tuple[ocsf.Endpoint, tuple[str, ...]]:
    """Where it came from; and the pointer to the address if that is masked."""
    try:
        ipaddress.ip_address(source)
    except ValueError:
        return ocsf.Endpoint(hostname=short(source)), ()
    address = masks.of("client", source)
    words.learn(source, address)
    return (ocsf.Endpoint(uid=address), (CLIENT,)) if is_pseudonym(address) else (ocsf.Endpoint(address), ())
