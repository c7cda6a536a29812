"""Reruns that wait are merged as Streamlit merges them: the newest runs, and no click is lost.

The oracle is Streamlit's own `ScriptRequests`, with its private `_coalesce_widget_states`: what the runner of a script
would have been told, had the reruns reached it without a queue in front. It is no public interface; when a new version
moves it or merges otherwise, these tests say so.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.Common_pb2 import ChatInputValue, StringTriggerValue
from streamlit.proto.WidgetStates_pb2 import WidgetState, WidgetStates
from streamlit.runtime.scriptrunner_utils.script_requests import (
    RerunData,
    ScriptRequests,
    _coalesce_widget_states,
)

from gateway.streamlit.coalescing import FRAGMENTS, TRIGGERS, Pending, coalesce, pend

PAGE, LEFT, RIGHT = "", "left", "right"


def rerun(*widgets: WidgetState, fragment: str = PAGE, **fields: object) -> BackMsg:
    return BackMsg(
        rerun_script=ClientState(fragment_id=fragment, widget_states=WidgetStates(widgets=widgets), **fields)
    )


def click(name: str) -> WidgetState:
    return WidgetState(id=name, trigger_value=True)


def number(name: str, value: int) -> WidgetState:
    return WidgetState(id=name, int_value=value)


def clicks(message: BackMsg) -> set[str]:
    return {state.id for state in message.rerun_script.widget_states.widgets if state.WhichOneof("value") in TRIGGERS}


def values(message: BackMsg) -> dict[str, int]:
    states = message.rerun_script.widget_states.widgets
    return {state.id: state.int_value for state in states if state.WhichOneof("value") == "int_value"}


# --- the oracle -----------------------------------------------------------------------------------------------


def told(messages: list[BackMsg] | Pending) -> RerunData:
    """What Streamlit's runner would run after these messages, translated as `AppSession.request_rerun` does."""
    requests = ScriptRequests()
    for message in messages:
        state = message.rerun_script
        assert requests.request_rerun(
            RerunData(
                query_string=state.query_string,
                widget_states=state.widget_states,
                page_script_hash=state.page_script_hash,
                page_name=state.page_name,
                fragment_id=state.fragment_id or None,
                is_auto_rerun=state.is_auto_rerun,
                is_history_navigation=state.is_history_navigation,
                cached_message_hashes=frozenset(state.cached_message_hashes),
                context_info=state.context_info if state.HasField("context_info") else None,
            )
        )
    return requests.on_scriptrunner_ready().rerun_data


def comparable(data: RerunData) -> tuple[object, ...]:
    assert data.widget_states is not None
    return (
        data.query_string,
        {state.id: state.SerializeToString(deterministic=True) for state in data.widget_states.widgets},
        data.page_script_hash,
        data.page_name,
        frozenset(data.fragment_id_queue),  # the runner orders them itself
        data.is_auto_rerun,
        data.is_history_navigation,
        data.cached_message_hashes,
        None if data.context_info is None else data.context_info.SerializeToString(deterministic=True),
    )


def _trigger(name: str) -> st.SearchStrategy[WidgetState]:
    """A trigger of one kind, pressed or at rest; empty text that was sent on purpose is a press."""
    kinds = {
        "button": st.booleans().map(lambda value: WidgetState(id=name, trigger_value=value)),
        "menu": st.sampled_from([None, "", "a", "b"]).map(
            lambda value: WidgetState(id=name, string_trigger_value=StringTriggerValue(data=value))
        ),
        "chat": st.sampled_from([None, "", "hello"]).map(
            lambda value: WidgetState(id=name, chat_input_value=ChatInputValue(data=value))
        ),
        "component": st.sampled_from(["", "{}", "[1]"]).map(
            lambda value: WidgetState(id=name, json_trigger_value=value)
        ),
    }
    return kinds[name.rpartition("-")[2]]


@st.composite
def reruns(draw: st.DrawFn) -> BackMsg:
    """A rerun as browsers send it: all values, and triggers of the fragment that it is for."""
    fragment = draw(st.sampled_from([PAGE, LEFT, RIGHT]))
    names = [f"{fragment or 'page'}-{kind}" for kind in ("button", "menu", "chat", "component")]
    widgets = [draw(_trigger(name)) for name in names if draw(st.booleans())]
    widgets += [number(name, draw(st.integers(0, 3))) for name in ("x", "y") if draw(st.booleans())]
    message = rerun(
        *draw(st.permutations(widgets)),
        fragment=fragment,
        query_string=draw(st.sampled_from(["", "a=1"])),
        page_script_hash=draw(st.sampled_from(["", "aa", "bb"])),
        page_name=draw(st.sampled_from(["", "ledger"])),
        is_auto_rerun=draw(st.booleans()),
        is_history_navigation=draw(st.booleans()),
        cached_message_hashes=draw(st.lists(st.sampled_from("pqr"), unique=True)),
    )
    if draw(st.booleans()):
        message.rerun_script.context_info.timezone = draw(st.sampled_from(["UTC", "Europe/Zurich"]))
    return message


