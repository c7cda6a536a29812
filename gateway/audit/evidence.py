"""One event and its proof as two files, which convince somebody who has neither the log nor this program.

    01J….json          the line of the event, byte for byte as it stands in the log, without its newline
    01J….tlog-proof    its place in the log, the hashes, and the signed checkpoint

The checker hashes the first file as it is; one newline at its end is not counted, so a text editor does no harm.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from gateway.audit.contents import lines_backwards, opened
from gateway.audit.directory import SegmentFiles
from gateway.audit.log_tree import LogTree
from gateway.audit.proofs import newest_checkpoint, parsed, prove
from gateway.audit.reader import Line, parse


@dataclass(frozen=True, slots=True)
class Evidence:
    """An event, its proof, and by which key the log has signed it."""

    name: str
    origin: str
    sequence: int
    size: int
    vkey: str
    line: bytes
    proof: str


def find(segments: Iterable[SegmentFiles], wanted: str, tick: Callable[[], None] = lambda: None) -> Iterator[Line]:
    """The events with this uid, or of this request, newest first. `tick` is called after each segment.

    Raises:
        LedgerError: a sealed segment is damaged.
        OSError: a segment cannot be read.
    """
    needle = msgspec.json.encode(wanted)
    for segment in segments:
        with opened(segment) as found:
            for raw in lines_backwards(found) if found else ():
                # Only lines that hold the words are read as JSON: that is ten times as fast.
                if needle in raw and (line := parse(raw)) is not None and wanted in _names(line):
                    yield line
                    if line.event["metadata"].get("uid") == wanted:
                        return
        tick()


def prove_events(tree: LogTree, sequences: Iterable[int], at: int | None = None) -> list[Evidence]:
    """The events with these sequences, each with its proof: against the checkpoint of now, or the commit of size `at`.

    Raises:
        ContradictionError: the log's files do not agree with its checkpoint.
        ProofError: an event is pruned or not covered, there is no such commit, or no key of the log has signed it.
        OSError: the log cannot be read.
    """
    note = newest_checkpoint(tree.directory) if at is None else tree.checkpoint_at(at)
    vkey = tree.signed_by(parsed(note))
    found = []
    for sequence in sequences:
        proof, line = prove(tree, sequence, note), tree.line(sequence)
        event = parse(line)
        uid = str(event.event["metadata"].get("uid", "")) if event else ""
        name = uid if uid.isalnum() else f"{sequence:012d}"  # it becomes the name of a file
        found.append(Evidence(name, tree.origin, sequence, parsed(note).size, vkey, line, proof))
    return found


def write(evidence: Evidence, event_file: Path) -> Path:
    """Write both files, for the user alone; the path of the proof, which stands beside the event.

    Raises:
        OSError: they cannot be written.
    """
    proof_file = event_file.with_suffix(".tlog-proof")
    for path, data in ((event_file, evidence.line), (proof_file, evidence.proof.encode())):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
    return proof_file


def _names(line: Line) -> tuple[object, object]:
    metadata = line.event["metadata"]
    return metadata.get("uid"), metadata.get("correlation_uid")
