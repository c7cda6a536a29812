"""Our own log, as those see it who anchor it: its newest checkpoint, and proofs that it continues older ones."""

import threading
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from gateway.audit.anchors.anchor_key import anchor_signer, with_line
from gateway.audit.anchors.outcomes import AnchorError, ConflictError
from gateway.audit.log_tree import ContradictionError, LogTree, ProofError
from gateway.audit.proofs import newest_checkpoint, parsed, prove_continued
from gateway.audit.verifier import Checkpoint
from gateway.errors import GatewayError, LedgerError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Shown:
    """A checkpoint that leaves the machine, as a note with the lines of both keys."""

    note: str
    checkpoint: Checkpoint

    @property
    def root(self) -> str:
        """The tree head in base64."""
        return b64encode(self.checkpoint.root).decode()


class OwnLog:
    """Used by the threads of all anchors; one at a time reads the log's files."""

    def __init__(self, directory: Path, origin: str) -> None:
        self.directory = directory
        self.origin = origin
        self._tree: LogTree | None = None
        self._lock = threading.Lock()

    def shown(self) -> Shown:
        """The newest durable checkpoint, after a look whether the log's files still give what it states.

        Raises:
            ConflictError: they do not.
            AnchorError: there is none yet, or it cannot be read.
        """
        with self._lock:
            try:
                note = newest_checkpoint(self.directory)
                self._again(lambda tree: self._check(tree, parsed(note)))
                note = with_line(note, anchor_signer(self.directory, self.origin), self.origin)
                return Shown(note, parsed(note))
            except ContradictionError as error:
                raise ConflictError(str(error)) from None
            except (ProofError, LedgerError, OSError) as error:
                raise AnchorError(_cause(error)) from None

    def proof(self, old: int, shown: Shown) -> list[bytes]:
        """The proof that a checkpoint continues the first `old` events.

        Raises:
            AnchorError: it takes events that are pruned, or the log cannot be read.
        """
        with self._lock:
            try:
                return self._again(lambda tree: tree.consistency(old, shown.checkpoint.size))
            except (ProofError, LedgerError, OSError) as error:
                raise AnchorError(_cause(error)) from None

    def compare(self, before: Checkpoint, shown: Shown) -> None:
        """Nothing, when the log continues a checkpoint of it that was kept.

        Raises:
            ConflictError: it does not: it was put back to an older state, or changed.
            AnchorError: that cannot be told.
        """
        if before.size > shown.checkpoint.size:
            raise ConflictError(
                f"the log has {shown.checkpoint.size} events, and a checkpoint of it was kept for {before.size}",
                size=before.size,
                root=b64encode(before.root).decode(),
            )
        with self._lock:
            try:
                self._again(lambda tree: prove_continued(tree, before, shown.checkpoint))
            except ContradictionError as error:
                raise ConflictError(str(error), size=before.size, root=b64encode(before.root).decode()) from None
            except (ProofError, LedgerError, OSError) as error:
                raise AnchorError(_cause(error)) from None

    def close(self) -> None:
        """Close the log's files."""
        with self._lock:
            if self._tree is not None:
                self._tree.close()
            self._tree = None

    def _again(self, look: Callable[[LogTree], T]) -> T:
        """What `look` finds in the tree. A batch that failed may have been read before it was cut off: then anew."""
        if self._tree is not None:
            try:
                self._tree.refresh()
                return look(self._tree)
            except (GatewayError, OSError):
                self._tree.close()
                self._tree = None
        self._tree = LogTree(self.directory)
        return look(self._tree)

    def _check(self, tree: LogTree, signed: Checkpoint) -> None:
        if signed.size > tree.size or tree.root(signed.size) != signed.root:
            raise ContradictionError(
                f"the events are not those that the checkpoint of {signed.size} was signed for",
                "gateway audit verify finds where they differ",
            )
        tree.signed_by(signed)


def _cause(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{error.filename or 'the log'}: {(error.strerror or str(error)).lower()}"
    return str(error)
