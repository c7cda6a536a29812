"""Reruns that wait, merged as Streamlit itself merges them, so that a queue in front of it loses no click.

Streamlit keeps one pending rerun for a running script (`ScriptRequests` in 1.67, read in source) and folds later ones
into it: the newer one is what runs, and triggers of the older one that the newer one does not carry survive, since a
browser forgets a trigger (a button, a chat input) as soon as it has sent it. A rerun of the whole page trumps those of
fragments. Several fragments are a list there; a message of the protocol names one only, so here they stay several
messages, each with its own triggers.
"""

from functools import reduce

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState, WidgetStates

# The kinds of `WidgetState.value` that are true for one run only.
TRIGGERS = frozenset({"trigger_value", "string_trigger_value", "chat_input_value", "json_trigger_value"})

# Fragments of one page that may wait apart. A client can invent ids without end; with more, the whole page runs, which
# runs its fragments, too.
FRAGMENTS = 16

Pending = tuple[BackMsg, ...]


def pend(waiting: Pending, new: BackMsg) -> Pending:
    """What waits once a rerun has joined what waits: one rerun of the whole page, or one for each fragment, in order.

    Each of them holds the newest state of its moment, so that running them one after the other never turns a widget
    back.
    """
    if not waiting:
        return (new,)
    fragment = new.rerun_script.fragment_id
    if not fragment or not waiting[0].rerun_script.fragment_id:
        return (reduce(coalesce, (*waiting, new)),)
    same = next((each for each in waiting if each.rerun_script.fragment_id == fragment), None)
    others = tuple(each for each in waiting if each is not same)
    if len(others) >= FRAGMENTS:
        return (reduce(coalesce, (*waiting, new)),)
    return (*others, new if same is None else coalesce(same, new))


def coalesce(old: BackMsg, new: BackMsg) -> BackMsg:
    """One rerun for two: the newer one, with the triggers of the older one that it does not replace.

    It is for a fragment when both are for the same one, else for the whole page. Neither is changed.
    """
    merged = BackMsg()
    merged.CopyFrom(new)
    state = merged.rerun_script
    if old.rerun_script.fragment_id != state.fragment_id:
        state.fragment_id = ""
    state.widget_states.CopyFrom(_merged(old.rerun_script.widget_states, new.rerun_script.widget_states))
    # A timer must not undo the restoring of a page that the visitor went back to.
    state.is_history_navigation |= old.rerun_script.is_history_navigation and state.is_auto_rerun
    return merged


def _merged(old: WidgetStates, new: WidgetStates) -> WidgetStates:
    states = {state.id: state for state in new.widgets}
    for state in old.widgets:
        if _pressed(state) and _yields(states.get(state.id), state):
            states[state.id] = state
    return WidgetStates(widgets=states.values())


def _pressed(state: WidgetState) -> bool:
    """Whether the state is a trigger that still has to reach the script."""
    kind = state.WhichOneof("value")
    if kind not in TRIGGERS:
        return False
    value = getattr(state, kind)
    return bool(value != type(value)())


def _yields(newer: WidgetState | None, older: WidgetState) -> bool:
    """Whether a trigger takes the place of what the newer rerun says of its widget: nothing, or the same at rest."""
    return newer is None or (newer.WhichOneof("value") == older.WhichOneof("value") and not _pressed(newer))
