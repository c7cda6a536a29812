"""A witness's signature on our checkpoints: it signs only what continues everything that it has signed before.

Source: https://c2sp.org/tlog-witness. The witness knows our log by its anchor key.
"""

import re
import time
from base64 import b64encode
from collections.abc import Sequence
from typing import Final

import httpx

from gateway.audit.anchors.outcomes import Anchored, AnchorError, ConflictError
from gateway.audit.anchors.own_log import OwnLog, Shown
from gateway.audit.anchors.places import WitnessPlace
from gateway.audit.anchors.witnessed_notes import WitnessedNotes
from gateway.audit.notices import lifecycle
from gateway.audit.stamp import stamp

_AHEAD: Final = 300  # seconds that a witness's clock may be ahead of ours
_LIMIT: Final = 64 * 1024  # bytes of an answer
_CONFLICT: Final = 409


class WitnessAnchor:
    """One witness. Keeps a connection; used by one thread."""

    kind: Final = "witness"

    def __init__(self, place: WitnessPlace, log: OwnLog) -> None:
        self.place = f"{place.key.name} at {place.url}"
        self._witness = place
        self._log = log
        self.size = 0  # what we believe that the witness has; it corrects us when that is wrong
        self._notes = WitnessedNotes(log.directory / "witness")
        self._client = httpx.Client(
            trust_env=False,  # a proxy of the environment would see, and could delay, what it should not
            timeout=10.0,
            headers={"Content-Type": "text/plain; charset=utf-8"},
        )

    def offer(self, shown: Shown) -> Anchored:
        """Have the checkpoint signed, and keep it with the signature.

        Raises:
            ConflictError: the witness has signed something that our log does not continue.
            AnchorError: it does not answer, or refuses for another reason.
        """
        # A log that was put back would have no proof from there: then the witness is to tell what it has.
        self.size = self.size if self.size <= shown.checkpoint.size else 0
        status, text = self._ask(self.size, shown)
        if status == _CONFLICT:
            self.size = self._corrected(text, shown)
            status, text = self._ask(self.size, shown)
            if status == _CONFLICT:
                raise self._conflict(
                    "refuses a checkpoint of the size that it has itself, with another tree head", shown
                )
        if status == httpx.codes.UNPROCESSABLE_ENTITY:
            raise self._conflict(f"has a log of {self.size} events that ours does not continue", shown)
        if status != httpx.codes.OK:
            raise AnchorError(_REFUSALS.get(status, f"answered {status}"))
        return self._keep(shown, text)

    def _ask(self, old: int, shown: Shown) -> tuple[int, str]:
        proof = self._log.proof(old, shown)
        try:
            with self._client.stream(
                "POST", f"{self._witness.url}/add-checkpoint", content=request_body(old, proof, shown.note)
            ) as answer:
                data = bytearray()
                for piece in answer.iter_bytes():
                    data += piece
                    if len(data) > _LIMIT:
                        raise AnchorError("answered with more than signatures")
                return answer.status_code, data.decode("utf-8", "replace")
        except httpx.HTTPError as error:
            raise AnchorError(f"no answer: {type(error).__name__}") from None

    def _corrected(self, text: str, shown: Shown) -> int:
        """The size that the witness has, from its answer."""
        if not re.fullmatch(r"(0|[1-9][0-9]{0,18})\n", text):
            raise AnchorError("answered 409 without the size that it has")
        size = int(text)
        if size > shown.checkpoint.size:
            raise self._conflict(f"has signed a log of {size} events, and ours has {shown.checkpoint.size}", shown)
        if size == self.size:
            raise self._conflict("refuses a checkpoint of the size that it has itself, with another tree head", shown)
        return size

    def _keep(self, shown: Shown, text: str) -> Anchored:
        found = self._witness.key.time_of(shown.checkpoint.text, text)
        if found is None:
            raise AnchorError("answered without a signature of its key")
        signed_at, line = found
        if signed_at > time.time() + _AHEAD:
            raise AnchorError("its signature is dated in the future: compare the clocks")
        try:
            self._notes.add(shown.checkpoint.size, shown.note, line)
        except OSError as error:
            raise AnchorError(f"{error.filename}: {(error.strerror or str(error)).lower()}") from None
        self.size = shown.checkpoint.size
        facts = {"witness": self._witness.key.name, "size": self.size, "root": shown.root, "signed_at": signed_at}
        event = lifecycle("audit.witnessed", "a witness has signed a checkpoint", facts, stamp())
        return Anchored(self.size, shown.root, (event,))

    def _conflict(self, what: str, shown: Shown) -> ConflictError:
        return ConflictError(
            f"the witness {self._witness.key.name} {what}",
            witness=self._witness.key.name,
            size=shown.checkpoint.size,
            root=shown.root,
            witness_size=self.size,
        )

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def request_body(old: int, proof: Sequence[bytes], note: str) -> bytes:
    """What is posted to `add-checkpoint`."""
    hashes = "".join(f"{b64encode(each).decode()}\n" for each in proof)
    return f"old {old}\n{hashes}\n{note}".encode()


_REFUSALS: Final = {
    403: "answered 403: it knows the log, and not its anchor key: give it what `gateway audit witness key` prints",
    404: "answered 404: it does not know the log: give it what `gateway audit witness key` prints",
}
