"""Proofs from the files of a log: that an event stands in it, and that what it is now continues what it was.

Nothing that is made here has to be believed: `gateway.audit.verifier` checks it without this module.
"""

from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path

from gateway.audit.directory import checkpoint_path
from gateway.audit.log_tree import ContradictionError, LogTree, ProofError
from gateway.audit.verifier import Checkpoint, is_consistent, root_of_inclusion

__all__ = [
    "ContradictionError",
    "LogTree",
    "ProofError",
    "newest_checkpoint",
    "parsed",
    "prove",
    "prove_continued",
    "tlog_proof",
]


def tlog_proof(index: int, path: Sequence[bytes], note: str) -> str:
    """An inclusion proof as text (https://c2sp.org/tlog-proof)."""
    hashes = "".join(f"{b64encode(each).decode()}\n" for each in path)
    return f"c2sp.org/tlog-proof@v1\nindex {index}\n{hashes}\n{note}"


def prove(tree: LogTree, sequence: int, note: str) -> str:
    """The tlog-proof that an event stands in the log of this checkpoint, checked before it is handed out.

    Raises:
        ContradictionError: the checkpoint does not belong to these files.
        ProofError: it does not cover the event, or the event is pruned.
    """
    signed = parsed(note)
    if sequence >= signed.size:
        raise ProofError(
            f"event {sequence} is newer than the checkpoint, which covers {signed.size} events",
            "a working log renews its checkpoint once a second",
        )
    path = tree.inclusion(sequence, signed.size)
    if root_of_inclusion(tree.node(0, sequence), sequence, signed.size, path) != signed.root:
        raise _other_files(tree, signed)
    return tlog_proof(sequence, path, note)


def prove_continued(tree: LogTree, old: Checkpoint, new: Checkpoint) -> list[bytes]:
    """The proof that one checkpoint of this log continues another, checked before it is handed out.

    Raises:
        ContradictionError: it does not, or not with these files.
        ProofError: what it takes is pruned.
    """
    for each in (old, new):
        if each.size > tree.size:
            raise ContradictionError(
                f"{tree.directory}: has {tree.size} events, and a checkpoint of it was signed for {each.size}",
                "the log was cut or put back to an older state: keep the checkpoint, and a copy of the log for inquiry",
            )
    if old.size > new.size:
        raise ProofError(f"the checkpoint of {old.size} events is the newer one", "name the older one first")
    path = tree.consistency(old.size, new.size)
    if not is_consistent(old.size, old.root, new.size, new.root, path):
        raise (
            _other_files(tree, new)
            if tree.root(new.size) != new.root
            else ContradictionError(
                f"{tree.directory}: the first {old.size} events are not those that the older checkpoint was signed for",
                "the log was changed since: keep the checkpoint, and a copy of the log for inquiry",
            )
        )
    return path


def _other_files(tree: LogTree, signed: Checkpoint) -> ContradictionError:
    return ContradictionError(
        f"{tree.directory}: the files do not give the tree head of the checkpoint of {signed.size} events",
        "gateway audit verify finds where they differ",
    )


def newest_checkpoint(directory: Path) -> str:
    """The checkpoint file of a log: what was on the disk for certain about a second ago, or at the end.

    Raises:
        ProofError: there is none yet.
        OSError: it cannot be read.
    """
    try:
        return checkpoint_path(directory).read_text()
    except FileNotFoundError:
        raise ProofError(f"{directory}: there is no checkpoint yet", "try again in a second") from None


def parsed(note: str) -> Checkpoint:
    """The checkpoint that a note is. Raises ProofError when it is none."""
    try:
        return Checkpoint.parse(note, "checkpoint")
    except ValueError as error:
        raise ProofError(str(error)) from None
