"""The complete subtrees of 2^8, 2^16 and 2^24 events that end inside a segment: what its `.tree` file holds.

With them a proof about one event reads the 256 events beside it, and not the log.
"""

from collections.abc import Sequence
from typing import Final

from gateway.audit.tree import Tree

LEVELS: Final = (8, 16, 24)
_STEP: Final = 8
_WIDTH: Final = 1 << _STEP


class Levels:
    """The tree of a log from the start of a segment on, eight levels at a time.

    On each of them, what stands to the left of the next complete subtree is a tree of at most 255 leaves, and these
    leaves are the complete subtrees of the level below.
    """

    def __init__(self, start: Tree) -> None:
        """`start`: the tree of all events before the segment."""
        left = list(start.stack)
        self._edges: list[Tree] = []
        for level in (0, *LEVELS[:-1]):
            size = start.size >> level & _WIDTH - 1
            low = [left.pop() for _ in range(size.bit_count())]
            self._edges.append(Tree(size, tuple(reversed(low))))
        self._top = Tree(start.size >> LEVELS[-1], tuple(left))
        self._complete: dict[int, list[bytes]] = {level: [] for level in LEVELS}

    def extend(self, leaves: Sequence[bytes]) -> None:
        """Add leaf hashes. They must not reach over a multiple of 256: give them frame by frame."""
        self._add(0, leaves)

    def _add(self, index: int, nodes: Sequence[bytes]) -> None:
        if index == len(self._edges):
            self._top = self._top.extended(nodes)
            return
        edge = self._edges[index].extended(nodes)
        if edge.size == _WIDTH:
            self._complete[LEVELS[index]] += edge.stack
            self._add(index + 1, edge.stack)
            edge = Tree()
        if edge.size > _WIDTH:
            raise ValueError(f"leaves reach over a multiple of {_WIDTH}")
        self._edges[index] = edge

    @property
    def tree(self) -> Tree:
        """The tree of everything so far."""
        size, stack = self._top.size << LEVELS[-1], list(self._top.stack)
        for index in reversed(range(len(self._edges))):
            size += self._edges[index].size << _STEP * index
            stack += self._edges[index].stack
        return Tree(size, tuple(stack))

    @property
    def hashes(self) -> bytes:
        """The contents of the `.tree` file: 32 bytes a subtree, lowest level first, from left to right."""
        return b"".join(each for level in LEVELS for each in self._complete[level])
