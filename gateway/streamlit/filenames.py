"""Names of uploaded files, made safe for whatever a script does with them.

Streamlit hands a script the name that the client sent, `../../x` included. What is left here can be shown, logged and
used as the name of a file in a directory of the script's choice, on Linux, macOS and Windows alike.
"""

import re
import unicodedata
from typing import Final

LENGTH: Final = 255
"""Bytes (UTF-8) of one part of a name: the limit of ext4, APFS, NTFS and their kin."""

DEPTH: Final = 16  # folders of an uploaded directory
UNNAMED: Final = "file"

_SEPARATORS: Final = re.compile(r"[/\\]")
_FORBIDDEN: Final = re.compile(r'[<>:"|?*]')  # Windows; the quotation mark would also end the name in a header
# Names of devices: https://learn.microsoft.com/windows/win32/fileio/naming-a-file
_DEVICE: Final = re.compile(r"(?:CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(?:COM|LPT)[0-9¹²³])(?:\..*)?", re.IGNORECASE)
_JOINERS: Final = "\u200c\u200d"  # belong to Persian, Indic scripts and emoji
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_SUFFIX_BYTES: Final = 32


def safe_name(name: str, *, folders: bool = False) -> str:
    """The name without path, control characters, bidirectional overrides and what file systems reserve; never empty.

    With `folders` the directories of an uploaded folder stay, as relative ones without `..`.
    """
    visible = unicodedata.normalize("NFC", "".join(char for char in name if _is_visible(char)))
    parts = [part for part in map(_safe_part, _SEPARATORS.split(visible)) if part]
    if not parts:
        return UNNAMED
    return "/".join(parts[-DEPTH:]) if folders else parts[-1]


def _safe_part(part: str) -> str:
    # Windows drops spaces and dots at the end, so that `x.exe.` is `x.exe`; dots alone are directories.
    part = _FORBIDDEN.sub("_", part).strip().rstrip(". ")
    if _DEVICE.fullmatch(part):
        part = f"_{part}"
    return _within(part, LENGTH)


def _within(part: str, limit: int) -> str:
    """At most `limit` bytes; the end that tells the kind of file stays."""
    if len(part.encode()) <= limit:
        return part
    stem, dot, suffix = part.rpartition(".")
    if not stem or len(suffix.encode()) > _SUFFIX_BYTES:
        stem, dot, suffix = part, "", ""
    end = f"{dot}{suffix}"
    return stem.encode()[: limit - len(end.encode())].decode(errors="ignore").rstrip(". ") + end


def _is_visible(char: str) -> bool:
    return char in _JOINERS or unicodedata.category(char) not in _UNSEEN
