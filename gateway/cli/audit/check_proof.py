"""`gateway audit check-proof`: one event and its proof, checked with nothing else at hand."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from gateway.audit.anchors.cosignature import WitnessKey
from gateway.audit.verifier import Checkpoint, UnusableError, check_proof, keys_at, read_chain, read_keys, size_of
from gateway.cli.terminal import EXIT_FINDING, EXIT_INVALID, console, print_error, printable


def check(
    event_file: Annotated[Path, typer.Argument(help="The line of the event, as it stands in the log.")],
    proof_file: Annotated[Path, typer.Argument(help="Its .tlog-proof.")],
    *,
    key: Annotated[
        list[str],
        typer.Option(help="A verifier key of the log, or a file of them. May be repeated.", metavar="VKEY|FILE"),
    ],
    witness: Annotated[
        list[str] | None,
        typer.Option(help="Verifier key of a witness that must have signed as well. May be repeated.", metavar="VKEY"),
    ] = None,
    chain: Annotated[
        Path | None,
        typer.Option(help="The .keys beside the proof: how the given key vouches for later ones.", metavar="FILE"),
    ] = None,
) -> None:
    """Check that a log has signed for an event. Needs no state directory and no network.

    Give the key as you were told it, not as it stands beside the proof. Exit codes: 0 proven, 1 not proven, 2 a file
    or a key cannot be used.

    For example:

    gateway audit check-proof event.json event.tlog-proof --chain log.keys --key first-key.txt
    """
    try:
        line, proof, keys = event_file.read_bytes(), proof_file.read_bytes(), read_keys(key)
        headers = chain.read_bytes() if chain else None
        witnesses = [WitnessKey.parse(each) for each in witness or ()]
    except (UnusableError, ValueError) as error:
        print_error(
            str(error), "a verifier key has the form name+id+base64; gateway audit prove prints the one it needs"
        )
        raise typer.Exit(EXIT_INVALID) from None
    except OSError as error:
        print_error(f"{error.filename}: {(error.strerror or str(error)).lower()}")
        raise typer.Exit(EXIT_INVALID) from None
    try:
        if headers is not None:
            keys = keys_at(read_chain(headers), keys, size_of(proof.decode()))
        index, checkpoint = check_proof(line, proof.decode(), keys)
        times = [(each.name, _signed_at(each, checkpoint)) for each in witnesses]
    except ValueError as error:
        print_error(f"{event_file}: not proven: {error}")
        raise typer.Exit(EXIT_FINDING) from None
    lines = [f"proven: event {index} of {checkpoint.origin}, in its first {checkpoint.size} events"]
    lines += [f"witnessed: by {name}, {datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%SZ}" for name, at in times]
    for each in lines:
        console.print(Text(printable(each)), soft_wrap=True)


def _signed_at(witness: WitnessKey, checkpoint: Checkpoint) -> int:
    """When a witness has signed the checkpoint, in seconds since 1970. Raises ValueError when it has not."""
    lines = "\n".join(f"\u2014 {name} {signature}" for name, signature in checkpoint.signatures)
    if (found := witness.time_of(checkpoint.text, lines)) is None:
        raise ValueError(f"the witness {witness.name} has not signed the checkpoint in it")
    return found[0]
