"""What travels in Streamlit's socket, read with Streamlit's own classes: the stable interface that the guard judges.

Inwards a `BackMsg`, outwards a `ForwardMsg`, one a frame, binary. A kind of message is named as its field in `BackMsg`,
except that the operations which share `backend_operation_request` are named as their payloads: fetching the rows of a
table and installing files on the server are not the same thing to a policy.
"""

from dataclasses import dataclass
from typing import Final

from google.protobuf.message import DecodeError
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from gateway.model import Reason

# A run that ends with any of these is over; FINISHED_EARLY_FOR_RERUN is followed by the run that has interrupted it.
FINAL: Final = frozenset(
    {
        ForwardMsg.FINISHED_SUCCESSFULLY,
        ForwardMsg.FINISHED_WITH_COMPILE_ERROR,
        ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY,
    }
)
_NAME: Final = 512  # characters; a page's path is part of an address, a hash has 32
_OPERATION: Final = "backend_operation_request"


@dataclass(frozen=True, slots=True)
class Incoming:
    """One message from the browser, and its kind."""

    kind: str
    message: BackMsg


def read_incoming(frame: bytes | None, limit: int) -> Incoming | Reason:
    """The message in a frame (None: it was text), or why there is none. `limit` in bytes.

    A message of a kind that this Streamlit does not know has no kind at all, and is malformed to us.
    """
    if frame is None:
        return Reason.MESSAGE_MALFORMED
    if len(frame) > limit:
        return Reason.MESSAGE_TOO_LARGE
    try:
        message = BackMsg.FromString(frame)
    except DecodeError:
        return Reason.MESSAGE_MALFORMED
    kind = message.WhichOneof("type")
    if kind == _OPERATION:
        kind = message.backend_operation_request.WhichOneof("payload")
    if kind is None or (kind == "rerun_script" and _is_overlong(message)):
        return Reason.MESSAGE_MALFORMED
    return Incoming(kind, message)


def _is_overlong(message: BackMsg) -> bool:
    """Whether the names in it are longer than any page's: what is judged and recorded has a bound."""
    state = message.rerun_script
    return len(state.page_name) > _NAME or len(state.page_script_hash) > _NAME or len(state.fragment_id) > _NAME


def read_outgoing(frame: bytes) -> ForwardMsg:
    """The message in a frame of Streamlit's. Raises DecodeError: it is not from the Streamlit that we know."""
    message: ForwardMsg = ForwardMsg.FromString(frame)
    return message


def stop_script() -> bytes:
    """The frame of a browser whose visitor has pressed *stop*."""
    return bytes(BackMsg(stop_script=True).SerializeToString())


def frame_of(message: BackMsg | ForwardMsg) -> bytes:
    """The frame that carries a message."""
    return bytes(message.SerializeToString())
