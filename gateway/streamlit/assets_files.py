"""The files of Streamlit's front end: which there are, what they are, and how each of them is compressed."""

import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import brotli
import zstandard
from streamlit import file_util

# In our order of preference, which is by size: over the whole front end 5.7, 6.0 and 6.9 MB of 23.
CODINGS: Final = ("br", "zstd", "gzip")
_WINDOW: Final = 23  # RFC 9659 §3: a zstd window of at most 8 MB, or browsers may refuse it

# Media type and whether compression helps. Not `mimetypes`: its answers differ from machine to machine.
_TYPES: Final[Mapping[str, tuple[str, bool]]] = {
    ".css": ("text/css; charset=utf-8", True),
    ".gif": ("image/gif", False),
    ".html": ("text/html; charset=utf-8", True),
    ".ico": ("image/x-icon", True),
    ".jpg": ("image/jpeg", False),
    ".js": ("text/javascript; charset=utf-8", True),  # RFC 9239
    ".json": ("application/json", True),  # RFC 8259 §11: no charset
    ".mjs": ("text/javascript; charset=utf-8", True),
    ".png": ("image/png", False),
    ".svg": ("image/svg+xml; charset=utf-8", True),
    ".ttf": ("font/ttf", True),
    ".txt": ("text/plain; charset=utf-8", True),
    ".wasm": ("application/wasm", True),
    ".webp": ("image/webp", False),
    ".woff": ("font/woff", False),
    ".woff2": ("font/woff2", False),
}
_UNKNOWN: Final = ("application/octet-stream", False)
# As Vite writes it: eight characters of base64url before the suffix.
_HASHED: Final = re.compile(r"\.[A-Za-z0-9_-]{8}\.[a-z0-9]+\Z")


@dataclass(frozen=True, slots=True)
class AssetFile:
    """One file. `path` is its URL path below the application; `hashed`: its name changes when its content does."""

    path: str
    file: Path
    hashed: bool

    @property
    def media_type(self) -> str:
        """The value of Content-Type."""
        return _TYPES.get(self.file.suffix, _UNKNOWN)[0]

    @property
    def compressible(self) -> bool:
        """Whether there are compressed forms of it. A font or a picture is compressed already."""
        return _TYPES.get(self.file.suffix, _UNKNOWN)[1]


def installed_root() -> Path:
    """The directory of the installed Streamlit's front end."""
    return Path(file_util.get_static_dir())


def asset_files(root: Path) -> Mapping[str, AssetFile]:
    """The files below `root` by URL path, but for the document, which is never served as it is.

    A link that leads outside of `root` is left out.
    """
    real = root.resolve()
    named = _named(real)
    found = {}
    for file in sorted(real.rglob("*")):
        relative = file.relative_to(real).as_posix()
        if relative != "index.html" and file.is_file() and file.resolve().is_relative_to(real):
            hashed = relative in named and _HASHED.search(relative) is not None
            found[f"/{relative}"] = AssetFile(f"/{relative}", file, hashed)
    return found


def _named(root: Path) -> frozenset[str]:
    """The files that the bundler says it has made. A name that only looks hashed must not be kept for a year."""
    try:
        entries = json.loads((root / "manifest.json").read_bytes()).values()
        return frozenset(
            name for entry in entries for name in (entry["file"], *entry.get("css", ()), *entry.get("assets", ()))
        )
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        return frozenset()  # another bundler: everything is asked for again, which is slower and never wrong


def digest_of(files: Mapping[str, AssetFile]) -> str:
    """SHA-256 of names and contents of all files, in hexadecimal. Reads them all (20 ms for 23 MB)."""
    total = hashlib.sha256()
    for path in sorted(files):
        total.update(f"{path}\n{hashlib.sha256(files[path].file.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def compress_quickly(coding: str, body: bytes) -> bytes:
    """In about 20 ms a megabyte; the first load's graph is 12 % bigger than at its best."""
    match coding:
        case "br":
            return bytes(brotli.compress(body, quality=5))
        case "zstd":
            return _zstd(9).compress(body)
        case _:
            return gzip.compress(body, 6, mtime=0)


def compress_best(coding: str, body: bytes) -> bytes:
    """As small as it gets, in up to 1.5 s a megabyte."""
    match coding:
        case "br":
            return bytes(brotli.compress(body, quality=11, lgwin=24))
        case "zstd":
            return _zstd(19).compress(body)
        case _:
            return gzip.compress(body, 9, mtime=0)


def _zstd(level: int) -> zstandard.ZstdCompressor:
    fitted = zstandard.ZstdCompressionParameters.from_level(level)
    bounded = zstandard.ZstdCompressionParameters.from_level(level, window_log=min(fitted.window_log, _WINDOW))
    return zstandard.ZstdCompressor(compression_params=bounded)


def unpacks_to(coding: str, compressed: bytes, body: bytes) -> bool:
    """Whether that is a compressed form of that body, and nothing else. Never unpacks much more than the body."""
    try:
        return bool(body) and _UNPACK[coding](compressed, len(body) + 1) == body
    except (brotli.error, zstandard.ZstdError, zlib.error, ValueError, EOFError):
        return False


def _unpack_br(compressed: bytes, limit: int) -> bytes:
    unpacking = brotli.Decompressor()
    found = bytes(unpacking.process(compressed, output_buffer_limit=limit))
    while len(found) < limit and not unpacking.is_finished():
        more = unpacking.process(b"", output_buffer_limit=limit - len(found))
        if not more:
            break
        found += more
    return found if unpacking.is_finished() else b""


def _unpack_zstd(compressed: bytes, limit: int) -> bytes:
    unpacking = zstandard.ZstdDecompressor(max_window_size=2**_WINDOW).decompressobj()
    # The frame names its size; one that does not is none of ours.
    if zstandard.frame_content_size(compressed) >= limit or zstandard.frame_content_size(compressed) < 0:
        return b""
    found = unpacking.decompress(compressed)
    return found if unpacking.eof and not unpacking.unused_data else b""


def _unpack_gzip(compressed: bytes, limit: int) -> bytes:
    unpacking = zlib.decompressobj(16 + zlib.MAX_WBITS)
    found = unpacking.decompress(compressed, limit)
    return found if unpacking.eof and not unpacking.unused_data else b""


_UNPACK: Final[Mapping[str, Callable[[bytes, int], bytes]]] = {
    "br": _unpack_br,
    "zstd": _unpack_zstd,
    "gzip": _unpack_gzip,
}
