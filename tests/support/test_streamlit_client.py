"""The protocol client against bare Streamlit: what it says about a page is what Streamlit drew."""

import asyncio
from collections.abc import Iterator

import pytest
from websockets.exceptions import InvalidStatus

from tests.support.processes import ROOT, bare_streamlit
from tests.support.streamlit_client import StreamlitClient, connect, connect_async, visit

DEMO = ROOT / "tests" / "data" / "streamlit" / "demo.py"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with bare_streamlit(DEMO) as found:
        yield found


@pytest.fixture
def client(url: str) -> Iterator[StreamlitClient]:
    with StreamlitClient(visit(url)) as opened:
        opened.rerun()
        yield opened


def test_the_first_run_draws_the_default_page(client: StreamlitClient) -> None:
    """A client that asks for no page gets the default page, its session id, and the list of all pages."""
    assert client.page.texts[0] == "Home"
    assert client.page.session_id
    assert set(client.page.pages) == {"", "ledger"}


def test_widgets_are_set_by_label_and_keep_their_values(client: StreamlitClient) -> None:
    """A value that was set is sent with every later run, as a browser sends it."""
    client.change({"Greet": True, "Name": "Ada"})
    assert "hello Ada" in client.page.texts
    client.change({"Times": 2.0, "Kind": "loud"})
    assert "HELLO ADA HELLO ADA" in client.page.texts


def test_a_click_counts_once(client: StreamlitClient) -> None:
    """A button is true in the run that it starts, and not in the next."""
    assert "clicked" in client.change({"Click me": True}).text
    assert "clicked" not in client.rerun().text


@pytest.mark.parametrize("by", ["name", "hash"])
def test_a_page_is_asked_for_by_name_or_by_hash(client: StreamlitClient, by: str) -> None:
    """The page is named inside the socket, in one of two ways, and no HTTP request is made for it."""
    named = {"page_name": "ledger"} if by == "name" else {"page_script_hash": client.page.pages["ledger"]}
    assert client.rerun(**named).texts[0] == "Ledger"
    assert client.rerun().texts[0] == "Ledger"


def test_a_script_that_switches_pages_draws_the_other_page(client: StreamlitClient) -> None:
    """st.switch_page leads to another page without the client asking for it."""
    assert client.change({"Go to the ledger": True}).texts[0] == "Ledger"


def test_a_file_arrives_in_the_script(client: StreamlitClient) -> None:
    """An upload is a request in the socket, a PUT over HTTP, and a run with the file as the widget's value."""
    client.rerun(page_name="ledger")
    page = client.upload("Bookings", "march.csv", b"account,amount\n1,2\n")
    assert "march.csv has 19 bytes: b'account,amount\\n1,2\\n'" in page.texts


def test_an_exception_of_the_script_is_an_element(client: StreamlitClient) -> None:
    """A script that raises finishes its run, and the page carries the exception."""
    assert len(client.change({"Break": True}).kinds("exception")) == 1


def test_an_unknown_label_lists_the_known_ones(client: StreamlitClient) -> None:
    """Asking for a widget that is not on the page says which ones are."""
    with pytest.raises(LookupError, match="Click me"):
        client.page.widget("No such")


def test_the_peer_address_and_the_origin_are_chosen(url: str) -> None:
    """A foreign Origin is sent as told, and refused by Streamlit; another loopback address is let in."""
    with connect(url, source_address="127.0.0.7") as client:
        assert client.socket.local_address[0] == "127.0.0.7"
    with pytest.raises(InvalidStatus) as refused:
        connect(url, origin="null")
    assert refused.value.response.status_code == 403


def test_a_raw_frame_is_sent_as_it_is(url: str) -> None:
    """Bytes that are no message end the socket, and the close code is told."""
    with connect(url) as client:
        client.send(b"\xff\xff\xff")
        assert client.wait_closed()[0] in (1002, 1003, 1006, 1007, 1011)


def test_many_clients_share_an_event_loop(url: str) -> None:
    """Asyncio clients run side by side, each with a session of its own."""

    async def sessions() -> set[str | None]:
        visitor = visit(url)
        clients = [await connect_async(visitor) for _ in range(4)]
        pages = await asyncio.gather(*(client.rerun() for client in clients))
        await asyncio.gather(*(client.close() for client in clients))
        return {page.session_id for page in pages}

    assert len(asyncio.run(sessions())) == 4
