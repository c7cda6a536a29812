"""The forms of each file in memory, made when they are asked for: as they are, or compressed.

The event loop never waits for a file: what is not in memory is read, and if need be compressed, by one thread, one
after the other, so that no flood of requests can occupy more than that thread.
"""

import asyncio
import base64
import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import structlog

from gateway.streamlit.assets_cache import Pack
from gateway.streamlit.assets_files import AssetFile, compress_quickly, unpacks_to
from gateway.web.representations import IDENTITY

log = structlog.get_logger("gateway.assets")

MEMORY: Final = 32 * 1024**2  # bytes of all forms together: everything compressed once, and the bigger part of the rest


@dataclass(frozen=True, slots=True)
class Form:
    """One form of a file: its coding (`identity` for the file itself), its bytes, and its entity tag (strong)."""

    coding: str
    body: bytes
    etag: str


_Key = tuple[str, str]


class AssetStore:
    """Forms by path and coding. All methods are for the event loop; `use` swaps in a pack."""

    def __init__(self, files: Mapping[str, AssetFile], memory: int = MEMORY) -> None:
        self.files = files
        self._limit = memory
        self._size = 0
        self._forms: OrderedDict[_Key, Form] = OrderedDict()
        self._coming: dict[_Key, asyncio.Future[Form]] = {}
        self.pack: Pack | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="assets")

    def ready(self, path: str, coding: str) -> Form | None:
        """A form that is in memory."""
        form = self._forms.get((path, coding))
        if form is not None:
            self._forms.move_to_end((path, coding))
        return form

    async def form(self, path: str, coding: str) -> Form:
        """A form of a file that exists. Where compression does not make it smaller, the file itself.

        Raises:
            OSError: the file can no longer be read.
        """
        if (form := self.ready(path, coding)) is not None:
            return form
        coming = self._coming.get((path, coding))
        if coming is None:
            loop = asyncio.get_running_loop()
            coming = loop.run_in_executor(self._thread, _make, self.files[path], coding, self.pack)
            self._coming[path, coding] = coming
            coming.add_done_callback(lambda made: self._keep((path, coding), made))
        # Shielded: who asked first may leave, and others wait for the same.
        return await asyncio.shield(coming)

    def use(self, pack: Pack) -> None:
        """Take compressed forms from this pack from now on; those in memory are made anew."""
        self.pack = pack
        for key in [key for key in self._forms if key[1] != IDENTITY]:
            self._size -= len(self._forms.pop(key).body)
        self._coming.clear()  # what is on its way still comes to those who wait, and is not kept

    def close(self) -> None:
        """Stop the thread. What was asked for and not begun is given up."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _keep(self, key: _Key, made: "asyncio.Future[Form]") -> None:
        if self._coming.get(key) is not made:
            return
        del self._coming[key]
        if made.cancelled() or made.exception() is not None:
            return
        self._forms[key] = made.result()
        self._size += len(made.result().body)
        while self._size > self._limit:
            self._size -= len(self._forms.popitem(last=False)[1].body)


def _make(file: AssetFile, coding: str, pack: Pack | None) -> Form:
    """In the thread: read, and compress or take from the pack what proves to be the same."""
    body = file.file.read_bytes()
    if coding == IDENTITY or not file.compressible:
        return Form(IDENTITY, body, tag_of(body))
    compressed = _from_pack(file, coding, body, pack) or compress_quickly(coding, body)
    return (
        Form(coding, compressed, tag_of(compressed))
        if len(compressed) < len(body)
        else Form(IDENTITY, body, tag_of(body))
    )


def _from_pack(file: AssetFile, coding: str, body: bytes, pack: Pack | None) -> bytes | None:
    try:
        compressed = None if pack is None else pack.read(file.path, coding)
    except OSError:
        compressed = b""
    if compressed is None or unpacks_to(coding, compressed, body):
        return compressed
    log.warning("assets.pack-damaged", path=file.path, coding=coding)
    return None


def tag_of(body: bytes) -> str:
    """A strong entity tag (RFC 9110 §8.8.1): the same bytes have the same one on every replica, others another."""
    return f'"{base64.urlsafe_b64encode(hashlib.sha256(body).digest()[:18]).decode()}"'
