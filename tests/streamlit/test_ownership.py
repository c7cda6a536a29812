"""Whose a Streamlit session, an upload and a media id are."""

import pytest

from gateway.streamlit import ownership as bounds
from gateway.streamlit.ownership import AFTERLIFE, Ownership


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def ownership(clock):
    return Ownership(clock)


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def test_a_streamlit_session_belongs_to_the_gateway_session_on_whose_socket_it_was_opened(ownership):
    """A Streamlit session belongs to the gateway session that opened it, and to nobody else."""
    ownership.opened("s1", "alice")
    assert ownership.owner_of("s1") == "alice"
    assert ownership.owns("alice", "s1")
    assert not ownership.owns("bob", "s1")
    assert not ownership.owns("alice", "s2")


def test_who_was_first_stays_the_owner(ownership):
    """Presenting somebody else's session id does not make it yours, also after their socket is gone."""
    ownership.opened("s1", "alice")
    ownership.opened("s1", "bob")
    ownership.closed("s1")
    ownership.opened("s1", "bob")
    assert ownership.owns("alice", "s1")
    assert not ownership.owns("bob", "s1")


def test_a_visitor_without_a_session_owns_nothing(ownership):
    """Without a gateway session nothing is yours: no Streamlit session, no media."""
    ownership.opened("s1", None)
    ownership.grant(None, ["a.png"])
    assert not ownership.owns(None, "s1")
    assert not ownership.may_read(None, "a.png")
    ownership.opened("s1", "bob")
    assert not ownership.owns("bob", "s1")


def test_ownership_outlives_the_socket_for_ten_minutes(ownership, clock):
    """A session whose socket is gone stays its owner's as long as Streamlit may keep it, and is then forgotten."""
    ownership.opened("s1", "alice")
    ownership.closed("s1")
    clock.now += AFTERLIFE - 1
    assert ownership.owns("alice", "s1")
    clock.now += 2
    assert not ownership.owns("alice", "s1")


def test_a_session_that_is_opened_again_lives_on(ownership, clock):
    """A reconnected session is not forgotten, however often its socket was lost."""
    ownership.opened("s1", "alice")
    ownership.closed("s1")
    ownership.opened("s1", "alice")
    clock.now += 10 * AFTERLIFE
    assert ownership.owns("alice", "s1")


def test_an_upload_needs_an_element_that_asks_for_files_and_an_offer(ownership):
    """An upload is taken once, under an id that Streamlit gave out, when an element of the page takes files."""
    ownership.opened("s1", "alice")
    ownership.offered("s1", "f1")
    assert not ownership.claim("s1", "f1")
    ownership.takes_uploads("s1")
    assert not ownership.claim("s1", "invented")
    assert ownership.claim("s1", "f1")
    assert not ownership.claim("s1", "f1")


def test_an_offer_is_good_in_its_own_session_only(ownership):
    """An id that was given to one session opens nothing in another."""
    for session in ("s1", "s2", "unknown"):
        ownership.takes_uploads(session)
    ownership.opened("s1", "alice")
    ownership.opened("s2", "alice")
    ownership.takes_uploads("s2")
    ownership.offered("s1", "f1")
    assert not ownership.claim("s2", "f1")
    assert not ownership.claim("unknown", "f1")


def test_media_belong_to_whom_they_were_sent(ownership):
    """A media id is readable for those gateway sessions that were sent it, and no other."""
    ownership.grant("alice", ["a.png", "b.csv"])
    ownership.grant("carol", ["b.csv"])
    assert ownership.may_read("alice", "a.png")
    assert ownership.may_read("carol", "b.csv")
    assert not ownership.may_read("carol", "a.png")
    assert not ownership.may_read("bob", "a.png")


@pytest.mark.parametrize(
    ("what", "bound"),
    [("sessions", bounds.SESSIONS), ("offers", bounds.OFFERS), ("media", bounds.MEDIA), ("owners", bounds.SESSIONS)],
)
def test_memory_is_bounded_and_the_oldest_give_way(ownership, what, bound):
    """Whatever a visitor does, what is remembered has a bound; the oldest is forgotten, the newest kept."""
    ownership.opened("s", "alice")
    ownership.takes_uploads("s")
    act, holds = {
        "sessions": (lambda n: ownership.opened(f"{n}", "bob"), lambda n: ownership.owns("bob", f"{n}")),
        "offers": (lambda n: ownership.offered("s", f"{n}"), lambda n: ownership.claim("s", f"{n}")),
        "media": (lambda n: ownership.grant("bob", [f"{n}"]), lambda n: ownership.may_read("bob", f"{n}")),
        "owners": (lambda n: ownership.grant(f"{n}", ["m"]), lambda n: ownership.may_read(f"{n}", "m")),
    }[what]
    for number in range(bound + 5):
        act(number)
    assert [holds(number) for number in (0, 4)] == [False, False]
    assert holds(bound + 4)


def test_closed_sessions_give_way_before_open_ones(ownership):
    """When memory is full, a session whose socket is gone is forgotten before one that is in use."""
    for number in range(bounds.SESSIONS):
        ownership.opened(f"{number}", "alice")
    ownership.closed("77")
    ownership.opened("new", "alice")
    assert not ownership.owns("alice", "77")
    assert ownership.owns("alice", "0")


def test_the_total_of_media_is_bounded_at_the_cost_of_whoever_adds(monkeypatch):
    """When all media together are too many, a visitor's new ones replace that visitor's own."""
    monkeypatch.setattr(bounds, "ALL_MEDIA", 10)
    ownership = Ownership()
    ownership.grant("alice", ["a"])
    ownership.grant("bob", [f"{number}" for number in range(50)])
    assert ownership.may_read("alice", "a")
    assert sum(ownership.may_read("bob", f"{number}") for number in range(50)) == 9


def test_session_ids_are_not_kept(ownership):
    """A Streamlit session id is a credential: it cannot be read out of what is remembered."""
    ownership.opened("secret-session-id", "alice")
    ownership.offered("secret-session-id", "f1")
    ownership.closed("secret-session-id")
    assert "secret-session-id" not in repr(vars(ownership))
