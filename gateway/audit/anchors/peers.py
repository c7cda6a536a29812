"""What other replicas' logs were when we looked: written into ours, as theirs hold ours.

A peer's checkpoint is taken from its log's directory, from a directory in which it anchors, or from an address that
answers with one. Each time it has grown, `audit.anchor` tells of it; the record of either replica is then evidence
about the other's, and both would have to be changed together.
"""

from base64 import b64encode
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, Literal

import httpx

from gateway.audit.anchors.directory import SUFFIX, last_in, last_note
from gateway.audit.anchors.outcomes import Anchored, AnchorError, ConflictError
from gateway.audit.anchors.places import PeerPlace
from gateway.audit.anchors.status import Seen
from gateway.audit.directory import known
from gateway.audit.event import Event
from gateway.audit.log_tree import vkeys
from gateway.audit.notices import lifecycle
from gateway.audit.stamp import stamp
from gateway.audit.verifier import Checkpoint, Key
from gateway.errors import GatewayError

Kind = Literal["peer", "commands"]
"""`commands`: the log of this instance's own commands, which need not be there."""

_LOGS: Final = (".", "*", "*/*")  # a log, an instance, the `audit` of a state directory
_ANCHORED: Final = (".", "*")  # what one log has anchored, what all have
_LIMIT: Final = 256 * 1024  # bytes of an answer


class Peer:
    """One place with checkpoints of other logs. Of a replica it is a failure when there is none."""

    def __init__(self, place: PeerPlace, ours: str, seen: dict[str, Seen], kind: Kind = "peer") -> None:
        """`ours` is the origin of our own log, which is passed over. `seen`, by origin, is kept up to date here."""
        self.kind = kind
        self.place = str(place)
        self._from = place
        self._ours = ours
        self._seen = seen

    def look(self) -> Anchored | None:
        """Look, and say what is to be recorded of it. A peer comes and takes ours by itself.

        Raises:
            AnchorError: there is nothing, or it cannot be read, or its key has not signed it.
        """
        try:
            found = self._newest()
        except (OSError, GatewayError) as error:
            raise AnchorError(_cause(error, self.place)) from None
        if not found:
            if self.kind == "commands":
                return None
            which = "that its key has signed " if self._from.key else ""
            raise AnchorError(f"there is no checkpoint of another log {which}there")
        events, conflicts = [], []
        for each, vkey in found.values():
            before, root = self._seen.get(each.origin), b64encode(each.root).decode()
            if before and (each.size < before.size or (each.size == before.size and root != before.root)):
                conflicts.append(_conflict(each, before))
            elif before is None or each.size > before.size:
                self._seen[each.origin] = Seen(each.size, root)
                events.append(_event(each, vkey))
        greatest = max((each for each, _ in found.values()), key=lambda each: each.size)
        return Anchored(greatest.size, b64encode(greatest.root).decode(), tuple(events), tuple(conflicts))

    def _newest(self) -> Mapping[str, tuple[Checkpoint, str | None]]:
        """The newest checkpoint of each other log, by origin, with the key that has signed it, if we know one."""
        found: dict[str, tuple[Checkpoint, str | None]] = {}
        for each, vkey in self._read():
            pinned = self._from.key
            if each.origin == self._ours or (pinned and not each.is_signed_by(pinned)):
                continue
            if each.origin not in found or each.size > found[each.origin][0].size:
                found[each.origin] = each, pinned.vkey if pinned else vkey
        return found

    def _read(self) -> Iterator[tuple[Checkpoint, str | None]]:
        place = self._from.place
        if isinstance(place, str):
            if (note := last_in(_fetch(place), place)) is None:
                raise AnchorError("what is there is no checkpoint")
            yield note, None
            return
        for pattern in _LOGS:
            for path in sorted(place.glob(f"{pattern}/checkpoint")):
                if (note := last_note(path)) is not None and note.origin != self._ours:
                    yield note, _signer(path.parent, note)
        for pattern in _ANCHORED:
            for directory in {path.parent for path in place.glob(f"{pattern}/*{SUFFIX}")}:
                # The newest file, not the greatest size: a log that was put back is to be seen.
                if (note := last_note(max(directory.glob(f"*{SUFFIX}")))) is not None:
                    yield note, None


def _signer(directory: Path, note: Checkpoint) -> str | None:
    """The key of the log's own header that has signed its checkpoint; None for a checkpoint without a log beside it."""
    if not known(directory):
        return None
    for vkey in vkeys(directory, 2):  # when the log has just begun a segment, its checkpoint is of the one before
        if note.is_signed_by(Key.parse(vkey)):
            return vkey
    raise AnchorError(f"{directory}: the checkpoint is not signed by the log's key")


def _fetch(url: str) -> str:
    try:
        with (
            httpx.Client(trust_env=False, timeout=10.0) as client,
            client.stream("GET", url, headers={"Accept": "text/plain"}) as answer,
        ):
            if answer.status_code != httpx.codes.OK:
                raise AnchorError(f"answered {answer.status_code}")
            data = bytearray()
            for piece in answer.iter_bytes():
                data += piece
                if len(data) > _LIMIT:
                    raise AnchorError("answered with more than a checkpoint")
            return data.decode("utf-8", "replace")
    except httpx.HTTPError as error:
        raise AnchorError(f"no answer: {type(error).__name__}") from None


def _event(found: Checkpoint, vkey: str | None) -> Event:
    facts = {
        "origin": found.origin,
        "size": found.size,
        "root": b64encode(found.root).decode(),
        "vkey": vkey,
        "note": _lines(found),
    }
    return lifecycle("audit.anchor", "what another log was", facts, stamp())


def _lines(found: Checkpoint) -> list[str]:
    """The note, line by line: an event holds no text of several lines."""
    signatures = [f"\u2014 {name} {signature}" for name, signature in found.signatures]
    return [*found.text.decode().rstrip("\n").split("\n"), "", *signatures]


def _conflict(found: Checkpoint, before: Seen) -> ConflictError:
    root = b64encode(found.root).decode()
    what = f"the tree head was {before.root} and is {root}" if found.size == before.size else f"has now {found.size}"
    return ConflictError(
        f"{found.origin} had {before.size} events, and {what}",
        origin=found.origin,
        size=found.size,
        root=root,
        seen_size=before.size,
        seen_root=before.root,
        note=_lines(found),
    )


def _cause(error: Exception, place: str) -> str:
    if isinstance(error, OSError):
        return f"{error.filename or place}: {(error.strerror or str(error)).lower()}"
    return str(error)
