"""Whether visitors should be sent here, and why not."""

from collections.abc import Callable, Mapping, Sequence

from gateway.audit.anchors.status import Status
from gateway.audit.ledger import Ledger
from gateway.audit.stamp import stamp
from gateway.revisions import Revisions


class Health:
    """Reads the state of the record and of the policy; never waits, never writes."""

    def __init__(self, revisions: Revisions, ledger: Ledger, anchors: Callable[[], Sequence[Status]] = tuple) -> None:
        self._revisions = revisions
        self._ledger = ledger
        self._anchors = anchors
        self.stopping = False

    @property
    def ready(self) -> bool:
        """Ready: the record can be written and has room for new visitors, and we are not stopping.

        An old policy that stays in force is ready, and so is a record whose space is low, or that is not anchored.
        """
        record = self._ledger.health
        return not self.stopping and record.state == "writing" and record.space != "exhausted"

    def report(self) -> Mapping[str, object]:
        """Everything that an operator needs to see, as plain JSON."""
        policy, record = self._revisions.status, self._ledger.health
        return {
            "ready": self.ready,
            "stopping": self.stopping,
            # First, because it is what makes us not ready: `gateway health` prints only the beginning.
            "record": {
                "state": record.state,
                "cause": record.cause,
                "sequence": record.sequence,
                "space": record.space,
                "free_bytes": record.free_bytes,
                "suppressed": record.suppressed,
            },
            "anchors": [_anchor(each, stamp().time) for each in self._anchors()],
            "policy": {
                "revision": policy.revision,
                "digest": policy.digest,
                "loaded_at": policy.loaded_at.isoformat(),
                "problems": [str(problem) for problem in policy.problems],
            },
        }


def _anchor(status: Status, now: int) -> Mapping[str, object]:
    """One place of checkpoints. `age` in seconds, of the newest one that it has; None while it has none."""
    return {
        "kind": status.kind,
        "place": status.place,
        "size": status.size,
        "age": None if status.time is None else max(0, (now - status.time) // 1000),
        "problem": status.problem,
        "conflict": status.conflict,
    }
