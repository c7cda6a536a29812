"""What may come of an attempt to anchor a checkpoint."""

from dataclasses import dataclass

from gateway.audit.event import Event


class AnchorError(Exception):
    """It did not work: nobody answers, the disk is full, the key is not known there. It is tried again."""


class ConflictError(AnchorError):
    """The place holds a statement about a log that the log contradicts. `facts` are what an inquiry needs."""

    def __init__(self, message: str, **facts: object) -> None:
        self.facts = facts
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Anchored:
    """Up to which size the place has a log now, with what tree head (base64), and what is to be recorded of it.

    `conflicts` are those of other logs that were found beside.
    """

    size: int
    root: str
    events: tuple[Event, ...] = ()
    conflicts: tuple[ConflictError, ...] = ()
