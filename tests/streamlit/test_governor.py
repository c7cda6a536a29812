"""Scripts take turns: never more at once than the limit, no click lost, nobody passed over.

Time is passed in, so these tests decide when it passes; `test_governor_streamlit.py` has real scripts.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.WidgetStates_pb2 import WidgetState, WidgetStates

from gateway.model import ScriptLimits
from gateway.streamlit.governor import BEGIN, LENT, LONG, POLL, Governor, at_once
from gateway.streamlit.machine import Machine
from gateway.streamlit.seat import FORWARDS, Seat
from tests.policy.sources import SMALL, parse, problems


class Cancelled:
    def cancel(self) -> None:
        raise AssertionError("the governor cancels no timer")


@dataclass
class World:
    """A clock that moves when it is told, and sessions whose scripts compute or do not."""

    now: float = 0.0
    computes: bool = True
    sessions: "list[Session]" = field(default_factory=list)
    _timers: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _numbers: "count[int]" = field(default_factory=count)

    def __post_init__(self) -> None:
        machine = Machine(lambda: self.now, self.threads)
        self.governor = Governor(machine=machine, later=self.later)

    def later(self, seconds: float, call: Callable[[], None]) -> Cancelled:
        heapq.heappush(self._timers, (self.now + seconds, next(self._numbers), call))
        return Cancelled()

    def threads(self) -> dict[int, float]:
        """A thread that computes uses all the time there is, one that does not uses none."""
        alive = [session for session in self.sessions if session.alive]
        return {id(session): self.now if session.computes else 0.0 for session in alive}

    def pass_time(self, seconds: float) -> None:
        end = self.now + seconds
        while self._timers and self._timers[0][0] <= end:
            at, _, call = heapq.heappop(self._timers)
            self.now = at
            call()
        self.now = end

    @property
    def quiet(self) -> bool:
        """Nothing is to be called later: nobody polls."""
        return not self._timers

    def session(self, owner: str, at_once: int) -> "Session":
        session = Session(self, owner, computes=self.computes)
        session.seat = self.governor.seat(owner, ScriptLimits(at_once), session.take)
        self.sessions.append(session)
        return session


@dataclass
class Session:
    """A session of Streamlit as the wire shows it: one thread at most, and what waits for it."""

    world: World
    owner: str
    seat: Seat = field(init=False)
    alive: bool = False
    runs: bool = False
    pending: list[BackMsg] = field(default_factory=list)
    taken: list[BackMsg] = field(default_factory=list)
    ignores: bool = False
    closed: bool = False
    computes: bool = True

    def take(self, rerun: BackMsg) -> None:
        self.taken.append(rerun)
        if not self.ignores:
            self.alive = True
            self.pending.append(rerun)

    def begin(self) -> None:
        """The thread takes what waits for it, also in the middle of a run."""
        self.pending.clear()
        self.runs = True
        self.seat.started()

    def end(self) -> None:
        """The run is over. If something waits for the thread, it goes on with that."""
        if not self.runs:
            self.begin()
        self.runs = False
        self.alive = bool(self.pending)
        self.seat.finished()
        if self.pending:
            self.begin()

    @property
    def clicks(self) -> list[str]:
        return [
            state.id
            for message in self.taken
            for state in message.rerun_script.widget_states.widgets
            if state.trigger_value
        ]

    @property
    def values(self) -> list[int]:
        """The value of the newest rerun that each message stands for."""
        return [int(message.rerun_script.query_string) for message in self.taken]


def rerun(number: int = 0, fragment: str = "") -> BackMsg:
    """A click on a button that nobody else clicks."""
    widgets = WidgetStates(widgets=[WidgetState(id=f"b{number}", trigger_value=True)])
    return BackMsg(rerun_script=ClientState(query_string=str(number), fragment_id=fragment, widget_states=widgets))


def crowd(world: World, owners: str, at_once: int) -> list[Session]:
    """One session for each letter, an owner's name; all of them ask at once, in this order."""
    sessions = [world.session(owner, at_once) for owner in owners]
    for session in sessions:
        session.seat.submit(rerun())
    return sessions


