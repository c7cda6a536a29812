"""Secrets that do not show, and the files that hold them.

A secret is a list of keys, newest first: the newest signs, all of them verify, so a rotation logs nobody out. Written
down, a key is base64 (either alphabet, RFC 4648 §4 and §5) of at least 32 bytes; a file holds one key a line, blank
lines and `#` comments aside.
"""

import base64
import binascii
import hmac
import os
import stat
from pathlib import Path
from typing import NoReturn, Self

KEY_BYTES = 32  # as long as the output of SHA-256, the shortest that RFC 2104 §3 does not discourage
FILE_LIMIT = 64 * 1024  # bytes; a thousand keys: more is another file by mistake
MAKE_KEY = "openssl rand -base64 32"


class Secret:
    """Bytes that show neither in `repr`, `str`, format strings and tracebacks, nor in a pickle or a copy to a dict.

    `reveal()` is the one way to the value, easy to find with grep.
    """

    __slots__ = ("_value",)
    _value: bytes

    def __init__(self, value: bytes) -> None:
        object.__setattr__(self, "_value", value)

    def reveal(self) -> bytes:
        """The value itself: hand it to the library that needs it and keep it nowhere."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(hidden)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a secret does not change")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self  # dataclasses.asdict() copies deeply

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")


def parse_keys(text: str) -> tuple[Secret, ...]:
    """The keys in a list parted by commas or line ends, newest first.

    Raises:
        ValueError: a key is not base64, is too short or stands there twice, or there is none. Names the position, never
            the key.
    """
    lines = (line.partition("#")[0] for line in text.splitlines())
    words = [word.strip() for line in lines for word in line.split(",") if word.strip()]
    keys = tuple(_parse_key(word, position) for position, word in enumerate(words, 1))
    if not keys:
        raise ValueError("no key in it")
    if len(set(keys)) < len(keys):
        raise ValueError("the same key stands in it twice")
    return keys


def _parse_key(word: str, position: int) -> Secret:
    standard = word.replace("-", "+").replace("_", "/")
    padded = standard + "=" * (-len(standard) % 4)
    try:
        value = base64.b64decode(padded, validate=True)
    except (binascii.Error, ValueError):
        # `from None`: the cause would carry the text.
        raise ValueError(f"key {position} is not base64") from None
    if len(value) < KEY_BYTES:
        raise ValueError(f"key {position} is shorter than {KEY_BYTES} bytes")
    return Secret(value)


def read_secret_file(path: Path) -> str:
    """The text of a file that a setting names. Symbolic links are followed: orchestrators mount secrets that way.

    Raises:
        ValueError: missing, unreadable, not a regular file, empty, too big, not text, or open to users who are not us.
    """
    try:
        descriptor = os.open(
            path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
        )  # NONBLOCK: a FIFO must not hang the start
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot be read: {_cause(error)}") from None
    try:
        return read_secret_descriptor(descriptor)
    finally:
        os.close(descriptor)


def read_secret_descriptor(descriptor: int) -> str:
    """The text of an open secret file; the checks of `read_secret_file`."""
    check_private_file(descriptor)
    data = os.read(descriptor, FILE_LIMIT + 1)
    if len(data) > FILE_LIMIT:
        raise ValueError(f"is bigger than {FILE_LIMIT} bytes")
    if not data.strip():
        raise ValueError("is empty")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ValueError("is not text in UTF-8") from None


def check_private_file(descriptor: int) -> None:
    """Nothing, when it is a regular file that other users cannot read or write.

    A group may read it: orchestrators hand a secret to an unprivileged process as `root:<its group>`, mode 0440.

    Raises:
        ValueError: it is not.
    """
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("is not a regular file")
    if status.st_mode & (stat.S_IRWXO | stat.S_IWGRP):
        raise ValueError(f"is open to other users (mode {stat.S_IMODE(status.st_mode):04o})")


def _cause(error: OSError | ValueError) -> str:
    return (error.strerror or "unknown error").lower() if isinstance(error, OSError) else "not a path"
