"""What the gateway itself says inside the app, in Streamlit's own messages: a refusal, or that a request waits.

The words are those of `reasons.py`, so a visitor reads the same inside the socket as on a refused page.
"""

from collections.abc import Iterable
from typing import Final
from uuid import uuid4

from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.NewSession_pb2 import NewSession

from gateway.model import Reason
from gateway.reasons import OUTCOMES
from gateway.web.brand import Brand

_MAIN, _EVENT = 0, 2  # Streamlit's root containers: the page, and what is above it (toasts)
_MARKDOWN: Final = str.maketrans({char: f"\\{char}" for char in "\\`*_{}[]()<>#+-.!|$~:"})


def refusal(brand: Brand, reason: Reason, request_id: str, place: int) -> list[ForwardMsg]:
    """A box in the main part of the page, as its element number `place`: what, why, what next, and the reference."""
    outcome = OUTCOMES[reason]
    box = ForwardMsg()
    box.metadata.delta_path[:] = [_MAIN, place]
    box.delta.add_block.flex_container.border = True
    box.delta.add_block.allow_empty = True
    help_line = f" · {plain(brand.support)}" if brand.support else ""
    return [
        box,
        _heading([_MAIN, place, 0], outcome.title),
        _markdown([_MAIN, place, 1], f"{plain(outcome.meaning)}\n\n{plain(outcome.advice)}"),
        _markdown(
            [_MAIN, place, 2],
            f":gray[Reference `{request_id}` · reason `{reason.value}` · {outcome.status}]\n\n"
            f":gray[{plain(brand.name)}{help_line}]",
        ),
    ]


def waiting(ahead: int) -> ForwardMsg:
    """A toast: the visitor's request is taken, and waits for others to be served."""
    message = ForwardMsg()
    message.metadata.delta_path[:] = [_EVENT, 0]
    place = "You are next." if ahead == 0 else f"{ahead} before you."
    message.delta.new_element.toast.body = f"**The tool is busy.** Your request is in the queue. {place}"
    message.delta.new_element.toast.icon = ":material/hourglass_top:"
    return message


def busy() -> ForwardMsg:
    """The browser shows that the script runs, though it waits."""
    message = ForwardMsg()
    message.session_status_changed.script_is_running = True
    return message


def idle() -> ForwardMsg:
    """The browser shows that nothing runs: what waited was cancelled."""
    message = ForwardMsg()
    message.session_status_changed.script_is_running = False
    return message


def opening(template: NewSession | None, page_script_hash: str) -> ForwardMsg:
    """The beginning of a run that no script makes. `template`: what Streamlit last said at the beginning of one."""
    message = ForwardMsg()
    message.metadata.run.script_run_id = uuid4().hex
    if template is not None:
        message.new_session.CopyFrom(template)
    else:
        message.new_session.config.SetInParent()
        message.new_session.initialize.session_status.SetInParent()
    message.new_session.page_script_hash = page_script_hash
    return message


def ending(of: ForwardMsg) -> ForwardMsg:
    """The end of the run that `of` has begun."""
    message = ForwardMsg()
    message.metadata.run.CopyFrom(of.metadata.run)
    message.script_finished = ForwardMsg.FINISHED_SUCCESSFULLY
    return message


def without_visitor(session: NewSession) -> NewSession:
    """What is the same for everybody at the beginning of a run: options and theme."""
    kept = NewSession()
    kept.CopyFrom(session)
    kept.ClearField("app_pages")
    kept.initialize.session_id = ""
    return kept


def plain(text: str) -> str:
    """The text as Markdown that shows it unchanged."""
    return text.translate(_MARKDOWN)


def frames(messages: Iterable[ForwardMsg]) -> list[bytes]:
    """The frames of these messages."""
    return [bytes(message.SerializeToString()) for message in messages]


def _heading(path: list[int], text: str) -> ForwardMsg:
    message = ForwardMsg()
    message.metadata.delta_path[:] = path
    heading = message.delta.new_element.heading
    heading.tag, heading.body, heading.hide_anchor = "h2", plain(text), True
    return message


def _markdown(path: list[int], body: str) -> ForwardMsg:
    message = ForwardMsg()
    message.metadata.delta_path[:] = path
    message.delta.new_element.markdown.body = body
    return message
