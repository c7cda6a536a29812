"""`gateway audit check-proof`: one event and its proof, checked with nothing else at hand."""

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from gateway.audit.verifier import UnusableError, check_proof, read_keys
from gateway.cli.terminal import EXIT_FINDING, EXIT_INVALID, console, print_error, printable


def check(
    event_file: Annotated[Path, typer.Argument(help="The line of the event, as it stands in the log.")],
    proof_file: Annotated[Path, typer.Argument(help="Its .tlog-proof.")],
    *,
    key: Annotated[
        list[str],
        typer.Option(help="A verifier key of the log, or a file of them. May be repeated.", metavar="VKEY|FILE"),
    ],
) -> None:
    """Check that a log has signed for an event. Needs no state directory and no network.

    Give the key as you were told it, not as it stands beside the proof. Exit codes: 0 proven, 1 not proven, 2 a file
    or a key cannot be used.

    For example:

    gateway audit check-proof event.json event.tlog-proof --key keys.txt
    """
    try:
        line, proof, keys = event_file.read_bytes(), proof_file.read_bytes(), read_keys(key)
    except UnusableError as error:
        print_error(
            str(error), "a verifier key has the form name+id+base64; gateway audit prove prints the one it needs"
        )
        raise typer.Exit(EXIT_INVALID) from None
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "not text in UTF-8"
        print_error(f"{getattr(error, 'filename', None) or 'a file'}: {(cause or str(error)).lower()}")
        raise typer.Exit(EXIT_INVALID) from None
    try:
        index, checkpoint = check_proof(line, proof.decode(), keys)
    except ValueError as error:
        print_error(f"{event_file}: not proven: {error}")
        raise typer.Exit(EXIT_FINDING) from None
    text = f"proven: event {index} of {checkpoint.origin}, in its first {checkpoint.size} events"
    console.print(Text(printable(text)), soft_wrap=True)
