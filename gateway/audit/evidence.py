"""One event and its proof as files, which convince somebody who has neither the log nor this program.

    01J….json          the line of the event, byte for byte as it stands in the log, without its newline
    01J….tlog-proof    its place in the log, the hashes, and the signed checkpoint
    <log>.keys         the headers of the log's segments: how its first key vouches for the one that signed

Whoever checks it knows the log's first key; the last file leads from that to the key that signed, however many segments
lie between them. The checker hashes the first file as it is; one newline at its end is not counted, so a text editor
does no harm.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from gateway.audit.contents import lines_backwards, opened
from gateway.audit.directory import SegmentFiles, known
from gateway.audit.log_tree import LogTree, ProofError
from gateway.audit.proofs import parsed, prove
from gateway.audit.reader import Line, parse
from gateway.audit.sealing.seal import header_line
from gateway.audit.statements import read_header


@dataclass(frozen=True, slots=True)
class Evidence:
    """An event, its proof, by which key the log has signed it, and the log's headers from its first key to that one."""

    name: str
    origin: str
    sequence: int
    size: int
    vkey: str
    line: bytes
    proof: str
    chain: tuple[bytes, ...]

    @property
    def first_vkey(self) -> str:
        """The key by which the log is known."""
        return read_header(Path(self.origin), self.chain[0] + b"\n").vkey


@dataclass(frozen=True, slots=True)
class Written:
    """Where an event, its proof and the chain of its keys are."""

    event: Path
    proof: Path
    chain: Path


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


def newest_witnessed(directory: Path) -> str:
    """The newest checkpoint of a log that a witness has signed, with all signatures on it.

    Raises:
        ProofError: there is none.
        OSError: it cannot be read.
    """
    found = max((directory / "witness").glob("*.note"), default=None)
    if found is None:
        hint = "GATEWAY_AUDIT__WITNESSES names witnesses, and gateway audit anchors shows whether they answer"
        raise ProofError(f"{directory}: no witness has signed a checkpoint of it", hint)
    return found.read_text()


def prove_events(tree: LogTree, sequences: Iterable[int], note: str) -> list[Evidence]:
    """The events with these sequences, each with its proof against this checkpoint.

    Raises:
        ContradictionError: the log's files do not agree with its checkpoint.
        ProofError: an event is pruned or not covered, or what is given is no checkpoint.
        OSError: the log cannot be read.
    """
    vkey, size = tree.signed_by(parsed(note)), parsed(note).size
    chain = tuple(header_line(each) for each in known(tree.directory) if each.start <= size)
    found = []
    for sequence in sequences:
        proof, line = prove(tree, sequence, note), tree.line(sequence)
        event = parse(line)
        uid = str(event.event["metadata"].get("uid", "")) if event else ""
        name = uid if uid.isalnum() else f"{sequence:012d}"  # it becomes the name of a file
        found.append(Evidence(name, tree.origin, sequence, size, vkey, line, proof, chain))
    return found


def write(evidence: Evidence, event_file: Path) -> Written:
    """Write the files, for the user alone, beside each other.

    Raises:
        OSError: they cannot be written.
    """
    chain = event_file.with_name(f"{evidence.origin.replace('/', '_')}.keys")
    files = Written(event_file, event_file.with_suffix(".tlog-proof"), chain)
    for path, data in (
        (files.event, evidence.line),
        (files.proof, evidence.proof.encode()),
        (files.chain, b"\n".join([*evidence.chain, b""])),
    ):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
    return files


def _names(line: Line) -> tuple[object, object]:
    metadata = line.event["metadata"]
    return metadata.get("uid"), metadata.get("correlation_uid")
