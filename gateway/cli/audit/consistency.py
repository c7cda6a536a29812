"""`gateway audit consistency`: whether the log still begins with what a checkpoint was once signed for."""

import os
from base64 import b64encode
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.text import Text

from gateway.audit.log_tree import ContradictionError, LogTree, ProofError, origin_of
from gateway.audit.proofs import newest_checkpoint, parsed, prove_continued
from gateway.audit.reader import logs
from gateway.audit.verifier import Checkpoint, read_checkpoints
from gateway.cli.terminal import EXIT_FINDING, EXIT_INVALID, console, fail, print_error, printable
from gateway.errors import LedgerError


def consistency(
    old: Annotated[Path, typer.Argument(help="A checkpoint that was kept; of several in the file, the newest.")],
    new: Annotated[
        Path | None, typer.Argument(help="A newer checkpoint of the same log. Default: the log's own of now.")
    ] = None,
    *,
    log: Annotated[Path | None, typer.Option(help="The log in this directory.", metavar="DIR")] = None,
    state_dir: Annotated[
        Path | None, typer.Option(help="State directory; default: GATEWAY_STATE_DIR, else .gateway.", metavar="DIR")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the proof, one hash a line.", metavar="FILE")
    ] = None,
) -> None:
    """Prove that the log continues an older checkpoint: that nothing before it was changed, removed or put back.

    The log is found by the origin in the checkpoint. Exit codes: 0 it does, 1 it does not, 2 it cannot be told.

    For example:

    gateway audit consistency /mnt/anchors/checkpoint-of-may.txt

    gateway audit consistency old.txt new.txt --output proof.txt
    """
    try:
        before = _newest(old)
        with LogTree(log or _log_of(state_dir, before.origin)) as tree:
            after = _newest(new) if new else parsed(newest_checkpoint(tree.directory))
            path = _prove(tree, before, after)
    except ContradictionError as error:
        print_error(str(error), error.hint)
        raise typer.Exit(EXIT_FINDING) from None
    except ProofError as error:
        _refuse(str(error), error.hint)
    except LedgerError as error:
        fail(error, EXIT_INVALID)
    except OSError as error:
        _refuse(f"{error.filename or 'the log'}: {(error.strerror or str(error)).lower()}")
    if output is not None:
        output.write_text("".join(f"{b64encode(each).decode()}\n" for each in path))
    text = f"proven: {before.origin} with {after.size} events begins with the {before.size} of {old}"
    console.print(Text(printable(text)), soft_wrap=True)


def _prove(tree: LogTree, before: Checkpoint, after: Checkpoint) -> list[bytes]:
    for each in (before, after):
        if each.origin != tree.origin:
            raise ProofError(f"{each.source}: a checkpoint of {each.origin}, and the log is {tree.origin}")
    path = prove_continued(tree, before, after)
    for each in (before, after):
        tree.signed_by(each)
    return path


def _newest(path: Path) -> Checkpoint:
    try:
        found = read_checkpoints(path)
    except ValueError as error:
        raise ProofError(f"{path}: {error}") from None
    if not found:
        raise ProofError(f"{path}: no checkpoint in it")
    return max(found, key=lambda each: each.size)


def _log_of(state_dir: Path | None, origin: str) -> Path:
    state = state_dir or Path(os.environ.get("GATEWAY_STATE_DIR", ".gateway"))
    for directory in logs(state):
        if ".damaged-" not in directory.name and origin_of(directory) == origin:
            return directory
    raise ProofError(f"{state}: no log there is {origin}", "name its state directory, or the log itself with --log")


def _refuse(message: str, hint: str | None = None) -> NoReturn:
    print_error(message, hint)
    raise typer.Exit(EXIT_INVALID)
