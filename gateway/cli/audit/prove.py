"""`gateway audit prove`: one event and its proof as files, for somebody who is not to see the rest of the record."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from gateway.audit.command_log import WORKER, record
from gateway.audit.directory import known
from gateway.audit.evidence import Evidence, Written, find, newest_witnessed, prove_events, write
from gateway.audit.log_tree import ContradictionError, LogTree, ProofError
from gateway.audit.proofs import newest_checkpoint
from gateway.audit.reader import logs
from gateway.cli.terminal import EXIT_FINDING, EXIT_INVALID, console, fail, print_error, printable
from gateway.errors import LedgerError


def prove(
    event: Annotated[
        str, typer.Argument(help="The event's uid, its sequence, or a request id: then all events of the request.")
    ],
    *,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="Directory for the files; for one event also FILE.json.", metavar="PATH"),
    ] = Path(),
    at: Annotated[
        int | None,
        typer.Option(help="Prove it in the log of this size, which a commit must have.", metavar="SIZE", min=1),
    ] = None,
    witnessed: Annotated[
        bool, typer.Option("--witnessed", help="Prove it against the newest checkpoint that a witness has signed.")
    ] = False,
    log: Annotated[Path | None, typer.Option(help="Look only into the log in this directory.", metavar="DIR")] = None,
    state_dir: Annotated[
        Path | None, typer.Option(help="State directory; default: GATEWAY_STATE_DIR, else .gateway.", metavar="DIR")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    unrecorded: Annotated[
        bool, typer.Option("--unrecorded", help="Do not record that it is proven: for a copy of a record.")
    ] = False,
) -> None:
    """Write one event and the proof that it stands in the record: FILE.json, FILE.tlog-proof, and the log's FILE.keys.

    The proof is checked without the gateway and without the rest of the record, by the log's first key.

    Exit codes: 0 proven, 1 the files of the log contradict its checkpoint, 2 there is no such event or no proof of it.

    For example:

    gateway audit prove 01JD3N6Q8Z5W4V7T2R9K1M0XBC --output evidence

    gateway audit prove 4711 --output evidence/refusal.json

    gateway audit prove req-7f3a9c2e51d04b6a -o evidence --json
    """
    state = state_dir or Path(os.environ.get("GATEWAY_STATE_DIR", ".gateway"))
    directories = [log] if log else [each for each in logs(state) if ".damaged-" not in each.name]
    if not directories:
        _refuse(f"{state}: no record there", "name the gateway's state directory with --state-dir")
    if witnessed and at is not None:
        _refuse("--witnessed and --at: one checkpoint or the other", "leave one of them out")

    def checkpoint(tree: LogTree) -> str:
        if witnessed:
            return newest_witnessed(tree.directory)
        return newest_checkpoint(tree.directory) if at is None else tree.checkpoint_at(at)

    try:
        evidence = _evidence(directories, event, checkpoint)
        if not unrecorded:
            _record(log.resolve().parents[2] if log else state, evidence)
        files = [(each, _write(each, output, alone=len(evidence) == 1)) for each in evidence]
    except ContradictionError as error:
        print_error(str(error), error.hint)
        raise typer.Exit(EXIT_FINDING) from None
    except ProofError as error:
        _refuse(str(error), error.hint)
    except LedgerError as error:
        fail(error, EXIT_INVALID)
    except OSError as error:
        _refuse(f"{error.filename or 'the record'}: {(error.strerror or str(error)).lower()}")
    (_show_json if as_json else _show)(files)


Files = list[tuple[Evidence, Written]]


def _evidence(directories: list[Path], event: str, checkpoint: Callable[[LogTree], str]) -> list[Evidence]:
    if event.isascii() and event.isdigit():
        with LogTree(_only(directories)) as tree:
            return prove_events(tree, [int(event)], checkpoint(tree))
    found = []
    with _progress(sum(len(known(each)) for each in directories)) as tick:
        for directory in directories:
            lines = list(find(reversed(known(directory)), event, tick))
            if lines:
                with LogTree(directory) as tree:
                    found += prove_events(tree, sorted(line.place[2] for line in lines), checkpoint(tree))
    if not found:
        _refuse(f"{event}: no event with this uid, and none of a request with this id", "a sequence is a number")
    return found


def _only(directories: list[Path]) -> Path:
    """The one log that a sequence can mean: the gateway's own, before that of the commands."""
    candidates = [each for each in directories if each.name != WORKER] or directories
    if len(candidates) > 1:
        _refuse(
            "there are several logs, and each has an event with this sequence",
            "\n".join(f"name one: --log {each}" for each in candidates),
        )
    return candidates[0]


def _record(state: Path, evidence: list[Evidence]) -> None:
    """What leaves the record is recorded."""
    facts = {
        "format": "tlog-proof",
        "log": evidence[0].origin,
        "sequences": [each.sequence for each in evidence],
        "events": len(evidence),
    }
    record(state, "audit.export", facts)


def _write(evidence: Evidence, output: Path, *, alone: bool) -> Written:
    if output.suffix == ".json" and not output.is_dir():
        if not alone:
            _refuse(f"{output}: one file, and there are several events", "name a directory")
        event_file = output
    else:
        event_file = output / f"{evidence.name}.json"
    event_file.parent.mkdir(parents=True, exist_ok=True)
    return write(evidence, event_file)


def _show(files: Files) -> None:
    for evidence, written in files:
        _line(f"event {evidence.sequence} of {evidence.origin}, in its first {evidence.size} events")
        _line(f"  {written.event}\n  {written.proof}\n  {written.chain}")
    _line("\nto check it without the gateway (gateway audit verifier > verifier.py):")
    for evidence, written in files:
        _line(
            f"  python verifier.py proof {written.event} {written.proof} --chain {written.chain} "
            f"--key {evidence.first_vkey}"
        )
    _line("\nthe key is the log's first one: whoever checks must know it from elsewhere, not from here")


def _line(text: str) -> None:
    for each in text.split("\n"):
        console.print(Text(printable(each)), soft_wrap=True)


def _show_json(files: Files) -> None:
    found = [
        {
            "log": evidence.origin,
            "sequence": evidence.sequence,
            "size": evidence.size,
            "key": evidence.vkey,
            "first_key": evidence.first_vkey,
            "event": str(written.event),
            "proof": str(written.proof),
            "chain": str(written.chain),
        }
        for evidence, written in files
    ]
    typer.echo(json.dumps({"proven": found}))


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    terminal = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=terminal, transient=True, disable=not terminal.is_terminal) as progress:
        task = progress.add_task("looking through the segments", total=total)
        yield lambda: progress.advance(task)


def _refuse(message: str, hint: str | None = None) -> NoReturn:
    print_error(message, hint)
    raise typer.Exit(EXIT_INVALID)
