"""The body of an upload, read as it comes and written anew for Streamlit: one file, with a safe name.

Parsed with the parser that Streamlit's own framework uses. Nothing is kept but the first KiB, until it is known that
the file is of a kind that may come in; what follows passes through as it comes.
"""

import secrets
from collections.abc import Callable
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from gateway.model import Reason
from gateway.streamlit.filenames import safe_name
from gateway.streamlit.kinds import HEAD, contradiction, is_of_type

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

_ANY_TYPE: Final = "application/octet-stream"


class UploadRefusedError(Exception):
    """The file may not come in."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


class OneFile:
    """One upload on its way through. Feed it the body; it gives the body that Streamlit is to have.

    `types`: extensions that the policy admits, none for any. `folders`: whether relative paths may stay in the name.
    `grow` is told of every further byte of the file before it passes, and may refuse it.

    `name`, `media_type`, `size` and `sha256` are what is known so far; the last two are complete after `end`.
    """

    def __init__(
        self, content_type: bytes, *, types: tuple[str, ...], folders: bool, grow: Callable[[int], None]
    ) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if kind != b"multipart/form-data" or not 0 < len(boundary) <= 70:  # RFC 2046 §5.1.1
            raise UploadRefusedError(Reason.UPLOAD_MALFORMED)
        self.name = ""
        self.media_type = _ANY_TYPE
        self.size = 0
        self._types = types
        self._folders = folders
        self._grow = grow
        self._boundary = secrets.token_hex(16).encode()
        self._parser = MultipartParser(boundary, self._callbacks())
        self._header = bytearray(), bytearray()
        self._headers: dict[bytes, bytes] = {}
        self._parts = 0
        self._head: bytearray | None = bytearray()  # None once it has been judged
        self._out: list[bytes] = []
        self._hash = sha256()
        self._is_complete = False

    @property
    def content_type(self) -> bytes:
        """Of the body that comes out."""
        return b"multipart/form-data; boundary=" + self._boundary

    @property
    def sha256(self) -> str:
        """In hex, of the bytes so far."""
        return self._hash.hexdigest()

    def feed(self, data: bytes) -> bytes:
        """The next bytes for Streamlit, maybe none. Raises UploadRefusedError."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise UploadRefusedError(Reason.UPLOAD_MALFORMED) from error
        out = b"".join(self._out)
        self._out.clear()
        return out

    def end(self) -> bytes:
        """The last bytes, once all have been fed. Raises UploadRefusedError: that was not one whole file."""
        if not self._is_complete or not self._parts:
            raise UploadRefusedError(Reason.UPLOAD_MALFORMED)
        return b"\r\n--" + self._boundary + b"--\r\n"

    # --- what the parser tells ---

    def _callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._on_part_begin,
            "on_header_field": self._on_header_field,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_part_data": self._on_part_data,
            "on_part_end": self._on_part_end,
            "on_end": self._on_end,
        }

    def _on_part_begin(self) -> None:
        self._parts += 1
        if self._parts > 1:
            raise UploadRefusedError(Reason.UPLOAD_MALFORMED)

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header[0].extend(data[start:end])

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1].extend(data[start:end])

    def _on_header_end(self) -> None:
        name, value = self._header
        self._headers[bytes(name).lower()] = bytes(value)
        self._header = bytearray(), bytearray()

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        if b"filename" not in options:
            raise UploadRefusedError(Reason.UPLOAD_MALFORMED)
        self.name = safe_name(_text(options[b"filename"]), folders=self._folders)
        if _is_media_type(declared := _text(self._headers.get(b"content-type", b""))):
            self.media_type = declared
        if not is_of_type(self.name, self._types):
            raise UploadRefusedError(Reason.UPLOAD_TYPE_NOT_ALLOWED)
        self._out.append(
            b'--%b\r\nContent-Disposition: form-data; name="file"; filename="%b"\r\nContent-Type: %b\r\n\r\n'
            % (self._boundary, self.name.encode(), self.media_type.encode())
        )

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        piece = data[start:end]
        self._grow(len(piece))
        self.size += len(piece)
        self._hash.update(piece)
        if self._head is None:
            self._out.append(piece)
            return
        self._head += piece
        if len(self._head) >= HEAD:
            self._judge()

    def _on_part_end(self) -> None:
        self._judge()

    def _on_end(self) -> None:
        self._is_complete = True

    def _judge(self) -> None:
        if self._head is None:
            return
        head, self._head = bytes(self._head), None
        if self._types and contradiction(self.name, self.media_type, head[:HEAD]):
            raise UploadRefusedError(Reason.UPLOAD_TYPE_MISMATCH)
        self._out.append(head)


def _text(value: bytes) -> str:
    """What Streamlit's framework would make of it."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _is_media_type(value: str) -> bool:
    return len(value) <= 255 and value.isascii() and value.isprintable() and value.count("/") == 1
