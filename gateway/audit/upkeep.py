"""What a log that works wants from time to time: its checkpoint shown, its space watched, its silence recorded."""

import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Literal

from gateway.audit.chain import Chain
from gateway.audit.directory import checkpoint_path
from gateway.audit.event import Event
from gateway.audit.notices import lifecycle
from gateway.audit.options import LedgerOptions
from gateway.audit.segment import private
from gateway.audit.stamp import stamp

log = logging.getLogger("gateway.audit")

Space = Literal["ample", "low", "exhausted"]
"""`low`: room for one segment after the one being written. `exhausted`: for none, so the log ends with it."""


class Upkeep:
    """Used by the writer's thread; `space` and `free_bytes`, as of the last look, may be read by any."""

    def __init__(self, directory: Path, options: LedgerOptions) -> None:
        self.free_bytes = 0
        self.space: Space = "ample"
        self._directory = directory
        self._options = options
        self._shown = -1
        self.look()

    def look(self) -> None:
        """See how much room there is. Raises OSError when even that cannot be found out."""
        space = os.statvfs(self._directory)
        self.free_bytes = space.f_bavail * space.f_frsize

    def due(self, idle: float) -> list[Event]:
        """What is to be said now, `idle` seconds after the last commit."""
        if changed := self._change_of_space():
            return [changed]
        if idle >= self._options.heartbeat:
            return [lifecycle("audit.heartbeat", "nothing happened", {}, stamp())]
        return []

    def _change_of_space(self) -> Event | None:
        """Each change of how much room is left is told while there still is room to tell of it."""
        segments = self.free_bytes // self._options.segment_size
        space: Space = "ample" if segments >= 2 else "low" if segments else "exhausted"
        if space == self.space:
            return None
        self.space = space
        log.log(logging.INFO if space == "ample" else logging.CRITICAL, "space for the audit log is %s", space)
        facts = {"space": space, "free_bytes": self.free_bytes}
        return lifecycle("audit.space", f"space for the record is {space}", facts, stamp())

    def show(self, chain: Chain) -> None:
        """Write the checkpoint for readers, anchors and the next start: never one that a crash could take back."""
        if self._shown == chain.tree.size:
            return
        path = checkpoint_path(self._directory)
        temporary = path.with_name("checkpoint.tmp")
        with suppress(OSError):  # a full disk: the old one stays, and is still true
            with private(temporary, "w") as file:
                file.write(chain.checkpoint())
            temporary.rename(path)
            self._shown = chain.tree.size
