"""Signed statements about the log in the forms of C2SP: checkpoints, signed notes, verifier keys.

Sources: https://c2sp.org/signed-note, https://c2sp.org/tlog-checkpoint. The words of a key roll are our own.
"""

from base64 import b64decode, b64encode
from hashlib import sha256
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

_ED25519: Final = b"\x01"
ROLL: Final = "streamlit-gateway.key-roll/1"
"""First line of what the key of an epoch signs when it hands over. No log may have it as its origin."""


class Signer:
    """An Ed25519 key under a log's name. Its signatures are base64 of key id (4 bytes) and signature (64 bytes)."""

    def __init__(self, name: str, key: Ed25519PrivateKey) -> None:
        self._key = key
        self._id = key_id(name, public_bytes(key.public_key()))
        self.vkey = vkey(name, key.public_key())

    def sign(self, text: bytes) -> str:
        """The signature of a note's text, as it stands in the note's signature line."""
        return b64encode(self._id + self._key.sign(text)).decode()


def public_bytes(key: Ed25519PublicKey) -> bytes:
    """The 32 bytes of RFC 8032 §5.1.5."""
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def key_id(name: str, public: bytes) -> bytes:
    """Four bytes that tell keys apart, and nothing more: a signature is checked with the key."""
    return sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:4]


def vkey(name: str, key: Ed25519PublicKey) -> str:
    """The verifier key: name, key id and public key in one line."""
    public = public_bytes(key)
    return f"{name}+{key_id(name, public).hex()}+{b64encode(_ED25519 + public).decode()}"


def is_signed(verifier_key: str, text: bytes, signature: str) -> bool:
    """Whether the signature is this key's on this text. False for anything malformed."""
    name, _, rest = verifier_key.partition("+")
    try:
        public = b64decode(rest.partition("+")[2], validate=True)[1:]
        raw = b64decode(signature, validate=True)
        key = Ed25519PublicKey.from_public_bytes(public)
        if raw[:4] != key_id(name, public):
            return False
        key.verify(raw[4:], text)
    except Exception:
        return False
    return True


def checkpoint_text(origin: str, size: int, root: bytes) -> bytes:
    """What a commit signs: the body of a C2SP checkpoint."""
    return b"%b\n%d\n%b\n" % (origin.encode(), size, b64encode(root))


def checkpoint(origin: str, size: int, root: bytes, signature: str) -> str:
    """The whole checkpoint: a signed note."""
    return f"{checkpoint_text(origin, size, root).decode()}\n\u2014 {origin} {signature}\n"


def roll_text(origin: str, start: int, root: bytes, new_vkey: str) -> bytes:
    """What the key of an epoch signs last: which tree it leaves, and to which key."""
    return f"{ROLL}\n{origin}\n{start}\n{b64encode(root).decode()}\n{new_vkey}\n".encode()


def size_of_checkpoint(note: str) -> int:
    """The size that a checkpoint states. Raises ValueError when it is none."""
    lines = note.split("\n")
    if len(lines) < 5 or lines[3] or not lines[1].isascii() or not lines[1].isdigit():
        raise ValueError("no checkpoint: expected origin, size, root, an empty line and a signature")
    return int(lines[1])
