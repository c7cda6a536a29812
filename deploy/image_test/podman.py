"""Podman, and one container of the image under test, in the network namespace that the script has laid."""

# ruff: noqa: S603, S607 - it starts programs of the machine, with arguments of its own

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Everything that deploy/compose.yaml asks for, as flags. `--read-only-tmpfs=false`: podman would otherwise mount
# writable directories at /run and /var/tmp as well, and hide that something writes there.
HARDENED = (
    "--read-only",
    "--read-only-tmpfs=false",
    "--tmpfs=/tmp:size=256m,mode=1777,noexec,nosuid,nodev",
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
    "--pids-limit=512",
    "--memory=2g",
    "--stop-timeout=30",
    "--pull=never",
)


def podman(*arguments: str, check: bool = True, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """A finished podman command, with its output as text.

    Raises:
        RuntimeError: it failed, and `check` is set; carries the end of what it said.
    """
    done = subprocess.run(["podman", *arguments], capture_output=True, text=True, timeout=timeout, check=False)
    if check and done.returncode:
        raise RuntimeError(f"podman {arguments[0]}: exit code {done.returncode}: {done.stderr.strip()[-600:]}")
    return done


def inspect(kind: str, name: str) -> dict[str, Any]:
    """What podman knows about an `image`, a `container` or a `volume`."""
    found: dict[str, Any] = json.loads(podman(kind, "inspect", name).stdout)[0]
    return found


@contextmanager
def mounted(image: str) -> Iterator[Path]:
    """The image's files, as a directory on this machine."""
    yield Path(podman("image", "mount", image).stdout.strip())
    podman("image", "umount", image)


@dataclass(frozen=True, slots=True)
class Container:
    """A started container, by its id."""

    id: str

    @property
    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = inspect("container", self.id)["State"]
        return state

    def proc(self, name: str) -> str:
        """A file of the first process, such as `status`, read from outside."""
        return Path(f"/proc/{self.state['Pid']}/{name}").read_text()

    def memory(self) -> int:
        """Bytes that the first process holds in memory."""
        line = next(line for line in self.proc("status").splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024

    def logs(self) -> str:
        done = podman("logs", self.id)
        return done.stdout + done.stderr

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """A command beside the first process, with its rights and no more."""
        return podman("exec", self.id, *command, check=False)

    def healthy(self) -> bool:
        """What the image's own health check says now."""
        return podman("healthcheck", "run", self.id, check=False).returncode == 0

    def stop(self) -> tuple[int, float]:
        """Asks it to end, as an orchestrator does; its exit code and the seconds that it took."""
        started = time.monotonic()
        podman("stop", self.id)
        return self.state["ExitCode"], time.monotonic() - started

    def remove(self) -> None:
        podman("rm", "--force", "--time=2", "--volumes", self.id, check=False)


def start(image: str, *flags: str) -> Container:
    """A container of the image, hardened, with its own command."""
    return Container(podman("run", "--detach", *HARDENED, *flags, image).stdout.strip())


def run_to_end(image: str, *flags: str) -> subprocess.CompletedProcess[str]:
    """The same, for a container that is expected to end by itself within a minute; it is removed."""
    return podman("run", "--rm", *HARDENED, *flags, image, check=False, timeout=60)


def wait_until(true: Callable[[], bool], seconds: float, what: str) -> float:
    """The seconds until it became true.

    Raises:
        TimeoutError: it did not, in time.
    """
    started = time.monotonic()
    while not true():
        if time.monotonic() - started > seconds:
            raise TimeoutError(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.3)
    return time.monotonic() - started
