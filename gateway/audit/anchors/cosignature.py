"""Cosignatures: a witness says that, at a time, a checkpoint was the newest of a log and continued all before it.

Source: https://c2sp.org/tlog-cosignature, the type with Ed25519 (0x04).
"""

import hashlib
import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gateway.audit.note import public_bytes

_TYPE: Final = b"\x04"
_LINE: Final = re.compile("\u2014 ([^ +]+) ([A-Za-z0-9+/]{102}==)")  # 4 + 8 + 64 bytes


@dataclass(frozen=True, slots=True)
class WitnessKey:
    """The public key of a witness, under its name."""

    name: str
    public: bytes

    @classmethod
    def parse(cls, vkey: str) -> Self:
        """The key of a vkey, `name+key id+base64(4 ‖ public key)`.

        Raises:
            ValueError: it is not one of a witness; the message says what is wrong.
        """
        name, _, rest = vkey.partition("+")
        stated, _, encoded = rest.partition("+")
        try:
            raw = b64decode(encoded, validate=True)
        except ValueError:
            raise ValueError("not a verifier key: name+id+base64") from None
        if raw[:1] != _TYPE or len(raw) != 33:
            raise ValueError("not the verifier key of a witness: those begin with the type 4, and this does not")
        key = cls(name, raw[1:])
        if not name or re.search(r"\s", name) or stated != key.id.hex():
            raise ValueError("the id in the verifier key is not that of its name and its bytes")
        return key

    @property
    def id(self) -> bytes:
        """Four bytes that tell the keys of a note apart."""
        return hashlib.sha256(self.name.encode() + b"\n" + _TYPE + self.public).digest()[:4]

    @property
    def vkey(self) -> str:
        """The key in one line."""
        return f"{self.name}+{self.id.hex()}+{b64encode(_TYPE + self.public).decode()}"

    def time_of(self, text: bytes, lines: str) -> tuple[int, str] | None:
        """When this witness has signed the checkpoint, in seconds since 1970, and the line that says so.

        Lines of other keys are passed over. None when there is none of this one, or when it does not hold.
        """
        for found in filter(None, map(_LINE.fullmatch, lines.split("\n"))):
            raw = b64decode(found[2])
            if found[1] != self.name or raw[:4] != self.id:
                continue
            time = int.from_bytes(raw[4:12], "big")
            try:
                Ed25519PublicKey.from_public_bytes(self.public).verify(raw[12:], _message(time, text))
            except (InvalidSignature, ValueError):
                return None
            return (time, found[0]) if time < 2**63 else None
        return None


class Cosigner:
    """The key of a witness that signs."""

    def __init__(self, name: str, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = WitnessKey(name, public_bytes(key.public_key()))

    def line(self, text: bytes, time: int) -> str:
        """The signature line on a checkpoint's body, with its newline. `time` in seconds since 1970."""
        signature = self._key.sign(_message(time, text))
        raw = self.public.id + time.to_bytes(8, "big") + signature
        return f"\u2014 {self.public.name} {b64encode(raw).decode()}\n"


def _message(time: int, text: bytes) -> bytes:
    return b"cosignature/v1\ntime %d\n%b" % (time, text)
