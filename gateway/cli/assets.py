"""`gateway assets`: Streamlit's front end, compressed ahead of the first start."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from gateway.cli.terminal import console, errors, fail
from gateway.errors import StartupError
from gateway.settings import Settings

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)

_LOWEST = 19  # of the processor's priorities
_FIRST_TO_DIE = "1000"  # when memory is short, before the gateway that has started us


@app.callback()
def assets() -> None:
    """Compress Streamlit's front end ahead of the first start."""


@app.command()
def build(
    directory: Annotated[
        Path | None,
        typer.Option("--dir", help="Where to put it.", show_default="cache in the state directory"),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Take 2 s instead of 40, for 10 % more bytes.")] = False,
    in_background: Annotated[
        bool, typer.Option("--in-background", help="At the lowest priority, in one thread, silently.")
    ] = False,
) -> None:
    """Compress Streamlit's front end as well as it goes, into one file.

    For an image: the gateway finds it when GATEWAY_ASSETS__DIR names the directory. Without it the gateway does the
    same by itself, after its first start.

    Example: gateway assets build --dir /opt/gateway/assets
    """
    if in_background:
        _step_back()
    from gateway.streamlit.assets_cache import build_pack
    from gateway.streamlit.assets_files import asset_files, installed_root

    target = directory or Settings.load(os.environ).state_dir / "cache"
    workers = 1 if in_background else len(os.sched_getaffinity(0))
    try:
        with _progress(shown=not in_background) as on_progress:
            files = asset_files(installed_root())
            pack = build_pack(files, target, workers=workers, on_progress=on_progress, quick=quick)
    except OSError as error:
        cause = (error.strerror or "unknown error").lower()
        fail(StartupError(f"{target}: the pack cannot be written: {cause}", "name a directory that you can write"))
    console.print(f"{pack}: {pack.stat().st_size / 1e6:.1f} MB", markup=False, soft_wrap=True)


@contextmanager
def _progress(*, shown: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr, told of the bytes that are done and of all."""
    if not shown:
        yield lambda _done, _total: None
        return
    columns = (TextColumn("compressing"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True) as progress:
        task = progress.add_task("compressing", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _step_back() -> None:
    """Leave processor, memory and disk to everybody else."""
    os.nice(_LOWEST)
    try:
        Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_DIE)
    except OSError:
        return  # not on Linux, or forbidden: it was only a favour
