"""What can go wrong on the way to a receiver.

ShippingError
├── Undelivered    not now: send it again later; nothing was confirmed
├── Refused        never: the receiver does not want it as it is, and sending it again is no help
└── LostEvents     events that were acknowledged are not in the log any more, or not readable
"""

from gateway.errors import GatewayError


class ShippingError(GatewayError):
    """The record does not get to the receiver. `hint` says what to do."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        self.hint = hint
        super().__init__(message)


class Undelivered(ShippingError):  # noqa: N818  a state of the receiver, which is waited for
    """Nothing was confirmed, and it may be different next time.

    `after`: how many seconds the receiver wants us to wait. `rewind`: it has gone away without a word, and may have
    taken with it what it had confirmed a moment ago.
    """

    def __init__(self, message: str, *, after: float | None = None, rewind: bool = False) -> None:
        self.after = after
        self.rewind = rewind
        super().__init__(message)


class Refused(ShippingError):  # noqa: N818  the receiver's word
    """The receiver answered that it will not take this. Shipping stops: nothing is ever left out."""


class LostEvents(ShippingError):  # noqa: N818  a finding
    """What should be shipped next is gone: pruned before it was shipped, removed, cut off, or damaged."""