def running(sessions: list[Session]) -> str:
    return "".join(session.owner for session in sessions if session.alive)


# --- how many at once -----------------------------------------------------------------------------------------


def test_no_more_run_at_once_than_the_policy_says() -> None:
    """`limits.scripts = { at_once = 2 }`: the third waits, and is told how many come before it."""
    sessions = crowd(World(), "abcd", 2)
    assert running(sessions) == "ab"
    assert [session.seat.waiting for session in sessions] == [None, None, 0, 1]


def test_a_finished_run_lets_the_next_one_begin() -> None:
    """The slot goes to who waits, at once."""
    sessions = crowd(World(), "abcd", 2)
    sessions[1].begin()
    sessions[1].end()
    assert running(sessions) == "ac"
    assert sessions[3].seat.waiting == 0


def test_the_time_of_waiting_is_known() -> None:
    """While it waits, and afterwards for the last slot."""
    world = World()
    first, second = crowd(world, "ab", 1)
    world.pass_time(3.0)
    assert second.seat.waited == pytest.approx(3.0)
    first.end()
    world.pass_time(2.0)
    assert (second.seat.waiting, second.seat.waited) == (None, pytest.approx(3.0))


def test_the_limit_comes_from_the_policy() -> None:
    """The number is read from `limits.scripts.at_once`; without it, it follows the processors, from two to four."""
    written = parse(SMALL + "[limits]\nscripts = { at_once = 7 }\n").limits.scripts
    assert at_once(written) == 7
    assert 2 <= at_once(parse(SMALL).limits.scripts) <= 4


UNREADABLE = ["0", "1001", '"4"', "true", "2.0"]


@pytest.mark.parametrize("number", UNREADABLE)
def test_a_limit_that_stops_everybody_is_refused(number: str) -> None:
    """No script at all, or a number that is none: the policy is not accepted."""
    (problem,) = problems(SMALL + f"[limits]\nscripts = {{ at_once = {number} }}\n")
    assert problem.place.endswith("limits.scripts.at_once")


# --- fair -----------------------------------------------------------------------------------------------------


def test_owners_take_turns_however_many_sockets_they_have() -> None:
    """Five tabs of one person and one of another: the other one is next after the first."""
    sessions = crowd(World(), "aaaaab", 1)
    sessions[0].end()
    assert running(sessions) == "b"
    assert [session.seat.waiting for session in sessions] == [None, 0, 1, 2, 3, None]


def test_one_owner_holds_no_more_than_half_while_others_wait() -> None:
    """With four slots, the third tab of one person waits for the first of another one."""
    world = World()
    holders = crowd(world, "bbcc", 4)
    waiters = crowd(world, "aaad", 4)
    for holder in holders[:3]:
        holder.end()
    assert running(waiters) == "aad"


def test_alone_an_owner_has_every_slot() -> None:
    """A slot that nobody else wants is not kept empty."""
    assert running(crowd(World(), "aaaaa", 4)) == "aaaa"


def test_no_slot_stays_empty_when_all_have_their_share() -> None:
    """Half of three is one: two owners have one each, and the third slot goes to the one who is next."""
    assert running(crowd(World(), "abab", 3)) == "aba"


