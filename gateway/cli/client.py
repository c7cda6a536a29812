"""`gateway client explain`: how a client's address is found, step by step, with the code that serves traffic."""

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.text import Text

from gateway.cli.terminal import EXIT_FINDING, EXIT_INVALID, console, print_error, printable
from gateway.identity.client import FoundClient, ProxyTrust, find_client
from gateway.model import Policy, Proxies

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def client() -> None:
    """Show how a client's address is found."""
    # A Typer with one command would take its place; the callback keeps `explain` a word of its own.


@app.command(no_args_is_help=True)
def explain(
    *,
    peer: Annotated[str, typer.Option(help="Address that opened the connection.", metavar="ADDRESS")],
    header: Annotated[
        list[str] | None,
        typer.Option(help="A header of the request, as 'Name: value'. May be repeated.", metavar="LINE"),
    ] = None,
    trusted: Annotated[list[str] | None, typer.Option(help="Trusted proxies. May be repeated.", metavar="CIDR")] = None,
    client_address: Annotated[
        str | None,
        typer.Option(
            help="The header that names the client; without it x-forwarded-for with --trusted, else none.",
            metavar="NAME",
        ),
    ] = None,
    hops: Annotated[int | None, typer.Option(help="Number of proxies in front.", min=1)] = None,
    policies: Annotated[
        Path | None, typer.Option(help="Take proxies and networks from the active policy in DIR.", metavar="DIR")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show, step by step, which address is taken for the client's.

    Exit codes: 0 found, 1 refused, 2 usage or configuration invalid.

    For example:

    gateway client explain --peer 10.1.0.5 --trusted 10.1.0.0/16 --header 'X-Forwarded-For: 192.0.2.7, 10.1.0.9'

    gateway client explain --peer 192.0.2.7 --policies policies
    """
    if policies and (trusted or client_address or hops):
        _refuse("--trusted, --client-address and --hops come from the policy", "leave out those, or --policies")
    policy = _active(policies) if policies else None
    given = Proxies(tuple(trusted or ()), client_address or ("x-forwarded-for" if trusted else "none"), hops)
    headers = [_parse_header(line) for line in header or ()]
    found = find_client(_compile(policy.proxies if policy else given), peer, headers)
    networks = _networks(policy, found, datetime.now(UTC).date())
    if as_json:
        typer.echo(json.dumps(_as_json(found, networks, policy)))
    else:
        _print(found, networks)
    raise typer.Exit(EXIT_FINDING if found.client.problem else 0)


def _active(directory: Path) -> Policy:
    """The active policy; a directory that does not hold one ends the command with every problem and exit code 2."""
    from gateway.revisions import Revisions

    return Revisions(directory).active


def _compile(proxies: Proxies) -> ProxyTrust:
    try:
        return ProxyTrust.of(proxies)
    except ValueError as error:
        _refuse(str(error))


def _parse_header(line: str) -> tuple[bytes, bytes]:
    name, colon, value = line.partition(":")
    if not colon or not name.strip() or not line.isascii():
        _refuse(f"{line!r} is not a header", "write it as in the request: 'X-Forwarded-For: 192.0.2.7'")
    return name.strip().lower().encode("ascii"), value.strip().encode("ascii")


def _refuse(message: str, hint: str | None = None) -> NoReturn:
    print_error(message, hint)
    raise typer.Exit(EXIT_INVALID)


def _networks(policy: Policy | None, found: FoundClient, today: date) -> list[str] | None:
    """The policy's networks that hold the client today, in order; None without a policy."""
    if policy is None:
        return None
    return [] if found.client.address is None else sorted(policy.membership.names(found.client.address, today))


def _as_json(found: FoundClient, networks: list[str] | None, policy: Policy | None) -> dict[str, object]:
    return {
        "client": found.client.address,
        "provenance": found.client.provenance,
        "reason": found.client.problem,
        "flags": found.client.flags,
        "forwarded": found.forwarded,
        "steps": found.steps,
        "policy": policy and {"revision": policy.ref.revision, "digest": policy.ref.digest},
        "networks": networks,
    }


def _print(found: FoundClient, networks: list[str] | None) -> None:
    for number, step in enumerate(found.steps, start=1):
        _line(f"{number}. {step}")
    _line("client: ", (found.client.address, "bold green") if found.client.address else ("refused", "bold red"))
    if found.client.problem:
        _line(f"reason: {found.client.problem}")
    if found.client.flags:
        _line(f"flags: {', '.join(found.client.flags)}")
    if networks is not None:
        _line(f"networks: {', '.join(networks) or 'none'}")


def _line(*parts: str | tuple[str, str]) -> None:
    """One line, whatever its length; text is never markup, and never an escape sequence."""
    safe = (printable(part) if isinstance(part, str) else (printable(part[0]), part[1]) for part in parts)
    console.print(Text.assemble(*safe), soft_wrap=True)
