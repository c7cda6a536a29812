"""A segment's bytes as independent zstd frames, so that one event costs the decompression of its neighbours only.

A frame ends before each event whose sequence is a multiple of `FRAME_EVENTS`, so which frame holds an event is known
without looking. Behind them stands the seek table of the zstd seekable format 0.1.0, a frame that every decompressor
skips: `zstd -d` gives back the lines, byte for byte.

Source: https://github.com/facebook/zstd/blob/dev/contrib/seekable_format/zstd_seekable_compression_format.md
The package zstandard has no part that writes or reads the table; it is two loops.
"""

import os
import struct
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import zstandard

from gateway.audit.statements import DamagedLogError

FRAME_EVENTS: Final = 256
"""Measured, realistic events: 81 B an event and 0.1 ms a frame; 512: 76 B and 0.2 ms; 1024: 72 B and 0.7 ms."""

LEVEL: Final = 12
"""0.4 s for 64 MiB. Level 3 takes 0.06 s and 19 % more space, level 19 17 s and 3 % less."""

MAX_FRAME: Final = 16 * 1024 * 1024
"""Bytes that a frame may claim to hold. Ours stay below 3 MiB: 256 events of 8 KiB and as many commits."""

_TABLE_MAGIC: Final = 0x184D2A5E
_FOOTER_MAGIC: Final = 0x8F92EAB1
_HEAD: Final = struct.Struct("<II")  # magic, size of what follows
_ENTRY: Final = struct.Struct("<II")  # compressed, decompressed
_FOOTER: Final = struct.Struct("<IBI")  # number of frames, descriptor, magic
_CHECKSUMS: Final = 0x80
_RESERVED: Final = 0x7C


def seek_table(sizes: Sequence[tuple[int, int]]) -> bytes:
    """The skippable frame that says how long each frame is: compressed, decompressed."""
    entries = b"".join(_ENTRY.pack(*each) for each in sizes)
    body = entries + _FOOTER.pack(len(sizes), 0, _FOOTER_MAGIC)
    return _HEAD.pack(_TABLE_MAGIC, len(body)) + body


@dataclass(frozen=True, slots=True)
class SeekTable:
    """Where each frame begins: in the file, and in what the file decompresses to. One entry more for the end."""

    packed: tuple[int, ...]
    plain: tuple[int, ...]

    @classmethod
    def read(cls, path: Path, descriptor: int) -> Self:
        """The table at the end of an open file.

        Raises:
            DamagedLogError: there is none, or it does not fit the file.
        """
        size = os.fstat(descriptor).st_size
        footer = os.pread(descriptor, _FOOTER.size, max(0, size - _FOOTER.size))
        if len(footer) < _FOOTER.size:
            raise _damaged(path, "too short for a seek table")
        count, descriptor_byte, magic = _FOOTER.unpack(footer)
        if magic != _FOOTER_MAGIC or descriptor_byte & _RESERVED:
            raise _damaged(path, "does not end with a seek table")
        width = _ENTRY.size + (4 if descriptor_byte & _CHECKSUMS else 0)
        length = _HEAD.size + count * width + _FOOTER.size
        if length > size:
            raise _damaged(path, f"the seek table claims {count} frames, more than the file can hold")
        table = os.pread(descriptor, length, size - length)
        if _HEAD.unpack_from(table) != (_TABLE_MAGIC, length - _HEAD.size):
            raise _damaged(path, "the seek table has a wrong head")
        packed, plain = [0], [0]
        for at in range(_HEAD.size, _HEAD.size + count * width, width):
            compressed, decompressed = _ENTRY.unpack_from(table, at)
            if decompressed > MAX_FRAME:
                raise _damaged(path, f"a frame claims to hold {decompressed} bytes")
            packed.append(packed[-1] + compressed)
            plain.append(plain[-1] + decompressed)
        if packed[-1] + length != size:
            raise _damaged(path, "the seek table does not fit the file")
        return cls(tuple(packed), tuple(plain))

    def __len__(self) -> int:
        return len(self.packed) - 1


class PackedFile:
    """A sealed segment, open. The file that was opened stays readable when it is removed. Used by one thread."""

    def __init__(self, path: Path) -> None:
        """Open it.

        Raises:
            OSError: it cannot be opened; FileNotFoundError when it is not there.
            DamagedLogError: it does not end with a seek table that fits.
        """
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._decompressor = zstandard.ZstdDecompressor()
        try:
            self.table = SeekTable.read(path, self._descriptor)
        except BaseException:
            self.close()
            raise

    @property
    def size(self) -> int:
        """Bytes of the segment when it was plain."""
        return self.table.plain[-1]

    def place(self, sequence: int, start: int) -> int:
        """Where in the segment's bytes, which begin with the event `start`, the frame with an event begins."""
        frame = sequence // FRAME_EVENTS - start // FRAME_EVENTS
        return self.table.plain[min(max(frame, 0), len(self.table))]

    def frame(self, index: int) -> bytes:
        """What one frame holds.

        Raises:
            DamagedLogError: it is not what the seek table says, or its checksum is wrong.
        """
        at, end = self.table.packed[index], self.table.packed[index + 1]
        expected = self.table.plain[index + 1] - self.table.plain[index]
        data = os.pread(self._descriptor, end - at, at)
        try:
            if zstandard.frame_content_size(data) != expected:  # before anything is allocated for it
                raise _damaged(self.path, f"frame {index} has not the {expected} bytes that the seek table states")
            return self._decompressor.decompress(data, allow_extra_data=False)
        except zstandard.ZstdError as error:
            raise _damaged(self.path, f"frame {index} cannot be decompressed: {error}") from None

    def blocks(self, at: int = 0) -> Iterator[bytes]:
        """The bytes from this place on, a frame at a time."""
        first = bisect_right(self.table.plain, at) - 1
        for index in range(first, len(self.table)):
            block = self.frame(index)
            yield block[at - self.table.plain[first] :] if index == first else block

    def blocks_backwards(self) -> Iterator[bytes]:
        """The frames, last one first."""
        for index in reversed(range(len(self.table))):
            yield self.frame(index)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def compressor() -> zstandard.ZstdCompressor:
    """What writes frames: with the size and a checksum of its contents in each."""
    return zstandard.ZstdCompressor(level=LEVEL, write_checksum=True, write_content_size=True)


def _damaged(path: Path, problem: str) -> DamagedLogError:
    return DamagedLogError(f"{path}: {problem}")