@given(
    owners=st.lists(st.sampled_from("abcd"), min_size=2, max_size=10),
    at_once=st.integers(1, 4),
    ends=st.lists(st.integers(0, 99), max_size=60),
)
def test_nobody_is_passed_over(owners: list[str], at_once: int, ends: list[int]) -> None:
    """Between two turns of one owner, everybody else who waits for a first slot has had one."""
    world = World()
    sessions = crowd(world, "".join(owners), at_once)
    passed: dict[str, set[str]] = {}
    for end in ends:
        alive = [session for session in sessions if session.alive]
        waiting = {session.owner for session in sessions if session.seat.waiting is not None}
        without = waiting - {session.owner for session in alive}
        before = {id(session): len(session.taken) for session in sessions}
        ended = alive[end % len(alive)]
        ended.end()
        granted = {session.owner for session in sessions if len(session.taken) > before[id(session)]}
        ended.seat.submit(rerun())
        for owner in without - granted:
            assert not granted & passed.get(owner, set()), f"{granted} had two turns, and {owner} none"
            passed.setdefault(owner, set()).update(granted)
        for owner in granted | (set(owners) - without):
            passed.pop(owner, None)


# --- reruns of one session ------------------------------------------------------------------------------------


def test_reruns_that_wait_become_one() -> None:
    """Three clicks while it waited: one run, with all three."""
    first, second = crowd(World(), "ab", 1)
    second.seat.submit(rerun(1))
    second.seat.submit(rerun(2))
    first.end()
    assert (set(second.clicks), second.values) == ({"b0", "b1", "b2"}, [2])


def test_a_running_session_is_interrupted_at_once() -> None:
    """What Streamlit does with a rerun during a run is Streamlit's: nothing waits for a slot that one has."""
    (session,) = crowd(World(), "a", 1)
    session.begin()
    session.seat.submit(rerun(1))
    assert session.values == [0, 1]
    assert session.seat.waiting is None


def test_nobody_keeps_a_slot_by_clicking() -> None:
    """While others wait, a run is restarted so many times by its own session; then its clicks wait for their turn."""
    first, second = crowd(World(), "ab", 1)
    for number in range(1, 10):
        first.begin()
        first.seat.submit(rerun(number))
    assert len(first.taken) == 1 + FORWARDS
    first.begin()
    first.end()
    first.world.pass_time(1.0)
    assert running([first, second]) == "b"
    second.end()
    assert sorted(first.clicks) == [f"b{number}" for number in range(10)]


def test_what_was_held_back_goes_on_when_nobody_waits_any_more() -> None:
    """The others have left: the clicks of who runs need no turn."""
    first, second = crowd(World(), "ab", 1)
    for number in range(1, 10):
        first.seat.submit(rerun(number))
    second.seat.close()
    assert len(first.clicks) == 10


def test_a_slot_goes_on_with_the_run_behind_the_run() -> None:
    """A click that came too late to interrupt runs in the same thread afterwards: the slot is still in use."""
    first, second = crowd(World(), "ab", 1)
    first.begin()
    first.seat.submit(rerun(1))
    first.end()
    first.world.pass_time(1.0)
    assert running([first, second]) == "a"
    first.end()
    assert running([first, second]) == "b"


def test_stop_drops_what_waits() -> None:
    """The visitor pressed stop while waiting: nothing runs for them later."""
    first, second = crowd(World(), "ab", 1)
    assert second.seat.cancel_waiting()
    assert not second.seat.cancel_waiting()
    first.end()
    assert second.taken == []


def test_what_waits_has_a_weight() -> None:
    """Merging loses no click, so a client that invents widgets makes it grow; the guard can see by how much."""
    _, second = crowd(World(), "ab", 1)
    before = second.seat.weight
    second.seat.submit(rerun(1))
    assert second.seat.weight > before > 0


# --- slots and threads ----------------------------------------------------------------------------------------


def test_a_closed_socket_leaves_its_slot_to_its_thread() -> None:
    """Connecting, running and leaving again and again does not stack up threads."""
    world = World()
    first, second = crowd(world, "ab", 1)
    first.begin()
    first.seat.close()
    world.pass_time(10 * POLL)
    assert running([first, second]) == "a"
    first.alive = False
    world.pass_time(3 * POLL)
    assert running([first, second]) == "b"