@given(st.lists(reruns(), min_size=1, max_size=6))
def test_waiting_reruns_come_to_what_streamlit_makes_of_them(messages: list[BackMsg]) -> None:
    """Reruns that have waited tell the script's runner exactly what they would have told it without waiting."""
    waiting: Pending = ()
    for message in messages:
        waiting = pend(waiting, message)
    assert comparable(told(waiting)) == comparable(told(messages))


widget_states = st.lists(
    st.one_of(
        st.builds(WidgetState, id=st.sampled_from("ab"), trigger_value=st.booleans()),
        st.builds(WidgetState, id=st.sampled_from("ab"), int_value=st.integers(0, 2)),
        st.builds(WidgetState, id=st.sampled_from("ab"), json_trigger_value=st.sampled_from(["", "1"])),
        st.sampled_from("ab").map(lambda name: WidgetState(id=name)),
    ),
    max_size=4,
).map(lambda states: WidgetStates(widgets=states))


@given(widget_states, widget_states)
def test_widgets_are_merged_as_by_streamlit_whatever_a_client_sends(old: WidgetStates, new: WidgetStates) -> None:
    """Repeated ids, states without a value and ids that change their kind end as they do in Streamlit."""
    merged = coalesce(
        BackMsg(rerun_script=ClientState(widget_states=old)), BackMsg(rerun_script=ClientState(widget_states=new))
    )
    assert merged.rerun_script.widget_states == _coalesce_widget_states(old, new)


# --- in words -------------------------------------------------------------------------------------------------


def test_two_clicks_that_wait_both_reach_the_script() -> None:
    """A browser forgets a button as soon as it has sent the click: the next rerun does not carry it, the merge does."""
    (waiting,) = pend(pend((), rerun(click("save"))), rerun(click("print")))
    assert clicks(waiting) == {"save", "print"}


def test_a_value_is_the_newest() -> None:
    """A slider that was moved twice while its session waited has its last value, and the page runs once."""
    (waiting,) = pend(pend((), rerun(number("limit", 1))), rerun(number("limit", 2)))
    assert values(waiting) == {"limit": 2}


def test_two_fragments_wait_apart() -> None:
    """A message names one fragment, so each has its own; the click of the first stays with it."""
    waiting = pend(pend((), rerun(click("l"), fragment=LEFT)), rerun(click("r"), fragment=RIGHT))
    assert [(each.rerun_script.fragment_id, clicks(each)) for each in waiting] == [(LEFT, {"l"}), (RIGHT, {"r"})]


def test_a_fragment_that_comes_again_goes_last() -> None:
    """Running what waits in order never sets a widget back to what it was before."""
    messages = [(LEFT, 1), (RIGHT, 2), (LEFT, 3)]
    waiting: Pending = ()
    for fragment, value in messages:
        waiting = pend(waiting, rerun(number("x", value), click(f"{fragment}{value}"), fragment=fragment))
    assert [(each.rerun_script.fragment_id, values(each)["x"]) for each in waiting] == [(RIGHT, 2), (LEFT, 3)]
    assert [clicks(each) for each in waiting] == [{"right2"}, {"left1", "left3"}]


WHOLE = [
    ("a fragment, then the page", [LEFT, PAGE]),
    ("the page, then a fragment", [PAGE, LEFT]),
    ("two fragments, then the page", [LEFT, RIGHT, PAGE]),
]


@pytest.mark.parametrize("order", [row[1] for row in WHOLE], ids=[row[0] for row in WHOLE])
def test_the_whole_page_trumps_its_fragments(order: list[str]) -> None:
    """One rerun of the page does for all, with the clicks of all."""
    waiting: Pending = ()
    for fragment in order:
        waiting = pend(waiting, rerun(click(fragment or "page"), fragment=fragment))
    (only,) = waiting
    assert only.rerun_script.fragment_id == PAGE
    assert clicks(only) == {fragment or "page" for fragment in order}


def test_invented_fragments_do_not_pile_up() -> None:
    """However many fragments a client names, what waits for it stays small, and holds every click."""
    waiting: Pending = ()
    for count in range(5 * FRAGMENTS):
        waiting = pend(waiting, rerun(click(f"b{count}"), fragment=f"f{count}"))
        assert len(waiting) <= FRAGMENTS
    assert set().union(*(clicks(each) for each in waiting)) == {f"b{count}" for count in range(5 * FRAGMENTS)}


def test_what_waits_is_not_changed_by_what_comes() -> None:
    """The messages that were given stay as they were judged."""
    old, new = rerun(click("a"), fragment=LEFT), rerun(number("x", 1))
    before = old.SerializeToString(), new.SerializeToString()
    coalesce(old, new)
    assert (old.SerializeToString(), new.SerializeToString()) == before
