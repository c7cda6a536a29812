"""How the anchors of a log are, in a file beside it: `gateway audit anchors` and the next start read it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from gateway.audit.command_log import WORKER
from gateway.audit.reader import logs
from gateway.audit.segment import private

FILE: Final = "anchors.json"


class Seen(msgspec.Struct, frozen=True):
    """The greatest checkpoint that we have seen of another log: how many events, and the tree head in base64."""

    size: int
    root: str


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """One anchor; `kind` is `directory`, `peer`, `witness`, or `commands` for the log of this instance's commands.

    `time` is when it last had a checkpoint of `size` events (ms); None while it never had one. `problem` is what is
    wrong now, and `since` since when; `conflict` what it held against a log, until the end of the process.
    """

    kind: str
    place: str
    size: int | None = None
    root: str | None = None
    time: int | None = None
    problem: str | None = None
    since: int | None = None
    conflict: str | None = None


class Statuses(msgspec.Struct, frozen=True):
    """The file. `seen` is the greatest checkpoint of each other log, by origin."""

    anchors: list[Status] = []
    seen: dict[str, Seen] = {}


_DECODER: Final = msgspec.json.Decoder(Statuses)


def anchored_logs(state: Path) -> list[Path]:
    """The logs of gateways below a state directory: not those of commands, nor what was set aside as damaged.

    Raises:
        OSError: it cannot be read.
    """
    return [each for each in logs(state) if each.name != WORKER and ".damaged-" not in each.name]


def read(directory: Path) -> Statuses:
    """What the file in a log's directory says; nothing when there is none, or none that can be read."""
    try:
        return _DECODER.decode((directory / FILE).read_bytes())
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return Statuses()


def write(directory: Path, anchors: list[Status], seen: Mapping[str, Seen]) -> None:
    """Replace the file. Raises OSError."""
    temporary = directory / f"{FILE}.tmp"
    with private(temporary, "w") as file:
        file.write(msgspec.json.encode(Statuses(anchors, dict(seen))).decode())
    temporary.replace(directory / FILE)
