"""The one key of a log that stays: for those who can be told a key only once.

Each segment of the log is signed by a key of its own, which is erased when it ends. A witness of the C2SP protocol, and
whoever compares notes later, wants one that stays. So every checkpoint that leaves the machine bears a second line, by
this key. It is worth less than it looks, and on purpose: a verifier of the record does not know it, and asks for the
key of the epoch, whose line is there as well. Who steals it can make a witness sign nonsense, and so disturb it,
loudly; he cannot make anybody believe an event, nor hide one.
"""

import os
from base64 import b64decode, b64encode
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.audit.directory import keys_directory
from gateway.audit.note import Signer
from gateway.errors import LedgerError
from gateway.state.directory import write_once


def anchor_signer(directory: Path, origin: str) -> Signer:
    """The anchor key of the log in this directory; made when there is none yet. Safe in several processes at once.

    Raises:
        LedgerError: what is there is no key, or the log belongs to another user, who could not read a new one.
        OSError: it cannot be read or kept.
    """
    keys = keys_directory(directory)
    path = keys / "anchor"
    if not path.exists():
        _make(keys)
    return Signer(origin, read_private(path))


def _make(keys: Path) -> None:
    descriptor = os.open(keys, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if os.fstat(descriptor).st_uid != os.geteuid():
            raise LedgerError(f"{keys}: belongs to another user, who could not read the key", "run it as that user")
        write_once(descriptor, "anchor", new_private())
    finally:
        os.close(descriptor)


def new_private() -> str:
    """A new private key as it is written down: base64 of the 32 bytes of RFC 8032 §5.1.5, and a newline."""
    raw = Ed25519PrivateKey.generate().private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    return b64encode(raw).decode() + "\n"


def read_private(path: Path) -> Ed25519PrivateKey:
    """A private key from its file.

    Raises:
        LedgerError: the file holds none.
        OSError: it cannot be read.
    """
    try:
        return Ed25519PrivateKey.from_private_bytes(b64decode(path.read_bytes().strip(), validate=True))
    except ValueError:
        hint = "restore it from a backup; with a new one, every witness must be told its verifier key anew"
        raise LedgerError(f"{path}: not a private key", hint) from None


def with_line(note: str, signer: Signer, origin: str) -> str:
    """The checkpoint with a line of the anchor key behind those it has."""
    text = note.partition("\n\n")[0].encode() + b"\n"
    return f"{note}\u2014 {origin} {signer.sign(text)}\n"
