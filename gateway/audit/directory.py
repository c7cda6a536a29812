"""The names of everything in a log's directory, and which segments are there in which form."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PREFIX: Final = "seg-"


@dataclass(frozen=True, slots=True)
class SegmentFiles:
    """Where the files of the segment that begins with sequence `start` are, whether they exist or not."""

    directory: Path
    start: int

    @property
    def lines(self) -> Path:
        """Header, events and commits, one a line: of the segment being written and of those not yet sealed."""
        return self._named(".jsonl")

    @property
    def packed(self) -> Path:
        """The same bytes, sealed."""
        return self._named(".jsonl.zst")

    @property
    def seal(self) -> Path:
        """What the sealed segment was: kept also when the events are gone."""
        return self._named(".seal")

    @property
    def tree(self) -> Path:
        """Hashes of complete subtrees."""
        return self._named(".tree")

    @property
    def columns(self) -> Path:
        """The events in columns, for questions. Can be made again."""
        return self._named(".parquet")

    def _named(self, suffix: str) -> Path:
        return self.directory / f"{_PREFIX}{self.start:012d}{suffix}"


def starts(directory: Path, *suffixes: str) -> list[int]:
    """The first sequences of the segments that have a file with one of these suffixes, oldest first."""
    found = set()
    for name in os.listdir(directory) if directory.is_dir() else ():  # noqa: PTH208 - names only, and often
        for suffix in suffixes:
            number = name[len(_PREFIX) : -len(suffix)]
            if name.startswith(_PREFIX) and name.endswith(suffix) and number.isascii() and number.isdigit():
                found.add(int(number))
    return sorted(found)


def live(directory: Path) -> list[SegmentFiles]:
    """The segments that are still plain lines, oldest first; the last one is being written."""
    return [SegmentFiles(directory, start) for start in starts(directory, ".jsonl")]


def known(directory: Path) -> list[SegmentFiles]:
    """Every segment that there is or was, oldest first: plain, sealed, or pruned with its seal left."""
    return [SegmentFiles(directory, start) for start in starts(directory, ".jsonl", ".seal")]


def checkpoint_path(directory: Path) -> Path:
    """The signed head of the log as of its last durable commit."""
    return directory / "checkpoint"


def keys_directory(directory: Path) -> Path:
    """Where the private key of the running epoch is."""
    return directory / "keys"


def vkeys_path(directory: Path) -> Path:
    """The verifier keys of all epochs, a line each: it is there from the first segment on."""
    return keys_directory(directory) / "vkeys.log"
