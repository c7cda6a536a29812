"""Which messages, and which pages, one open socket may have: the engine's answers, kept while they cannot change.

A page inside the socket is put to the engine twice: as the message that asks for it, and as the request that a browser
would make to open it at its address. Whoever may not have `/admin` by a rule about pages, paths or methods cannot have
it by asking inside the socket either.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from gateway.middleware.exchange import Exchange
from gateway.model import Allow, Decision, RequestContext, Surface
from gateway.policy.decide import decide
from gateway.policy.lease import lease_until

RERUN = "rerun_script"
_KEPT = 1_024  # answers of one socket: more than the pages of a menu
ACCESS = "gateway.access"
"""Key of the scope under which a socket's `Access` goes down to whoever hands it over to Streamlit."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A decision with what was looked at to reach it, for the record."""

    context: RequestContext
    decision: Decision

    @property
    def allowed(self) -> bool:
        """Whether it may pass."""
        return isinstance(self.decision, Allow)


class Access:
    """Answers for one socket, by the policy that its exchange has at the moment.

    An allow is kept until the earliest instant at which time alone could change it (`policy/lease.py`), so a kept
    answer is the answer. A refusal is never kept: it is rare, and the record wants its inputs.
    """

    def __init__(self, exchange: Exchange, clock: Callable[[], datetime]) -> None:
        self.exchange = exchange
        self.clock = clock
        self._kept: dict[tuple[str, str | None], tuple[Judged, datetime | None]] = {}

    def forget(self) -> None:
        """Ask again from now on: the policy, the session or the principal is another one."""
        self._kept.clear()

    def message(self, kind: str) -> Judged:
        """Whether a message of that kind may come in."""
        return self._answer(kind, None)

    def page(self, page: str) -> Judged:
        """Whether the visitor may have that page."""
        return self._answer(RERUN, page)

    def pages(self, pages: Iterable[str]) -> Judged | None:
        """The first refusal among these pages, in the order of their names; None when all may be had."""
        return next((judged for page in sorted(pages) if not (judged := self.page(page)).allowed), None)

    def _answer(self, kind: str, page: str | None) -> Judged:
        now = self.clock()
        if (kept := self._kept.get((kind, page))) is not None and (kept[1] is None or now < kept[1]):
            return kept[0]
        judged = self._judge(kind, page, now)
        if judged.allowed:
            if len(self._kept) >= _KEPT:  # names come from the wire: a visitor may think of any number of them
                self._kept.clear()
            self._kept[kind, page] = judged, lease_until(self.exchange.policy, judged.context)
        return judged

    def _judge(self, kind: str, page: str | None, now: datetime) -> Judged:
        policy = self.exchange.policy
        asked = replace(self.exchange.context, received_at=now, surface=Surface.MESSAGE, message=kind, page=page)
        judged = Judged(asked, decide(policy, asked))
        if page is None or not judged.allowed:
            return judged
        opened = replace(asked, kind="http", method="GET", path=page, surface=Surface.PAGE, message=None)
        as_request = Judged(opened, decide(policy, opened))
        return judged if as_request.allowed else as_request
