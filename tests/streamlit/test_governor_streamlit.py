"""Real scripts take turns behind the gateway: how many at once, whose turn, and what becomes of threads and clicks."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.streamlit.governor import BEGIN, COMPUTES, POLL
from gateway.streamlit.machine import THREAD, processors, script_threads
from tests.e2e.conftest import POLICY, Served, gateway_served
from tests.support.processes import ROOT
from tests.support.streamlit_client import StreamlitClient
from tests.support.streamlit_protocol import Page, rerun

AT_ONCE = 2
LEAVING = 2  # threads whose run has just ended, on their way out while the next one has begun
TURNS = POLICY.replace("[limits]\n", f"[limits]\nscripts = {{ at_once = {AT_ONCE} }}\n")


@pytest.fixture(scope="module")
def tool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    directory = tmp_path_factory.mktemp("turns")
    with gateway_served(directory, policy=TURNS, script=ROOT / "tests" / "data" / "streamlit" / "turns.py") as served:
        yield served


def ask(client: StreamlitClient, work: str = "compute-0") -> None:
    """Ask for a run, and do not wait for it."""
    client.send(rerun(query_string=f"work={work}", widget_states=client.page.widgets.values()))


def said(page: Page, word: str) -> str:
    """What the page says of it."""
    return next(text.partition(" ")[2] for text in page.texts if text.startswith(f"{word} "))


def test_streamlit_calls_its_threads_what_we_look_for(tool: Served) -> None:
    """Slots are held against the script threads that are alive; a Streamlit that renames them is noticed here."""
    with tool.connect() as client:
        ask(client)
        assert said(client.wait_finished(), "thread") == THREAD


def test_many_visitors_run_a_few_at_a_time(tool: Served) -> None:
    """Ten press rerun at once: all are served, and no script has more beside it than the policy says."""
    clients = [tool.connect() for _ in range(10)]
    for client in clients:
        ask(client, "compute-0.1")
    pages = [client.wait_finished() for client in clients]
    assert max(int(said(page, "beside")) for page in pages) <= AT_ONCE + LEAVING
    for client in clients:
        client.close()


def test_leaving_does_not_stack_up_threads(tool: Served) -> None:
    """Connect, run, leave, again and again: the threads that still compute keep their slots."""
    for _ in range(6):
        with tool.connect() as client:
            ask(client, "compute-0.8")
            time.sleep(0.1)
    with tool.connect() as client:
        ask(client, "compute-0.05")
        assert int(said(client.wait_finished(), "beside")) <= AT_ONCE + LEAVING


def test_a_fragment_that_is_gone_blocks_nobody(tool: Served) -> None:
    """Streamlit ignores a rerun of a fragment that it does not know. The slots are free again after a short while."""
    pretenders = [tool.connect() for _ in range(AT_ONCE)]
    for pretender in pretenders:
        pretender.send(rerun(fragment_id="gone"))
    begun = time.monotonic()
    with tool.connect() as client:
        ask(client)
        client.wait_finished()
    assert time.monotonic() - begun < BEGIN + 3 * POLL + 2.0
    for pretender in pretenders:
        pretender.close()


def test_scripts_that_sleep_do_not_close_the_tool(tool: Served) -> None:
    """Every slot has a dashboard that waits; who comes then does not wait for it."""
    sleepers = [tool.connect() for _ in range(2 * AT_ONCE)]
    for sleeper in sleepers:
        ask(sleeper, "sleep-12")
    begun = time.monotonic()
    with tool.connect() as client:
        ask(client)
        client.wait_finished()
    assert time.monotonic() - begun < 9.0
    for sleeper in sleepers:
        sleeper.close()


def test_a_click_that_waits_is_not_lost(tool: Served) -> None:
    """A button is pressed while others compute, then the page asks for another run: the click is there once."""
    with tool.connect() as client:
        ask(client)
        client.wait_finished()
        others = [tool.connect() for _ in range(4)]
        for other in others:
            ask(other, "compute-0.4")
        runs = client.page.finished
        client.send(rerun(widget_states=client.page.set({"Add": True})))
        for _ in range(3):
            ask(client)
        while client.page.finished == runs or said(client.page, "added") == "0":
            client.receive()
        assert client.page.finished == runs + 1
        ask(client)
        assert said(client.wait_finished(), "added") == "1"
        for other in others:
            other.close()


# --- threads -------------------------------------------------------------------------------------------------


def computes(stop: threading.Event) -> None:
    while not stop.is_set():
        sum(number * number for number in range(200))


def sleeps(stop: threading.Event) -> None:
    while not stop.is_set():
        time.sleep(0.02)


def test_it_is_known_what_each_thread_computes() -> None:
    """The processor time of a script's thread, which shows whether it computes or waits."""
    stop = threading.Event()
    threads = [threading.Thread(target=work, args=(stop,), name=THREAD) for work in (computes, sleeps)]
    for thread in threads:
        thread.start()
    try:
        before = script_threads()
        time.sleep(1.0)
        after = script_threads()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    used = [after[number] - before[number] for number in (thread.native_id for thread in threads) if number]
    assert used[0] > COMPUTES > used[1]
    assert not script_threads()


QUOTAS = [
    ("half a processor", "50000 100000\n", 0.5),
    ("no limit", "max 100000\n", None),
    ("more than there are", "100000000 100000\n", None),
    ("something else", "what\n", None),
]


@pytest.mark.parametrize(("text", "expected"), [row[1:] for row in QUOTAS], ids=[row[0] for row in QUOTAS])
def test_a_container_has_what_its_quota_says(tmp_path: Path, text: str, expected: float | None) -> None:
    """The kernel's cpu.max: so many microseconds in each period, or `max`."""
    quota = tmp_path / "cpu.max"
    quota.write_text(text)
    assert processors(quota) == (expected or len(os.sched_getaffinity(0)))


def test_the_loop_has_its_turn_sooner(tool: Served) -> None:
    """In the gateway, a script that computes gives way after a millisecond, not after Python's five."""
    with tool.connect() as client:
        ask(client)
        assert float(said(client.wait_finished(), "interval")) == 0.001
