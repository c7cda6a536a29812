"""The RFC 6962 Merkle tree of the log, as its writer needs it: leaves are only ever added at the right edge.

All that is kept is the compact range of what has been written: the hashes of the greatest complete subtrees, from left
to right, at most one for each bit of the size. Nodes inside are made again from the lines when somebody asks for one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Self

EMPTY_ROOT: Final = sha256().digest()
"""The tree head of no leaves (RFC 6962 §2.1)."""


def leaf_hash(line: bytes) -> bytes:
    """The hash of a leaf, which is a line without its newline."""
    return sha256(b"\0" + line).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of a node above two others."""
    return sha256(b"\1" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Tree:
    """The first `size` leaves. `stack` holds the hashes of the complete subtrees, greatest (left) first."""

    size: int = 0
    stack: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        """Raises ValueError when the stack is not that of a tree of this size."""
        if len(self.stack) != self.size.bit_count() or any(len(each) != 32 for each in self.stack):
            raise ValueError(f"{len(self.stack)} subtrees do not make a tree of {self.size} leaves")

    def extended(self, leaves: Sequence[bytes]) -> Self:
        """The tree with these leaf hashes added. Level by level: one pass a level, not one walk up a leaf."""
        edge = list(self.stack)
        size, row, level = self.size, list(leaves), 0
        finished: list[bytes] = []  # what stays complete on each level, lowest first
        while row or size >> level:
            if size >> level & 1:
                row.insert(0, edge.pop())
            if len(row) & 1:
                finished.append(row.pop())
            digest, pairs = sha256, iter(row)
            row = [digest(b"\1" + left + right).digest() for left, right in zip(pairs, pairs, strict=True)]
            level += 1
        return type(self)(self.size + len(leaves), tuple(reversed(finished)))

    @property
    def root(self) -> bytes:
        """The tree head (RFC 6962 §2.1)."""
        if not self.stack:
            return EMPTY_ROOT
        head = self.stack[-1]
        for left in reversed(self.stack[:-1]):
            head = node_hash(left, head)
        return head
