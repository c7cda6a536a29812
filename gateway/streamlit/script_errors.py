"""Errors of the tool's script, for the record: what kind and where, never what they say."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import PurePath
from traceback import walk_tb

from gateway.audit.recorder import Recorder
from gateway.model import ANONYMOUS
from gateway.streamlit.current import current

Handler = Callable[[Exception], bool | None]


def recorded(recorder: Recorder, handler: Handler | None) -> Handler:
    """The owner's handler of uncaught errors (None: Streamlit's own), with the error in the record first.

    Streamlit calls it in the script's thread, and shows the error itself unless the answer is True.
    """

    def record(error: Exception) -> bool | None:
        exchange = current()
        recorder.script_error(
            type(error).__name__,
            frames_digest(error),
            ANONYMOUS if exchange is None else exchange.principal,
            None if exchange is None else exchange.request_id,
        )
        return handler(error) if handler is not None else None

    return record


def frames_digest(error: Exception) -> str:
    """16 hexadecimal digits of where it was raised: equal for equal places, whatever the message and the directory."""
    places = (
        f"{PurePath(frame.f_code.co_filename).name}:{frame.f_code.co_qualname}:{line}"
        for frame, line in walk_tb(error.__traceback__)
    )
    return sha256("\n".join(places).encode()).hexdigest()[:16]
