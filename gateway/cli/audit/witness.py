"""`gateway audit witness`: a witness of our own, and what another one must be told about our log."""

import os
import socket
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from gateway.cli.terminal import EXIT_INVALID, console, errors, fail, print_error, printable
from gateway.errors import GatewayError, LedgerError, StartupError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Sign the checkpoints of other logs, and show what a witness must know of ours.",
)


@app.command()
def serve(
    *,
    state: Annotated[
        Path, typer.Option(help="Directory of the witness: its key, and what it has signed.", metavar="DIR")
    ],
    log: Annotated[
        list[str],
        typer.Option(
            help="Anchor key of a log to be witnessed, or a file of such. May be repeated.", metavar="VKEY|FILE"
        ),
    ],
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 8909,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    name: Annotated[
        str | None, typer.Option(help="Name of the witness, as in its key. [the host's name]/witness", metavar="NAME")
    ] = None,
) -> None:
    """Serve a witness (https://c2sp.org/tlog-witness): it signs a checkpoint only when it continues the one before.

    Run it on another machine, under another administrator, or it proves little. It speaks plain HTTP: signatures need
    no secrecy, but put a proxy with TLS before it when it listens beyond its machine. Exit codes: 0 stopped, 2 a key
    cannot be used, 3 could not start.

    For example:

    gateway audit witness serve --state /var/lib/witness --log 'f00d…/w0+1a2b3c4d+AQ…'

    gateway audit witness serve --state /var/lib/witness --log keys-of-the-logs.txt --host 10.0.0.5 --port 8909
    """
    from gateway.audit.anchors.witness_server import Witness, application
    from gateway.audit.anchors.witness_state import WitnessState
    from gateway.audit.verifier import UnusableError, read_keys

    name = name or WitnessState.name_of(state) or f"{socket.gethostname()}/witness"
    if "+" in name or any(each.isspace() for each in name):
        print_error(f"--name: {name}: no spaces and no + in it", "write a name such as witness.example/w1")
        raise typer.Exit(EXIT_INVALID)
    try:
        keys = read_keys(log)
        opened = WitnessState.open(state, name)
    except UnusableError as error:
        print_error(str(error), "gateway audit witness key, on the machine of the log, prints it")
        raise typer.Exit(EXIT_INVALID) from None
    except GatewayError as error:
        fail(error)
    _serve(application(Witness(opened, keys)), host, port, opened.cosigner.public.vkey)


def _serve(application: object, host: str, port: int, vkey: str) -> None:
    import uvicorn

    from gateway.http1.listeners import bind

    try:
        sockets = bind(host, port)
    except StartupError as error:
        fail(error)
    errors.print(f"witness at http://{host}:{port}, key {vkey}", markup=False, highlight=False, soft_wrap=True)
    config = uvicorn.Config(
        application,  # type: ignore[arg-type]
        lifespan="off",
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_level="warning",
        ws="none",
        limit_concurrency=64,
        h11_max_incomplete_event_size=16 * 1024,
    )
    server = uvicorn.Server(config)
    # uvicorn keeps a signal and raises it again at its end: an orchestrator would read that as a crash.
    server.handle_exit = lambda *_: setattr(server, "should_exit", True)  # type: ignore[method-assign]
    server.run(sockets=sockets)


@app.command()
def key(
    *,
    log: Annotated[Path | None, typer.Option(help="Only the log in this directory.", metavar="DIR")] = None,
    state_dir: Annotated[
        Path | None, typer.Option(help="State directory; default: GATEWAY_STATE_DIR, else .gateway.", metavar="DIR")
    ] = None,
) -> None:
    """Print the anchor key of each log: what a witness must be given, once. It is made when there is none yet.

    Events are signed by other keys, a new one for each segment: do not use this one to check a proof.

    For example:

    gateway audit witness key
    """
    from gateway.audit.anchors.anchor_key import anchor_signer
    from gateway.audit.anchors.status import anchored_logs
    from gateway.audit.log_tree import origin_of

    state = state_dir or Path(os.environ.get("GATEWAY_STATE_DIR", ".gateway"))
    directories = [log] if log else anchored_logs(state)
    if not directories:
        print_error(f"{state}: no record there", "name the gateway's state directory with --state-dir")
        raise typer.Exit(EXIT_INVALID)
    for directory in directories:
        try:
            vkey = anchor_signer(directory, origin_of(directory)).vkey
        except LedgerError as error:
            fail(error, EXIT_INVALID)
        except (GatewayError, OSError) as error:
            print_error(str(error), "run it as the gateway's user")
            raise typer.Exit(EXIT_INVALID) from None
        console.print(Text(printable(vkey)), soft_wrap=True)
