"""Where anchors are, as the settings name them."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self
from urllib.parse import urlsplit

from gateway.audit.anchors.cosignature import WitnessKey
from gateway.audit.verifier import Key

_KEYED: Final = re.compile(r"([^+\s]+\+[0-9a-f]{8}\+[A-Za-z0-9+/]+={0,2})@(\S+)")


@dataclass(frozen=True, slots=True)
class WitnessPlace:
    """A witness: its key, and the prefix of its address without a slash at the end."""

    key: WitnessKey
    url: str

    @classmethod
    def parse(cls, written: str) -> Self:
        """The witness of `VKEY@URL`.

        Raises:
            ValueError: it is not one; the message says what is wrong.
        """
        if not (found := _KEYED.fullmatch(written)):
            raise ValueError("expected the witness's verifier key, @, and its address")
        return cls(WitnessKey.parse(found[1]), _url(found[2]).rstrip("/"))


@dataclass(frozen=True, slots=True)
class PeerPlace:
    """Another replica's checkpoints: below a directory, or at an address. With `key`, only those that it has signed."""

    place: Path | str
    key: Key | None

    @classmethod
    def parse(cls, written: str) -> Self:
        """The peer of `PLACE` or `VKEY@PLACE`, where a place is a directory or an http address.

        Raises:
            ValueError: it is not one; the message says what is wrong.
        """
        found = _KEYED.fullmatch(written)
        place = found[2] if found else written
        key = Key.parse(found[1]) if found else None
        return cls(_url(place) if "://" in place else Path(place), key)

    def __str__(self) -> str:
        return str(self.place)


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("an address without user, password, query and fragment is expected")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("not an http or https address")
    return text
