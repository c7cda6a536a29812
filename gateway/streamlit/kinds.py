"""What an uploaded file says it is, and whether its beginning says the same.

This is no scanner for malware. It keeps a program, a page or an archive from coming in under the name of another kind
of file that the policy admits. A file of a kind that is not listed here is judged by its name alone, except that it
may not begin like a program.

Signatures are those of the formats' own specifications and of the IANA media type registrations.
"""

import re
from collections.abc import Mapping
from typing import Final

HEAD: Final = 1024
"""Bytes of the beginning that are looked at. A PDF may begin anywhere in them (ISO 32000-1, Annex H)."""

_ZIP: Final = (rb"PK\x03\x04", rb"PK\x05\x06")
_OLE: Final = (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",)  # Office before 2007, and any Office file with a password
_OFFICE: Final = _ZIP + _OLE
_ISO_MEDIA: Final = (rb".{4}ftyp",)
_TIFF: Final = (rb"II\*\x00", rb"MM\x00\*")

_BINARY: Final[Mapping[str, tuple[bytes, ...]]] = {
    ".png": (rb"\x89PNG\r\n\x1a\n",),
    ".jpg": (rb"\xff\xd8\xff",),
    ".jpeg": (rb"\xff\xd8\xff",),
    ".gif": (rb"GIF8[79]a",),
    ".bmp": (rb"BM",),
    ".webp": (rb"RIFF.{4}WEBP",),
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".pdf": (rb".{0,1019}%PDF-",),
    ".zip": _ZIP,
    ".xlsx": _OFFICE,
    ".xlsm": _OFFICE,
    ".docx": _OFFICE,
    ".pptx": _OFFICE,
    ".odt": _ZIP,
    ".ods": _ZIP,
    ".odp": _ZIP,
    ".npz": _ZIP,
    ".xls": _OLE,
    ".doc": _OLE,
    ".ppt": _OLE,
    ".msg": _OLE,
    ".gz": (rb"\x1f\x8b",),
    ".tgz": (rb"\x1f\x8b",),
    ".bz2": (rb"BZh",),
    ".xz": (rb"\xfd7zXZ\x00",),
    ".zst": (rb"\x28\xb5\x2f\xfd",),
    ".7z": (rb"7z\xbc\xaf\x27\x1c",),
    ".tar": (rb".{257}ustar",),
    ".parquet": (rb"PAR1",),
    ".feather": (rb"ARROW1", rb"FEA1"),
    ".npy": (rb"\x93NUMPY",),
    ".h5": (rb"\x89HDF\r\n\x1a\n",),
    ".hdf5": (rb"\x89HDF\r\n\x1a\n",),
    ".sqlite": (rb"SQLite format 3\x00",),
    ".wav": (rb"RIFF.{4}WAVE",),
    ".mp3": (rb"ID3", rb"\xff[\xe0-\xff]"),
    ".ogg": (rb"OggS",),
    ".flac": (rb"fLaC",),
    ".mp4": _ISO_MEDIA,
    ".m4a": _ISO_MEDIA,
    ".mov": _ISO_MEDIA,
    ".webm": (rb"\x1a\x45\xdf\xa3",),
    ".mkv": (rb"\x1a\x45\xdf\xa3",),
}
_DATA_TEXT: Final = frozenset({".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".toml", ".yaml", ".yml", ".ini", ".sql"})
_OTHER_TEXT: Final = frozenset({".txt", ".md", ".rst", ".log", ".xml", ".html", ".htm", ".svg", ".py", ".r", ".tex"})
_PROGRAMS: Final = frozenset({".exe", ".dll", ".com", ".sys", ".so", ".dylib", ".bin", ".class", ".lnk"})

# Media types that a browser runs, and the names under which they may come.
_ACTIVE_TYPES: Final[Mapping[str, frozenset[str]]] = {
    "text/html": frozenset({".html", ".htm"}),
    "application/xhtml+xml": frozenset({".xhtml", ".html", ".htm", ".xml"}),
    "image/svg+xml": frozenset({".svg"}),
}

_SIGNATURES: Final = {suffix: re.compile(b"|".join(any_of), re.DOTALL) for suffix, any_of in _BINARY.items()}
# UTF-16 and UTF-32 are the only texts with NUL bytes, and only with their mark are they known to be texts.
_WIDE_TEXT: Final = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
# PE (with its header's zeros, since a table may begin with the letters MZ), ELF, Mach-O and Java, Windows shortcut.
_PROGRAM: Final = re.compile(
    rb"MZ[^\x00]*\x00|\x7fELF|\xfe\xed\xfa[\xce\xcf]|[\xce\xcf]\xfa\xed\xfe|\xca\xfe\xba\xbe|L\x00\x00\x00\x01\x14\x02"
)
_MARKUP: Final = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+html|html|head|body|script|svg|iframe)[\s>]", re.IGNORECASE
)


def is_of_type(name: str, types: tuple[str, ...]) -> bool:
    """Whether the name ends as one of these (`.csv`, `.tar.gz`). No types: any name."""
    return not types or name.lower().endswith(types)


def contradiction(name: str, media_type: str, head: bytes) -> bool:
    """Whether name, declared type and beginning (`HEAD` bytes, fewer when there are no more) exclude each other."""
    suffix = _suffix(name)
    if suffix not in _ACTIVE_TYPES.get(media_type.partition(";")[0].strip().lower(), {suffix}):
        return True
    if not head:
        return False
    if suffix in _SIGNATURES:
        return _SIGNATURES[suffix].match(head) is None
    if suffix in _DATA_TEXT | _OTHER_TEXT:
        return _is_binary(head) or (suffix in _DATA_TEXT and _MARKUP.match(head) is not None)
    return suffix not in _PROGRAMS and _PROGRAM.match(head) is not None


def _suffix(name: str) -> str:
    stem, dot, suffix = name.rpartition("/")[2].rpartition(".")
    return f"{dot}{suffix.lower()}" if dot and stem else ""


def _is_binary(head: bytes) -> bool:
    return b"\x00" in head and not head.startswith(_WIDE_TEXT)