def test_a_rerun_that_starts_nothing_gives_its_slot_back() -> None:
    """A fragment that is gone is ignored by Streamlit, without a word; others do not wait for it for long."""
    world = World()
    first = world.session("a", 1)
    first.ignores = True
    first.seat.submit(rerun(fragment="gone"))
    (second,) = crowd(world, "b", 1)
    world.pass_time(BEGIN + 3 * POLL)
    assert running([second]) == "b"


def test_a_run_whose_end_is_never_seen_gives_its_slot_back() -> None:
    """A reader that does not read holds its messages up, and nobody else."""
    world = World()
    first, second = crowd(world, "ab", 1)
    first.begin()
    first.alive = False
    world.pass_time(3 * POLL)
    assert running([second]) == "b"


def test_runs_that_nobody_asked_for_are_counted() -> None:
    """Streamlit may run a session by itself, such as after a change of its secrets: others wait for that, too."""
    world = World()
    session = world.session("a", 1)
    session.alive = True
    session.begin()
    (other,) = crowd(world, "b", 1)
    assert running([other]) == ""
    session.end()
    assert running([other]) == "b"


def test_nobody_polls_when_nobody_waits() -> None:
    """Looking at the threads ends with the need for it."""
    world = World()
    first, second = crowd(world, "ab", 1)
    assert not world.quiet
    first.end()
    second.end()
    world.pass_time(2 * POLL)
    assert world.quiet


# --- lending --------------------------------------------------------------------------------------------------


def test_runs_that_wait_for_something_lend_their_slots() -> None:
    """A database answers slowly: others run beside, up to a bound."""
    world = World(computes=False)
    sessions = crowd(world, "abcdefghijklmnop", 2)
    world.pass_time(2 * POLL)
    assert running(sessions) == "abcd"
    world.pass_time(60.0)
    assert len(running(sessions)) == 2 + 2 * LENT


def test_runs_that_compute_lend_nothing() -> None:
    """The interpreter is shared by as many as the limit says."""
    world = World(computes=True)
    sessions = crowd(world, "abcdef", 2)
    world.pass_time(LONG - 1)
    assert running(sessions) == "ab"


def test_what_was_lent_is_not_lent_again_when_runs_compute() -> None:
    """They waited for a database, and now they compute: the next ones wait until there are few again."""
    world = World(computes=False)
    sessions = crowd(world, "abcdefgh", 2)
    world.pass_time(2 * POLL)
    for session in sessions:
        session.computes = True
    world.pass_time(2 * POLL)
    assert running(sessions) == "abcd"
    sessions[0].end()
    sessions[1].end()
    assert running(sessions) == "cd"
    sessions[2].end()
    assert running(sessions) == "de"


def test_a_dashboard_that_sleeps_costs_others_nothing() -> None:
    """Two that draw for ever have the slots; those who compute take turns beside them, as many as otherwise."""
    world = World(computes=False)
    dashboards = crowd(world, "xy", 2)
    world.computes = True
    sessions = crowd(world, "abcd", 2)
    world.pass_time(3 * POLL)
    assert running(sessions) == "ab"
    sessions[0].end()
    assert running(sessions) == "bc"
    assert running(dashboards) == "xy"


def test_a_long_run_lets_others_pass() -> None:
    """Somebody computes for minutes: the others have slots all the same."""
    world = World(computes=True)
    sessions = crowd(world, "abcd", 2)
    sessions[0].begin()
    sessions[1].begin()
    world.pass_time(LONG + 2 * POLL)
    assert running(sessions) == "abcd"


def test_what_is_lent_is_not_for_who_has_a_share() -> None:
    """Who fills every slot with dashboards that never end gets no more, and locks nobody out."""
    world = World(computes=False)
    dashboards = crowd(world, "aaaaaaaa", 2)
    world.pass_time(120.0)
    assert running(dashboards) == "aa"
    (other,) = crowd(world, "b", 2)
    world.pass_time(3 * POLL)
    assert running([other]) == "b"


# --- whatever happens -----------------------------------------------------------------------------------------

