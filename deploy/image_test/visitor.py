"""A visitor with a chosen source address: loads the page and speaks with the tool over its WebSocket."""

import http.client
import socket
from dataclasses import dataclass, field

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol


@dataclass(frozen=True, slots=True)
class Page:
    """An answer to a GET. Names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: str
    cookie: str = ""  # what a browser would send back

    @property
    def request_id(self) -> str:
        return self.headers.get("x-request-id", "")


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody at `source` who types `http://{host}:{port}/`; the name stands for `address`."""

    source: str
    address: str
    host: str
    port: int = 8501
    headers: dict[str, str] = field(default_factory=dict)

    def get(self, path: str = "/") -> Page:
        connection = http.client.HTTPConnection(self.address, self.port, timeout=15, source_address=(self.source, 0))
        try:
            connection.request("GET", path, headers={"Host": self._authority, "Accept": "text/html", **self.headers})
            answer = connection.getresponse()
            headers = {name.lower(): value for name, value in answer.getheaders()}
            cookies = [value.partition(";")[0] for name, value in answer.getheaders() if name.lower() == "set-cookie"]
            return Page(answer.status, headers, answer.read().decode("utf-8", "replace"), "; ".join(cookies))
        finally:
            connection.close()

    def open(self, cookie: str = "", scheme: str = "http") -> ClientConnection:
        """The tool's WebSocket.

        Raises:
            InvalidStatus: the handshake was refused.
        """
        more = {**self.headers, **({"Cookie": cookie} if cookie else {})}
        tcp = socket.create_connection((self.address, self.port), timeout=15, source_address=(self.source, 0))
        return connect(
            f"ws://{self._authority}/_stcore/stream",
            sock=tcp,
            origin=Origin(f"{scheme}://{self._authority}"),
            subprotocols=[Subprotocol("streamlit")],
            additional_headers=more,
            open_timeout=15,
            compression=None,
        )

    def refusal(self) -> int:
        """The status with which the WebSocket is refused; 101 when it is not."""
        try:
            self.open().close()
        except InvalidStatus as refused:
            return refused.response.status_code
        return 101

    @property
    def _authority(self) -> str:
        return f"{self.host}:{self.port}"


def run_script(stream: ClientConnection) -> set[str]:
    """Asks the tool for its first page; the kinds of message that came until the script had ended."""
    stream.send(BackMsg(rerun_script=ClientState(query_string="")).SerializeToString())
    kinds: set[str] = set()
    while "script_finished" not in kinds:
        message = ForwardMsg.FromString(stream.recv(timeout=30))
        kinds.add(message.WhichOneof("type") or "")
    return kinds
