"""A small witness: it signs the checkpoints of the logs that it knows, each only when it continues the one before.

Source: https://c2sp.org/tlog-witness. Besides `add-checkpoint`, the newest checkpoint of a log can be read, so that
other replicas can name it as a peer.
"""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from gateway.audit.anchors.witness_state import WitnessState
from gateway.audit.verifier import EMPTY_ROOT, Checkpoint, Key, base64, is_consistent, number

LIMIT: Final = 128 * 1024
"""Bytes of a request: 63 hashes, and a note with more signatures than anybody has."""

_MOST_HASHES: Final = 63


@dataclass(frozen=True, slots=True)
class Submission:
    """A request that could be read."""

    old: int
    proof: tuple[bytes, ...]
    note: str
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered: the body is plain text, or with `size` the size that the witness has."""

    status: int
    body: str
    size: bool = False


def parse_request(body: bytes) -> Submission:
    """The parts of a request to `add-checkpoint`.

    Raises:
        ValueError: it has not the form; the message says where.
    """
    head, separator, note = body.decode().partition("\n\n")
    first, *hashes = head.split("\n")
    if not separator or not first.startswith("old "):
        raise ValueError("expected a line `old <size>`, hashes, an empty line, and a checkpoint")
    if len(hashes) > _MOST_HASHES:
        raise ValueError(f"more than {_MOST_HASHES} hashes")
    proof = tuple(base64(each, 32) for each in hashes)
    return Submission(number(first.removeprefix("old ")), proof, note, Checkpoint.parse(note, "request"))


class Witness:
    """The judgement of a witness. May be called from any thread: one request at a time is judged and kept."""

    def __init__(self, state: WitnessState, keys: Iterable[Key], clock: Callable[[], float] = time.time) -> None:
        """`keys` are those of the logs that we know: their names are the logs' origins."""
        self._state = state
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: dict[str, list[Key]] = {}
        for key in keys:
            self._keys.setdefault(key.name, []).append(key)

    def add_checkpoint(self, body: bytes) -> Answer:
        """Judge one request, in the words of the specification: 200, 400, 403, 404, 409 or 422.

        Raises:
            OSError: the checkpoint could not be kept, and was not signed.
        """
        try:
            request = parse_request(body)
        except ValueError as error:
            return Answer(400, f"{error}\n")
        if (keys := self._keys.get(request.checkpoint.origin)) is None:
            return Answer(404, "the log is not known here\n")
        if not any(_is_signed(request.checkpoint, each) for each in keys):
            return Answer(403, "not signed by a key that is known here\n")
        if request.old > request.checkpoint.size:
            return Answer(400, "the old size is greater than that of the checkpoint\n")
        with self._lock:
            return self._judge(request)

    def _judge(self, request: Submission) -> Answer:
        signed, state = request.checkpoint, self._state
        before = state.latest(signed.origin)
        size, root = (before.size, before.root) if before else (0, EMPTY_ROOT)
        if request.old != size:
            return Answer(409, f"{size}\n", size=True)
        if size == signed.size and root != signed.root:
            state.keep_refused(request.note)
            return Answer(409, f"{size}\n", size=True)
        if not is_consistent(size, root, signed.size, signed.root, request.proof):
            state.keep_refused(request.note)
            return Answer(422, "the proof does not show that the checkpoint continues the one that was signed last\n")
        line = state.cosigner.line(signed.text, int(self._clock()))
        state.keep(signed, request.note + line)
        return Answer(200, line)

    def newest(self, origin_digest: str) -> str | None:
        """The newest checkpoint of the log whose origin has this SHA-256."""
        with self._lock:
            return self._state.note(origin_digest)


def _is_signed(checkpoint: Checkpoint, key: Key) -> bool:
    try:
        return checkpoint.is_signed_by(key)
    except ValueError:
        return False  # a signature that is no base64


def application(witness: Witness) -> Starlette:
    """The witness over HTTP: POST /add-checkpoint, GET /checkpoints/<SHA-256 of the origin>."""

    async def add_checkpoint(request: Request) -> Response:
        body = bytearray()
        try:
            async for piece in request.stream():
                body += piece
                if len(body) > LIMIT:
                    return PlainTextResponse("the request is too long\n", 413)
        except ClientDisconnect:
            return Response(status_code=400)
        answer = await run_in_threadpool(witness.add_checkpoint, bytes(body))
        kind = "text/x.tlog.size" if answer.size else "text/plain; charset=utf-8"
        return Response(answer.body, answer.status, headers={"Content-Type": kind})

    async def newest(request: Request) -> Response:
        note = await run_in_threadpool(witness.newest, request.path_params["digest"])
        return PlainTextResponse(note) if note else PlainTextResponse("the log is not known here\n", 404)

    return Starlette(
        routes=[
            Route("/add-checkpoint", add_checkpoint, methods=["POST"]),
            Route("/checkpoints/{digest}", newest, methods=["GET"]),
        ]
    )
