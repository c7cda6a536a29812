"""`gateway serve`: one Streamlit script, or one `Gateway` object, behind the whole stack."""

import importlib
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from gateway.app import Gateway
from gateway.audit.log import configure_logging
from gateway.cli.terminal import EXIT_INVALID, EXIT_STARTUP, errors, fail, print_error
from gateway.errors import GatewayError
from gateway.resources import Resources
from gateway.server import ServerOptions
from gateway.server import serve as run_server
from gateway.settings import Settings
from gateway.web.endpoints import Operations


def serve(
    target: Annotated[
        str | None,
        typer.Argument(
            help="A Streamlit script, or module:attribute of a Gateway. Default: GATEWAY_SCRIPT.", show_default=False
        ),
    ] = None,
    policies: Annotated[
        Path | None, typer.Option(help="Directory of policies and their lock.", show_default="policies")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.", show_default="8501")] = None,
    state_dir: Annotated[
        Path | None, typer.Option(help="Directory of record, keys and caches.", show_default=".gateway")
    ] = None,
    ops_port: Annotated[int | None, typer.Option(help="Loopback port for health in full.", show_default="off")] = None,
    reload: Annotated[bool, typer.Option("--reload", help="Let Streamlit watch the script (development).")] = False,
) -> None:
    """Serve a Streamlit script behind the gateway.

    Examples:
    gateway serve tool.py

    gateway serve tool.py --policies /etc/gateway/policies --host 0.0.0.0 --port 8443

    gateway serve mypackage.web:app --port 8600
    """
    named = target if target is not None and _is_object(target) else None
    try:
        settings = Settings.load(
            os.environ,
            script=Path(target) if target is not None and named is None else None,
            policies=policies,
            state_dir=state_dir,
            server__host=host,
            server__port=port,
            ops__port=ops_port,
        )
        configure_logging(settings.log.format, settings.log.level)
        gateway = Gateway(settings=settings, reload=reload) if named is None else _load(named, policies, state_dir)
        resources = gateway.start()
    except GatewayError as error:
        fail(error, EXIT_STARTUP)

    operations = None
    if settings.ops.port is not None:
        operations = (Operations(resources.health), settings.ops.host, settings.ops.port)
    raise typer.Exit(
        run_server(
            gateway,
            options_of(settings, gateway),
            refuse=gateway.raw_refusals(),
            operations=operations,
            on_started=lambda: _started(settings, resources, target),
        )
    )


def options_of(settings: Settings, gateway: Gateway) -> ServerOptions:
    """The server's options: the settings, and that trusted proxies carry many visitors each."""
    server = settings.server
    return ServerOptions(
        host=server.host,
        port=server.port,
        tls_certificate=server.tls_certificate,
        tls_key=server.tls_key,
        tls_client_ca=server.tls_client_ca,
        max_message=gateway.start().active_policy().limits.message,
        max_connections=server.max_connections,
        max_connections_per_address=server.max_connections_per_address,
        exempt=gateway.trusts_peer,
        idle_timeout=server.idle_timeout,
        head_timeout=server.head_timeout,
        body_timeout=server.body_timeout,
        write_timeout=server.write_timeout,
        keep_alive=server.keep_alive,
        shutdown_timeout=server.shutdown_timeout,
    )


def _is_object(target: str) -> bool:
    module, colon, attribute = target.partition(":")
    return bool(colon) and attribute.isidentifier() and all(part.isidentifier() for part in module.split("."))


def _load(named: str, policies: Path | None, state_dir: Path | None) -> Gateway:
    if policies is not None or state_dir is not None:
        print_error(
            f"{named} brings its own policies and state directory",
            "leave out --policies and --state-dir, or set GATEWAY_POLICIES and GATEWAY_STATE_DIR",
        )
        raise typer.Exit(EXIT_INVALID)
    module, _, attribute = named.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise  # a fault inside the module: its traceback says more than we could
        print_error(f"there is no module {module} here or in the environment", "start in the directory that holds it")
        raise typer.Exit(EXIT_INVALID) from None
    except AttributeError:
        print_error(f"{module} has no attribute {attribute}", "name the Gateway object, as in package.web:app")
        raise typer.Exit(EXIT_INVALID) from None
    if not isinstance(found, Gateway):
        print_error(f"{named} is a {type(found).__name__}, not a Gateway", "wrap it: app = Gateway('tool.py')")
        raise typer.Exit(EXIT_INVALID)
    return found


def _started(settings: Settings, resources: Resources, target: str | None) -> None:
    # In a thread of its own: reading policies must not hold up the event loop that this handler interrupts.
    signal.signal(signal.SIGHUP, lambda *_: threading.Thread(target=resources.revisions.reload, daemon=True).start())
    policy = resources.active_policy()
    errors.print(
        f"serving {target or settings.script} at {_url(settings)}\n"
        f"policy {policy.ref.revision} ({policy.title}), record in {settings.state_dir}/audit",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def _url(settings: Settings) -> str:
    server = settings.server
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(server.host, server.host)  # noqa: S104  shown, not bound
    host = f"[{reachable}]" if ":" in reachable else reachable
    return f"{'https' if server.tls_certificate else 'http'}://{host}:{server.port}{server.base_path}/"
