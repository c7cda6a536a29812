"""A WebSocket client that speaks Streamlit's protocol over a real socket, as a browser does or as an attacker would.

`connect()` blocks, `connect_async()` does not; both give a client with the same `page`. Everything that a browser
fixes can be chosen here: source address, Host, Origin, cookies, sub-protocols, raw frames.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

import httpx
import websockets.asyncio.client
import websockets.sync.client
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Common_pb2 import FileURLs
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.exceptions import ConnectionClosed

from tests.support.streamlit_protocol import (
    NO_XSRF_TOKEN,
    SUBPROTOCOL,
    Page,
    deferred_file,
    file_urls,
    rerun,
    uploaded,
)

XSRF_COOKIE = "_streamlit_xsrf"
SAME_ORIGIN: Final = "same-origin"
MESSAGE_LIMIT = 256 * 1024 * 1024  # bytes; Streamlit itself sends up to 200 MB


@dataclass(frozen=True)
class Visitor:
    """Who connects, and what they claim. `url` is the base of the tool, such as http://127.0.0.1:8501/tools.

    `host` replaces the Host header, `origin` the Origin (None: none is sent), `source_address` is the peer we are.
    """

    url: str
    host: str | None = None
    origin: str | None = SAME_ORIGIN
    source_address: str | None = None
    headers: Mapping[str, str] | Sequence[tuple[str, str]] = ()
    cookies: Mapping[str, str] = field(default_factory=dict)
    session_id: str | None = None
    subprotocols: Sequence[str] | None = None
    tls: ssl.SSLContext | None = None
    timeout: float = 20.0

    def http(self) -> httpx.Client:
        """An HTTP client of the same visitor."""
        transport = httpx.HTTPTransport(local_address=self.source_address, verify=self.tls or True)
        headers = [*_pairs(self.headers), *([("Host", self.host)] if self.host else [])]
        return httpx.Client(
            base_url=self.url,
            headers=headers,
            cookies=dict(self.cookies),
            transport=transport,
            timeout=self.timeout,
            trust_env=False,
        )

    def open_socket(self) -> socket.socket:
        """A TCP connection to the server, from the chosen address."""
        parts = urlsplit(self.url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        source = (self.source_address, 0) if self.source_address else None
        return socket.create_connection((parts.hostname or "", port), timeout=self.timeout, source_address=source)

    def handshake(self) -> dict[str, Any]:
        """What both WebSocket clients are called with, besides the socket."""
        parts = urlsplit(self.url)
        scheme = "wss" if parts.scheme == "https" else "ws"
        authority = self.host or parts.netloc
        headers = _pairs(self.headers)
        if self.cookies:
            headers.append(("Cookie", "; ".join(f"{name}={value}" for name, value in self.cookies.items())))
        return {
            "uri": f"{scheme}://{authority}{parts.path.rstrip('/')}/_stcore/stream",
            "origin": f"{parts.scheme}://{authority}" if self.origin == SAME_ORIGIN else self.origin,
            "subprotocols": self._subprotocols(),
            "additional_headers": headers,
            "ssl": self.tls if scheme == "wss" else None,
            "proxy": None,
            "compression": None,
            "open_timeout": self.timeout,
            "max_size": MESSAGE_LIMIT,
            "user_agent_header": "Mozilla/5.0 (X11; Linux x86_64) streamlit-client",
        }

    def _subprotocols(self) -> list[str] | None:
        if self.subprotocols is not None:
            return list(self.subprotocols) or None
        token = self.cookies.get(XSRF_COOKIE, NO_XSRF_TOKEN)
        return [SUBPROTOCOL, token, *([self.session_id] if self.session_id else [])]


def _pairs(headers: Mapping[str, str] | Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    return list(headers.items()) if isinstance(headers, Mapping) else list(headers)


def visit(url: str, **options: Any) -> Visitor:
    """A visitor who has loaded the page first, as a browser does: with the cookies of the page and of the health route.

    Raises:
        httpx.HTTPStatusError: the page was refused.
    """
    visitor = Visitor(url.rstrip("/"), **options)
    with visitor.http() as client:
        client.get("/", headers={"Accept": "text/html"}).raise_for_status()
        client.get("/_stcore/health").raise_for_status()
        cookies = {**visitor.cookies, **{cookie.name: cookie.value or "" for cookie in client.cookies.jar}}
    return Visitor(visitor.url, **{**options, "cookies": cookies})


class StreamlitClient:
    """A visitor's open WebSocket. Blocking; every wait ends after `visitor.timeout` seconds with TimeoutError."""

    def __init__(self, visitor: Visitor) -> None:
        self.visitor = visitor
        self.page = Page()
        sock = visitor.open_socket()
        try:
            self.socket = websockets.sync.client.connect(sock=sock, legacy=True, **visitor.handshake())
        except BaseException:
            sock.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def send(self, message: BackMsg | bytes | str) -> None:
        """One frame: a message, or raw bytes or text as they are."""
        self.socket.send(message.SerializeToString() if isinstance(message, BackMsg) else message)

    def receive(self, timeout: float | None = None) -> ForwardMsg:
        """The next message.

        Raises:
            ConnectionClosed: with the code and the reason, when the server closed.
        """
        data = self.socket.recv(timeout=self.visitor.timeout if timeout is None else timeout)
        return self.page.receive(data if isinstance(data, bytes) else data.encode())

    def wait_finished(self, runs: int = 1) -> Page:
        """The page after the next `runs` script runs have finished."""
        wanted = self.page.finished + runs
        deadline = time.monotonic() + self.visitor.timeout
        while self.page.finished < wanted:
            self.receive(timeout=max(deadline - time.monotonic(), 0.0))
        return self.page

    def rerun(
        self,
        page_name: str = "",
        page_script_hash: str = "",
        widget_states: Sequence[WidgetState] | None = None,
        query_string: str = "",
    ) -> Page:
        """Ask for a run and return the page after it. `widget_states` replaces what a browser would send.

        Without a page it is the current one, as in a browser.
        """
        states = list(self.page.widgets.values()) if widget_states is None else widget_states
        named = page_script_hash or ("" if page_name else self.page.page_script_hash or "")
        self.send(rerun(page_name=page_name, page_script_hash=named, widget_states=states, query_string=query_string))
        return self.wait_finished()

    def change(self, values: Mapping[str, object]) -> Page:
        """Set widgets by their labels (True clicks a button) and return the page after the run."""
        return self.rerun(widget_states=self.page.set(values))

    def send_change(self, values: Mapping[str, object]) -> None:
        """Set widgets as `change` does, and wait for nothing."""
        states = self.page.set(values)
        self.send(rerun(page_script_hash=self.page.page_script_hash or "", widget_states=states))

    def upload(self, label: str, name: str, content: bytes, media_type: str = "text/csv") -> Page:
        """Give a file to the uploader with this label, as a browser does: address, PUT, rerun.

        Raises:
            httpx.HTTPStatusError: the upload was refused.
        """
        urls = self.upload_urls([name])[0]
        self.put(urls, name, content, media_type).raise_for_status()
        return self.change({label: uploaded([(urls, name, len(content))])})

    def upload_urls(self, names: Sequence[str]) -> list[FileURLs]:
        """Addresses to upload files of these names to."""
        self.send(file_urls(self.page.session_id or "", names))
        while (message := self.receive()).WhichOneof("type") != "file_urls_response":
            pass
        return list(message.file_urls_response.file_urls)

    def put(self, urls: FileURLs, name: str, content: bytes, media_type: str = "text/csv") -> httpx.Response:
        """The answer to the upload itself."""
        token = self.visitor.cookies.get(XSRF_COOKIE, "")
        # The addresses stand below the base path, as the browser's client puts them.
        with self.visitor.http() as client:
            return client.put(
                self.visitor.url + urls.upload_url,
                files={name: (name, content, media_type)},
                headers={"X-Xsrftoken": token, "Origin": self.visitor.handshake()["origin"] or ""},
            )

    def download_later(self, label: str) -> str:
        """The address of a download that is made when it is asked for."""
        [button] = [each for each in self.page.kinds("download_button") if getattr(each, "label", "") == label]
        self.send(deferred_file(self.page.session_id or "", getattr(button, "deferred_file_id", "")))
        while (message := self.receive()).WhichOneof("type") != "backend_operation_response":
            pass
        return message.backend_operation_response.deferred_file.url

    def wait_closed(self, timeout: float | None = None) -> tuple[int, str]:
        """The close code and reason that the server sends; messages before it are taken."""
        deadline = time.monotonic() + (self.visitor.timeout if timeout is None else timeout)
        try:
            while True:
                self.receive(timeout=max(deadline - time.monotonic(), 0.0))
        except ConnectionClosed as closed:
            return (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (1006, "")


class AsyncStreamlitClient:
    """The same, for many clients in one event loop."""

    def __init__(self, visitor: Visitor, connection: websockets.asyncio.client.ClientConnection) -> None:
        self.visitor = visitor
        self.page = Page()
        self.socket = connection

    async def close(self) -> None:
        await self.socket.close()

    async def send(self, message: BackMsg | bytes | str) -> None:
        await self.socket.send(message.SerializeToString() if isinstance(message, BackMsg) else message)

    async def receive(self) -> ForwardMsg:
        data = await self.socket.recv()
        return self.page.receive(data if isinstance(data, bytes) else data.encode())

    async def rerun(self, page_name: str = "", page_script_hash: str = "") -> Page:
        """Ask for a run and return the page after it."""
        named = page_script_hash or ("" if page_name else self.page.page_script_hash or "")
        wanted = self.page.finished + 1
        states = list(self.page.widgets.values())
        async with asyncio.timeout(self.visitor.timeout):
            await self.send(rerun(page_name=page_name, page_script_hash=named, widget_states=states))
            while self.page.finished < wanted:
                await self.receive()
        return self.page


def connect(url: str, **options: Any) -> StreamlitClient:
    """An open client; the options are the fields of Visitor. No page is loaded first: see `visit`.

    Raises:
        websockets.exceptions.InvalidStatus: the handshake was refused; `.response.status_code` says how.
    """
    return StreamlitClient(Visitor(url.rstrip("/"), **options))


async def connect_async(visitor: Visitor) -> AsyncStreamlitClient:
    """An open asyncio client; refusals as `connect`."""
    sock = await asyncio.to_thread(visitor.open_socket)
    sock.setblocking(False)
    try:
        connection = await websockets.asyncio.client.connect(sock=sock, **visitor.handshake())
    except BaseException:
        sock.close()
        raise
    return AsyncStreamlitClient(visitor, connection)
