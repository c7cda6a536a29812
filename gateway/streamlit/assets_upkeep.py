"""What keeps the compressed files at their best while the gateway runs: finds the pack, or has it made.

    start ── pack in the image, or in the state directory ──▶ used at once
          └─ none ──▶ the first load's files are compressed quickly, in this process (0.2 s)
                      └─ later a child process makes the pack, at the lowest priority (40 s), which is then used

A gateway that cannot make the pack (no room, no right to start a process) serves what is compressed quickly.
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from gateway.streamlit.assets_cache import Pack, has_space, pack_name
from gateway.streamlit.assets_files import CODINGS
from gateway.streamlit.assets_store import AssetStore

log = structlog.get_logger("gateway.assets")

# Seconds from the start to the making of a pack: the first visitors and their scripts come first.
_PATIENCE: Final = 15.0
# Of our own environment, what a Python process needs to find its modules; the rest may be secrets.
_PASSED_ON: Final = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "HOME", "LANG", "TMPDIR")


@dataclass(frozen=True, slots=True)
class Places:
    """Where packs are: `baked`, which is only read (a directory of the image, or None), and `own`, which we write."""

    own: Path
    baked: Path | None = None


class AssetUpkeep:
    """Runs beside the application, from `start` to `close`. On the event loop, which never waits for it."""

    def __init__(
        self,
        store: AssetStore,
        places: Places,
        first_load: Sequence[str],
        *,
        patience: float = _PATIENCE,
        options: Sequence[str] = (),
    ) -> None:
        self.store = store
        self.patience = patience  # seconds
        self.options = options  # of the command, besides those it always has
        self.places = places
        self.first_load = first_load
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin. Once."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="assets")

    async def close(self) -> None:
        """Stop, and end the child process if there is one."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self.store.close()

    async def _run(self) -> None:
        try:
            name = await asyncio.to_thread(pack_name, self.store.files)
            if not await self._use(name):
                await self._warm()
                await asyncio.sleep(self.patience)
                if await _build(self.places.own, self.options):
                    await self._use(name)
            await self._warm()
        except OSError as error:  # without it everything works, and is a little bigger
            log.warning("assets.no-pack", cause=error.strerror or "unknown error", path=str(error.filename or ""))

    async def _use(self, name: str) -> bool:
        """Take the pack of that name, wherever there is one."""
        for directory in (self.places.baked, self.places.own):
            if directory is None:
                continue
            try:
                self.store.use(await asyncio.to_thread(Pack.open, directory / name))
            except FileNotFoundError:
                pass
            except (OSError, ValueError) as error:
                log.warning("assets.pack-refused", path=str(directory / name), cause=str(error))
            else:
                log.info("assets.pack-used", path=str(directory / name))
                return True
        return False

    async def _warm(self) -> None:
        """Have the files of the first load in memory. One at a time: a visitor's request finds its turn between."""
        for path in self.first_load:
            for coding in CODINGS:
                await self.store.form(path, coding)


async def _build(directory: Path, options: Sequence[str]) -> bool:
    """Have the pack made by a process of its own, so that neither interpreter nor memory are ours; whether it was."""
    if not await asyncio.to_thread(_roomy, directory):
        log.warning("assets.no-room", path=str(directory))
        return False
    # -P: the working directory is the tool's, and must not lend us its modules.
    command = [sys.executable, "-P", "-m", "gateway", "assets", "build", "--in-background"]
    command += ["--dir", str(directory), *options]
    process = await asyncio.create_subprocess_exec(
        *command,
        env=_environment(os.environ),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        ended = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if ended != 0:
        log.warning("assets.build-failed", code=ended)
    return ended == 0


def _roomy(directory: Path) -> bool:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return has_space(directory)


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: environ[name] for name in _PASSED_ON if name in environ}