AT_ONCE = 2


class Crowd(RuleBasedStateMachine):
    """Visitors come, click, stop and leave in any order, with runs that begin, are interrupted, and end."""

    @initialize()
    def begin(self) -> None:
        self.world = World()
        self.numbers = count()
        self.sent: dict[int, list[int]] = {}

    @property
    def open(self) -> list[Session]:
        return [session for session in self.world.sessions if not session.closed]

    def pick(self, data: st.DataObject, sessions: list[Session]) -> Session:
        return data.draw(st.sampled_from(sessions))

    @precondition(lambda self: len(self.world.sessions) < 12)
    @rule(owner=st.sampled_from("abc"), ignores=st.sampled_from([False, False, False, True]))
    def come(self, owner: str, ignores: bool) -> None:
        session = self.world.session(owner, AT_ONCE)
        session.ignores = ignores
        self.sent[id(session)] = []

    @precondition(lambda self: self.open)
    @rule(data=st.data(), fragment=st.sampled_from(["", "", "left", "right"]))
    def click(self, data: st.DataObject, fragment: str) -> None:
        session = self.pick(data, self.open)
        number = next(self.numbers)
        self.sent[id(session)].append(number)
        session.seat.submit(rerun(number, fragment))

    @precondition(lambda self: any(each.pending for each in self.open))
    @rule(data=st.data())
    def run(self, data: st.DataObject) -> None:
        self.pick(data, [each for each in self.open if each.pending]).begin()

    @precondition(lambda self: any(each.runs for each in self.open))
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        self.pick(data, [each for each in self.open if each.runs]).end()

    @precondition(lambda self: any(each.closed and each.alive for each in self.world.sessions))
    @rule(data=st.data())
    def end_unseen(self, data: st.DataObject) -> None:
        self.pick(data, [each for each in self.world.sessions if each.closed and each.alive]).alive = False

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def stop(self, data: st.DataObject) -> None:
        session = self.pick(data, self.open)
        if session.seat.cancel_waiting():
            taken = {int(click[1:]) for click in session.clicks}
            self.sent[id(session)] = [number for number in self.sent[id(session)] if number in taken]

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        session = self.pick(data, self.open)
        session.closed = True
        session.pending.clear()
        session.seat.close()

    @rule(seconds=st.sampled_from([0.01, 0.2, 1.0, 3.0]))
    def wait(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    @invariant()
    def no_more_at_once_than_allowed(self) -> None:
        alive = sum(session.alive for session in self.world.sessions)
        assert alive <= AT_ONCE * (1 + LENT)
        if self.world.now < LONG:
            assert alive <= AT_ONCE

    @invariant()
    def every_click_once_and_in_order(self) -> None:
        for session in self.world.sessions:
            clicks = [int(click[1:]) for click in session.clicks]
            assert len(clicks) == len(set(clicks))
            assert set(clicks) <= set(self.sent[id(session)])
            assert session.values == sorted(session.values)

    @invariant()
    def who_waits_can_say_for_what(self) -> None:
        waiting = [each.seat.waiting for each in self.open if each.seat.waiting is not None]
        assert sorted(waiting) == list(range(len(waiting)))

    def teardown(self) -> None:
        for _ in range(1000):  # whatever still runs ends, sooner or later
            if self.world.quiet and not any(each.alive for each in self.world.sessions):
                break
            for session in self.world.sessions:
                if session.closed:
                    session.alive = False
                elif session.pending:
                    session.begin()
                elif session.runs:
                    session.end()
            self.world.pass_time(POLL)
        for session in self.open:
            assert [int(click[1:]) for click in sorted(session.clicks, key=lambda name: int(name[1:]))] == self.sent[
                id(session)
            ]
            session.seat.close()
        self.world.pass_time(BEGIN + 4 * POLL)
        assert self.world.governor.running == 0
        assert self.world.quiet


TestCrowd = Crowd.TestCase
TestCrowd.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
