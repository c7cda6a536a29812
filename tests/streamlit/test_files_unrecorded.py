"""When the record fails while a file is on its way: nothing comes in, and nothing leaves."""

import asyncio
from dataclasses import replace

import pytest

from gateway.audit import Ledger
from gateway.audit.recorder import Recorder
from gateway.middleware.exchange import SCOPE_KEY, Exchange
from gateway.middleware.refusals import Refusals
from gateway.model import Surface, Target
from gateway.streamlit.media import Media
from gateway.streamlit.ownership import Ownership
from gateway.streamlit.uploads import UploadGuard
from gateway.web.brand import Brand
from tests.audit.reading import codes
from tests.audit.samples import ALLOW, CONTEXT
from tests.policy.sources import SMALL, parse

SESSION = CONTEXT.session
BODY = b'--b\r\nContent-Disposition: form-data; name="f"; filename="a.csv"\r\n\r\na,b\r\n--b--\r\n'


@pytest.fixture
def ledger(tmp_path):
    with Ledger.open(tmp_path, origin="o") as opened:
        yield opened


@pytest.fixture
def refusals(ledger):
    return Refusals(Brand(), Recorder(ledger))


def scope_of(method, path, surface):
    context = replace(CONTEXT, method=method, path=path, surface=surface, page=None)
    exchange = Exchange("r1", context, parse(SMALL), Target(surface), decision=ALLOW, recorded=True)
    headers = [(b"content-type", b"multipart/form-data; boundary=b")]
    return {"type": "http", "method": method, "path": path, "headers": headers, SCOPE_KEY: exchange}


def call(app, scope, pieces=()):
    """The statuses that are sent when the body comes in these pieces; each may be a call, made at its turn."""
    sent, pending = [], list(pieces)

    async def receive():
        if not pending:
            return {"type": "http.disconnect"}
        body = pending.pop(0)
        return {"type": "http.request", "body": body() if callable(body) else body, "more_body": bool(pending)}

    async def send(message):
        if message["type"] == "http.response.start":
            sent.append(message["status"])

    asyncio.run(app(scope, receive, send))
    return sent


class Store:
    """An application that keeps what it is sent completely, and raises when its client leaves, as Streamlit does."""

    def __init__(self):
        self.stored = None

    async def __call__(self, scope, receive, send):
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message["body"]
            if not message["more_body"]:
                self.stored = body
                await send({"type": "http.response.start", "status": 204, "headers": []})
                await send({"type": "http.response.body", "body": b""})
                return
        raise ConnectionError("the client left")


def test_a_file_that_cannot_be_recorded_does_not_come_in(tmp_path, ledger, refusals):
    """The record fails between the first and the last byte of an upload: it is refused, and no room is taken."""
    ownership, store = Ownership(), Store()
    ownership.opened("s1", SESSION)
    ownership.takes_uploads("s1")
    ownership.offered("s1", "f1")
    guard = UploadGuard(store, ownership=ownership, refusals=refusals)
    scope = scope_of("PUT", "/_stcore/upload_file/s1/f1", Surface.UPLOAD)

    def fails():
        ledger.close()
        return BODY[40:]

    assert call(guard, scope, [BODY[:40], fails]) == [503]
    assert store.stored is None
    assert ownership.uploads("s1").count == 0
    assert "file.upload" not in codes(tmp_path)


def test_a_file_that_is_recorded_comes_in(tmp_path, ledger, refusals):
    """The same upload, while the record works, is stored and counted."""
    ownership, store = Ownership(), Store()
    ownership.opened("s1", SESSION)
    ownership.takes_uploads("s1")
    ownership.offered("s1", "f1")
    guard = UploadGuard(store, ownership=ownership, refusals=refusals)
    assert call(guard, scope_of("PUT", "/_stcore/upload_file/s1/f1", Surface.UPLOAD), [BODY[:40], BODY[40:]]) == [204]
    assert b"a,b" in store.stored
    assert (ownership.uploads("s1").count, ownership.uploads("s1").total) == (1, 3)
    assert "file.upload" in codes(tmp_path)


@pytest.mark.parametrize(("works", "statuses"), [(True, [200]), (False, [503])])
def test_a_download_that_cannot_be_recorded_does_not_leave(ledger, refusals, works, statuses):
    """No byte of a download leaves before its event is in the record."""

    async def download(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"secret"})

    ownership = Ownership()
    ownership.grant(SESSION, ["a.csv"])
    if not works:
        ledger.close()
    media = Media(download, ownership=ownership, refusals=refusals)
    assert call(media, scope_of("GET", "/media/a.csv", Surface.MEDIA)) == statuses
