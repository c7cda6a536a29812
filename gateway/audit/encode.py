"""JSON that is one line for every reader: valid UTF-8, with all escaped that could break a line or steer a terminal.

A JSON encoder escapes what RFC 8259 §7 demands (U+0000 to U+001F). It leaves DEL, the C1 controls (U+009B starts an
ANSI sequence), U+2028 and U+2029 (line breaks to many tools), and the bidirectional marks that make a line read
differently from what it says. All that Unicode calls not printable is escaped here, and decodes to exactly what it was.
"""

import re
from typing import Final

import msgspec

from gateway.audit.redact import plain

_ENCODER: Final = msgspec.json.Encoder()
_NOT_ASCII_PRINTABLE = re.compile(r"[^\x20-\x7e]")


def encode(value: object) -> bytes:
    """The value as one line of JSON without the newline. A lone surrogate becomes U+FFFD: UTF-8 has no form for it."""
    try:
        raw = _ENCODER.encode(value)
    except UnicodeEncodeError:
        raw = _ENCODER.encode(_without_surrogates(msgspec.to_builtins(value, enc_hook=msgspec.json.decode)))
    if raw.isascii() and b"\x7f" not in raw:
        return raw
    text = raw.decode()
    return raw if text.isprintable() else one_line(text).encode()


def one_line(json_text: str) -> str:
    """The JSON text with every character that is not printable as an escape."""
    return _NOT_ASCII_PRINTABLE.sub(_escape, json_text)


def _escape(found: re.Match[str]) -> str:
    char = found[0]
    if char.isprintable():
        return char
    units = char.encode("utf-16-be")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def _without_surrogates(value: object) -> object:
    match value:
        case str():
            return plain(value)
        case dict():
            return {plain(key): _without_surrogates(item) for key, item in value.items()}
        case list() | tuple():
            return [_without_surrogates(item) for item in value]
        case _:
            return value
