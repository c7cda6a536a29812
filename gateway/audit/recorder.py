"""Between the exchanges and the ledger: what is recorded when, and what happens when it cannot be."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Literal, Protocol

import structlog

from gateway.audit.activity import Happening, happened
from gateway.audit.event import Event, Unbuilt
from gateway.audit.events import Durability, closed, opened, script_error
from gateway.audit.exchanges import message, rejudged
from gateway.audit.inbox import Receipt
from gateway.audit.ledger import Ledger
from gateway.audit.masks import CLEAR, Masks
from gateway.audit.stamp import Stamp, stamp
from gateway.errors import AuditUnavailable
from gateway.model import Decision, Deny, ExchangeClosed, ExchangeOpened, Policy, Principal, Reason, RequestContext

log = structlog.get_logger("gateway.audit")

OnFailure = Literal["deny", "degrade"]
Make = Callable[[ExchangeOpened, Stamp], Event]


class MaskedMake(Protocol):
    """Makes an event of an exchange, with its identities masked."""

    def __call__(self, exchange: ExchangeOpened, stamp: Stamp, *, masks: Masks) -> Event: ...


class Recordable(Protocol):
    """An exchange, as far as the record is concerned."""

    policy: Policy
    decision: Decision | None
    recorded: bool
    reason: Reason | None

    def opened(self, decision: Decision) -> ExchangeOpened: ...
    def closed(self, opened: ExchangeOpened) -> ExchangeClosed: ...


class Recorder:
    """Writes the decision of an exchange, and its end.

    `on_failure = "deny"`: an exchange whose decision cannot be recorded is refused. `"degrade"`: it goes on, the alarm
    is raised (process log, readiness), and the ledger counts what it lost for its `audit.suppressed` event. For
    decisions of the class `hold`, whose exchanges change nothing, `on_failure_hold` says it, if it is given.

    Identities stand in the record as `masks` says. An event whose mask has no key cannot be built, and is refused.
    """

    def __init__(
        self,
        ledger: Ledger,
        on_failure: OnFailure = "deny",
        on_failure_hold: OnFailure | None = None,
        masks: Masks = CLEAR,
    ) -> None:
        self.ledger = ledger
        self.masks = masks
        self._opened, self._closed = partial(opened, masks=masks), partial(closed, masks=masks)
        self._message, self._rejudged = partial(message, masks=masks), partial(rejudged, masks=masks)
        self._happened = partial(happened, masks=masks)
        self._on_failure = {
            Durability.BEFORE: on_failure,
            Durability.HOLD: on_failure_hold or on_failure,
            Durability.ASYNC: on_failure,
        }

    @property
    def has_room(self) -> bool:
        """Whether there is room in the record for anything new; without it, only what is under way is finished."""
        return self.ledger.space != "exhausted" or self._on_failure[Durability.BEFORE] == "degrade"

    def submit(self, exchange: Recordable, durability: Durability = Durability.BEFORE) -> Receipt | None:
        """Queue the decision, to be waited for with `confirm` as `durability` says.

        None: it cannot be recorded, and the operator has said to go on.

        Raises AuditUnavailable: it cannot be recorded, and the exchange must be refused.
        """
        exchange.recorded = True
        decision = exchange.decision or Deny(Reason.ENGINE_ERROR, exchange.policy.ref)
        try:
            return self.ledger.append(self._decided(exchange.opened(decision)), durability)
        except AuditUnavailable as error:
            self._failed(error, durability)
            return None

    def message_refused(self, exchange: Recordable, context: RequestContext, decision: Decision) -> Receipt | None:
        """Queue the decision on one message inside the exchange's socket. Raises AuditUnavailable, as `submit` does."""
        return self._inside(self._message, exchange, context, decision)

    def rejudged(self, exchange: Recordable, context: RequestContext, decision: Decision) -> Receipt | None:
        """Queue another decision on the open socket itself. Raises AuditUnavailable, as `submit` does."""
        return self._inside(self._rejudged, exchange, context, decision)

    def happened(self, exchange: Recordable, code: str, page: str | None, facts: Mapping[str, object]) -> None:
        """Queue what happened inside the exchange's socket. Never raises: it has happened already."""
        if exchange.decision is None:
            return
        value = Happening(exchange.opened(exchange.decision), code, page, facts)
        with suppress(AuditUnavailable):  # the ledger counts it, and says so in the record when it can write again
            self.ledger.append(Unbuilt(self._happened, value, stamp(), _weight(value.opened)), Durability.ASYNC)

    def script_error(self, exception: str, frames: str, principal: Principal, request_id: str | None) -> None:
        """Queue that a script has raised: the type's name and a digest of where. From any thread; never raises."""

        def make(by: Principal, at: Stamp) -> Event:
            return script_error(exception, frames, by, at, request_id=request_id, masks=self.masks)

        with suppress(AuditUnavailable):
            self.ledger.append(Unbuilt(make, principal, stamp()), Durability.ASYNC)

    def _inside(self, make: Make, exchange: Recordable, context: RequestContext, decision: Decision) -> Receipt | None:
        judged = replace(exchange.opened(decision), context=context)
        try:
            return self.ledger.append(Unbuilt(make, judged, stamp(), _weight(judged)), Durability.BEFORE)
        except AuditUnavailable as error:
            self._failed(error, Durability.BEFORE)
            return None

    def note(self, exchange: Recordable, make: MaskedMake, durability: Durability = Durability.ASYNC) -> Receipt | None:
        """Queue a further event of an exchange that has been judged. Raises AuditUnavailable, as `submit` does."""
        known = exchange.opened(exchange.decision or Deny(Reason.ENGINE_ERROR, exchange.policy.ref))
        masked = partial(make, masks=self.masks)
        try:
            return self.ledger.append(Unbuilt(masked, known, stamp(), _weight(known)), durability)
        except AuditUnavailable as error:
            self._failed(error, durability)
            return None

    async def confirm(self, receipt: Receipt | None) -> None:
        """Wait until the decision is durable. Raises AuditUnavailable, as `submit` does."""
        if receipt is None:
            return
        try:
            await receipt.durable()
        except AuditUnavailable as error:
            self._failed(error, receipt.durability)

    def closed(self, exchange: Recordable) -> None:
        """Queue the closing record, and the decision if nobody has. Never raises: the answer is already out."""
        decision = exchange.decision or Deny(exchange.reason or Reason.ENGINE_ERROR, exchange.policy.ref)
        before = exchange.opened(decision)
        try:
            if not exchange.recorded:
                exchange.recorded = True
                self.ledger.append(self._decided(before), Durability.ASYNC)
            end = Unbuilt(self._closed, exchange.closed(before), stamp(), _weight(before))
            self.ledger.append(end, Durability.ASYNC)
        except AuditUnavailable:
            pass  # the ledger counts it and says so in the record when it can write again

    def _decided(self, exchange: ExchangeOpened) -> Unbuilt[ExchangeOpened]:
        return Unbuilt(self._opened, exchange, stamp(), _weight(exchange))

    def _failed(self, error: AuditUnavailable, durability: Durability) -> None:
        if self._on_failure[durability] == "deny":
            raise error
        log.error("audit.degraded", cause=error.cause, durability=durability.value)


def _weight(exchange: ExchangeOpened) -> int:
    """Bytes of what the client has sent and the queue holds until the event is built."""
    context = exchange.context
    return len(context.path) + len(exchange.user_agent or "") + len(context.origin or "")
