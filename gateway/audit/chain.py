"""What a log signs: each commit the tree of everything so far, each epoch's key the key that follows it."""

from base64 import b64encode
from dataclasses import dataclass

import msgspec

from gateway.audit.keys import EpochKeys
from gateway.audit.note import Signer, checkpoint, checkpoint_text, roll_text
from gateway.audit.segment import FORMAT, Header
from gateway.audit.tree import Tree


class Commit(msgspec.Struct, frozen=True):
    """A commit line: the log has `cp` events, their tree head is `root`, and `sig` signs both."""

    cp: int
    root: str
    sig: str


@dataclass(frozen=True, slots=True)
class Epoch:
    """A key, the header of the segment in which it signs, and that segment's first commit line."""

    signer: Signer
    header: Header
    commit: bytes


class Chain:
    """The tree of what is durable, and the key of the running epoch. Used by the thread that writes the log.

    `tree` moves on only when what it holds is on the disk.
    """

    def __init__(self, origin: str, keys: EpochKeys, signer: Signer, tree: Tree) -> None:
        self.tree = tree
        self._origin = origin
        self._keys = keys
        self._signer = signer

    @classmethod
    def begin(cls, origin: str, keys: EpochKeys, created: int) -> tuple["Chain", Epoch]:
        """The chain of a new log, and its first epoch.

        Raises:
            OSError: the key cannot be kept.
            LedgerError: there is something else in its place.
        """
        chain = cls(origin, keys, keys.first(), Tree())
        return chain, chain._epoch(chain._signer, created, None)

    def commit(self, tree: Tree) -> bytes:
        """The line that signs for this tree: to be written in one piece with the events that it adds."""
        return _commit(self._origin, self._signer, tree)

    def checkpoint(self) -> str:
        """The tree as a C2SP checkpoint. To be shown to others only when it is durable."""
        signature = self._signer.sign(checkpoint_text(self._origin, self.tree.size, self.tree.root))
        return checkpoint(self._origin, self.tree.size, self.tree.root, signature)

    def following(self, created: int) -> Epoch:
        """The epoch that would begin now. It counts when its segment exists and `promote` has been called.

        Raises:
            OSError: its key cannot be kept.
        """
        signer = self._keys.following()
        text = roll_text(self._origin, self.tree.size, self.tree.root, signer.vkey)
        return self._epoch(signer, created, self._signer.sign(text))

    def promote(self, epoch: Epoch) -> None:
        """Sign with the new key from now on; the old one is erased.

        Raises:
            OSError: the old one could not be.
        """
        self._keys.promote()
        self._signer = epoch.signer
        self._keys.note(epoch.header.start, epoch.header.vkey)

    def _epoch(self, signer: Signer, created: int, roll: str | None) -> Epoch:
        tree = self.tree
        stack = tuple(b64encode(each).decode() for each in tree.stack)
        header = Header(FORMAT, self._origin, tree.size, created, stack, signer.vkey, roll)
        return Epoch(signer, header, _commit(self._origin, signer, tree))


def _commit(origin: str, signer: Signer, tree: Tree) -> bytes:
    root = tree.root
    signature = signer.sign(checkpoint_text(origin, tree.size, root))
    return b'{"cp":%d,"root":"%b","sig":"%b"}\n' % (tree.size, b64encode(root), signature.encode())
