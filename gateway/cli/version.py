"""`gateway version`: what is installed, as it goes into a support request."""

import json
import platform
from importlib.metadata import version as version_of
from typing import Annotated

import typer

from gateway import __version__
from gateway.cli.terminal import console

PARTS = ("streamlit", "starlette", "uvicorn", "h11", "websockets", "cryptography")


def version(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print the version of the gateway and of what it is built on.

    Example: gateway version --json
    """
    # From the metadata: importing Streamlit to ask it would take a second.
    found = {"streamlit-gateway": __version__, "python": platform.python_version()}
    found |= {part: version_of(part) for part in PARTS}
    if as_json:
        typer.echo(json.dumps(found))
        return
    for name, number in found.items():
        console.print(f"{name} {number}")
