"""`gateway health`: a probe for containers and service managers that needs neither curl nor a shell."""

import http.client
import os
from typing import Annotated

import typer

from gateway.cli.terminal import EXIT_FINDING, EXIT_INVALID, console, errors, fail, print_error, printable
from gateway.errors import SettingsError
from gateway.settings import Settings

TIMEOUT = 3.0  # seconds: below the usual 5 s of a container's health check
SHOWN = 200  # characters of the answer that are printed


def health(
    host: Annotated[
        str | None, typer.Option(help="Address of the operations listener; default: GATEWAY_OPS__HOST.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Port of the operations listener; default: GATEWAY_OPS__PORT.")
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Ask whether the process lives (/healthz), not whether it is ready.")
    ] = False,
) -> None:
    """Ask the running gateway whether it is ready: exit code 0 when it is, 1 when it is not or does not answer.

    Asks /readyz of the operations listener on loopback, and waits 3 seconds at most.

    For example:

    gateway health --port 9901

    GATEWAY_OPS__PORT=9901 gateway health --live
    """
    try:
        ops = Settings.load(os.environ, ops__host=host, ops__port=port).ops
    except SettingsError as error:
        fail(error, EXIT_INVALID)
    if ops.port is None:
        print_error("GATEWAY_OPS__PORT: not set", "set it as the gateway's own is set, or pass --port")
        raise typer.Exit(EXIT_INVALID)
    _report("live" if live else "ready", ops.host, ops.port, "/healthz" if live else "/readyz")


def _report(state: str, host: str, port: int, path: str) -> None:
    try:
        status, body = ask(host, port, path)
    except (OSError, http.client.HTTPException) as error:
        cause = "no answer in time" if isinstance(error, TimeoutError) else _cause(error)
        errors.print(printable(f"not {state}: {host} port {port}: {cause}"), markup=False, soft_wrap=True)
        raise typer.Exit(EXIT_FINDING) from None
    if status != http.client.OK:
        errors.print(printable(f"not {state}: {path} answered {status}: {body}"), markup=False, soft_wrap=True)
        raise typer.Exit(EXIT_FINDING)
    console.print(state)


def _cause(error: OSError | http.client.HTTPException) -> str:
    named = error.strerror if isinstance(error, OSError) else None
    return (named or type(error).__name__).lower()


def ask(host: str, port: int, path: str) -> tuple[int, str]:
    """The status and the beginning of the body of one GET over plain HTTP.

    Raises:
        OSError, http.client.HTTPException: nobody answers, or not in HTTP.
    """
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT)
    try:
        connection.request("GET", path, headers={"Connection": "close", "User-Agent": "gateway-health"})
        response = connection.getresponse()
        return response.status, response.read(SHOWN).decode(errors="replace").strip()
    finally:
        connection.close()
