"""What a command asks of the gateway that writes the log: a file in the log's directory, taken and removed by it."""

from pathlib import Path
from typing import Final

import msgspec

from gateway.audit.sealing.whole import remove, replace

FILE: Final = "prune-request.json"


class PruneRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Remove what is older than `before` (milliseconds), because of this."""

    before: int
    because: str


_REQUESTS: Final = msgspec.json.Decoder(PruneRequest)


def ask(directory: Path, request: PruneRequest) -> None:
    """Leave the request. One that was not taken yet is replaced.

    Raises:
        OSError: it cannot be written.
    """
    replace(directory / FILE, msgspec.json.encode(request))


def asked(directory: Path) -> PruneRequest | None:
    """The request that waits, if there is one.

    Raises:
        ValueError: what is there is none.
        OSError: it cannot be read.
    """
    try:
        return _REQUESTS.decode((directory / FILE).read_bytes())
    except FileNotFoundError:
        return None


def done(directory: Path) -> None:
    """Remove the request: its absence is the answer.

    Raises:
        OSError: it cannot be removed.
    """
    remove(directory / FILE)


def waits(directory: Path) -> bool:
    """Whether a request has not been taken yet."""
    return (directory / FILE).exists()
