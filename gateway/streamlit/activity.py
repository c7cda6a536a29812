"""What happened in one socket, kept short: pages opened at once, everything else as a sum every half minute.

Widgets are named by kind and key, and never with their values. A key is what the script's author has written
(`st.button("Pay", key="pay")`); a widget without one is named by the beginning of its id. Only widgets that were shown
on this socket have a name: what a browser makes up does not get into the record.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from time import monotonic
from typing import Final

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState, WidgetStates

from gateway.streamlit.wire import FINAL

Record = Callable[[str, str | None, Mapping[str, object]], None]

INTERVAL: Final = 30.0
"""Seconds between two sums of a busy socket."""

_ACTIONS: Final = 24  # different widgets that one sum names; the rest is counted
_COUNTED: Final = 256  # different widgets that are counted between two sums: ids come from the wire
_WIDGETS: Final = 2_000  # widgets of a page whose kind and last state are remembered
_NO_WIDGETS: Final = frozenset({"markdown", "text", "heading", "code", "alert", "table", "empty", "imgs", "space"})
_PREFIX: Final = "$$ID-"  # `$$ID-<hash>-<key>`; the key is `None` when the author gave none


class Activity:
    """One per socket. `record(code, page, facts)` queues an event."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._page: str | None = None
        self._kinds: dict[str, str] = {}
        self._defaults: dict[str, object] = {}
        self._states: dict[str, int] = {}
        self._actions: Counter[str] = Counter()
        self._sums: Counter[str] = Counter()
        self._bytes_out = 0
        self._asked_at: float | None = None
        self._begun_at: float | None = None
        self._since = monotonic()

    @property
    def due(self) -> bool:
        """Whether a sum should be written now."""
        return bool(self._sums or self._bytes_out) and monotonic() - self._since >= INTERVAL

    def asked(self, rerun: BackMsg) -> None:
        """The visitor, or their browser by itself, has asked for a run."""
        state = rerun.rerun_script
        self._asked_at = monotonic() if self._asked_at is None else self._asked_at
        self._sums["automatic_reruns" if state.is_auto_rerun else "reruns"] += 1
        for widget in self._changed(state.widget_states):
            if widget in self._actions or len(self._actions) < _COUNTED:
                self._actions[widget] += 1
            else:
                self._sums["more_actions"] += 1

    def begins(self) -> None:
        """A run has begun."""
        now = monotonic()
        if self._asked_at is not None:
            self._sums["waited_ms"] += round((now - self._asked_at) * 1000)
        self._asked_at, self._begun_at = None, now
        self._sums["runs"] += 1

    def ends(self, message: ForwardMsg) -> None:
        """A run is over, or has been interrupted by the next."""
        status = message.script_finished
        if self._begun_at is not None:
            took = round((monotonic() - self._begun_at) * 1000)
            self._sums["run_ms"] += took
            self._sums["longest_run_ms"] = max(self._sums["longest_run_ms"], took)
            self._begun_at = None
        if status == ForwardMsg.FINISHED_WITH_COMPILE_ERROR:
            self._sums["compile_errors"] += 1
        elif status not in FINAL:
            self._sums["interrupted"] += 1

    def shown(self, message: ForwardMsg, size: int) -> str | None:
        """Something has left for the visitor, `size` bytes; the kind of the element if it is one."""
        self._bytes_out += size
        delta = message.delta if message.WhichOneof("type") == "delta" else None
        if delta is None or delta.WhichOneof("type") != "new_element":
            return None
        element = delta.new_element
        kind: str | None = element.WhichOneof("type")
        if kind == "exception":
            self._sums["exceptions_shown"] += 1
        elif kind is not None and kind not in _NO_WIDGETS and len(self._kinds) < _WIDGETS:
            self._learn(kind, getattr(element, kind))
        return kind

    def on_page(self, page: str | None) -> None:
        """The visitor is on that page now."""
        if page is not None and page != self._page:
            if self._page is not None:
                self.write()
            self._page = page
            self._record("page.open", page, {})

    def refused(self) -> None:
        """A message or a page was refused; the refusal has a record of its own."""
        self._sums["refused"] += 1

    def write(self) -> None:
        """Write the sum of what happened since the last one, if anything did."""
        if self._bytes_out:
            self._sums["bytes_out"] += self._bytes_out
            self._bytes_out = 0
        if self._sums:
            named = self._actions.most_common(_ACTIONS)
            if more := self._actions.total() - sum(count for _, count in named):
                self._sums["more_actions"] += more
            facts: dict[str, object] = dict(self._sums)
            if named:
                facts["actions"] = [name if count == 1 else f"{name} x{count}" for name, count in named]
            self._record("socket.activity", self._page, facts)
        self._sums.clear()
        self._actions.clear()
        self._since = monotonic()

    def _learn(self, kind: str, element: object) -> None:
        widget = getattr(element, "id", "")
        if isinstance(widget, str) and widget.startswith(_PREFIX):
            self._kinds[widget] = kind
            self._defaults[widget] = getattr(element, "default", None)

    def _changed(self, states: WidgetStates) -> Iterable[str]:
        """The widgets whose state differs from that of the run before, and buttons that were pressed."""
        before, self._states = self._states, (now := {})
        for state in states.widgets[:_WIDGETS]:
            widget, seen = state.id, hash(state.SerializeToString())
            if before.get(widget) == seen:
                now[widget] = seen
                continue
            pressed = _is_trigger(state)
            if not pressed:
                now[widget] = seen
            if pressed or widget in before or self._differs(state):
                yield self._name(state)

    def _differs(self, state: WidgetState) -> bool:
        """Whether a widget that is seen for the first time has another value than the script gave it.

        A browser sends the values of all widgets with the first use of any. What cannot be compared is not counted.
        """
        kind, default = state.WhichOneof("value"), self._defaults.get(state.id)
        value = getattr(state, kind) if kind is not None else None
        return isinstance(value, (str, bool, int, float)) and default is not None and value != default

    def _name(self, state: WidgetState) -> str:
        kind = self._kinds.get(state.id)
        if kind is None:
            return "unknown widget"  # nobody has shown it here: its name is the browser's word
        digest, _, key = state.id.removeprefix(_PREFIX).partition("-")
        return f"{kind} {key if key and key != 'None' else digest[:8]}"[:80]


def _is_trigger(state: WidgetState) -> bool:
    match state.WhichOneof("value"):
        case "trigger_value":
            return bool(state.trigger_value)
        case "string_trigger_value" | "json_trigger_value" | "chat_input_value":
            return True
        case _:
            return False
