"""The two sides of the comparison: how each is started, and what its process used."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.processes import ROOT, Running, clean_environment, free_port, running, streamlit_command
from tests.support.streamlit_client import Visitor, visit

PROGRAM = Path(sys.executable).with_name("gateway")
RATE = re.compile(r'^(requests = \{ )rate = "[^"]+", burst = \d+', re.MULTILINE)
SCRIPT = Path(__file__).with_name("app.py")
RESULTS = Path(__file__).with_name("results")


@dataclass(frozen=True)
class Side:
    """A running server. The visitor has loaded the page, and carries the cookies that it was given."""

    name: str
    visitor: Visitor
    server: Running

    def peak_memory(self) -> float:
        """The most memory that the process has used so far, in MB (VmHWM)."""
        status = Path(f"/proc/{self.server.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024 / 1e6

    def processor_time(self) -> float:
        """The processor time that the process has used so far, in seconds."""
        fields = Path(f"/proc/{self.server.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100  # utime and stime, in ticks of 10 ms


@dataclass(frozen=True)
class Conditions:
    """What both sides are started with. `home` is an empty directory, which becomes their home.

    `collection`: Streamlit collects garbage after every run, as it does by default.
    """

    home: Path
    httptools: bool = False
    collection: bool = True

    def environment(self) -> dict[str, str]:
        """The environment of both sides. Options of Streamlit come from a file: in process it reads no variables."""
        options = self.home / ".streamlit" / "config.toml"
        options.parent.mkdir(exist_ok=True)
        options.write_text(f"[runner]\npostScriptGC = {str(self.collection).lower()}\n")
        return {"HOME": str(self.home)}


@contextmanager
def bare(conditions: Conditions, name: str = "bare") -> Iterator[Side]:
    """Streamlit as `streamlit run` serves it: headless, no telemetry, no file watcher."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    module = "streamlit" if conditions.httptools else "benchmarks.bare"
    command = [module if part == "streamlit" else part for part in streamlit_command(SCRIPT, port)]
    with running(command, ready_url=f"{url}/_stcore/health", env=conditions.environment()) as server:
        yield Side(name, visit(url), server)


@contextmanager
def gateway(conditions: Conditions) -> Iterator[Side]:
    """The gateway with every control and the durable record on; its state and its policy are made in its home."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command: list[str | Path] = [PROGRAM, "serve", SCRIPT, "--policies", busy_policies(conditions.home / "policies")]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    environ = {
        **conditions.environment(),
        "GATEWAY_STATE_DIR": str(conditions.home / "state"),
        "GATEWAY_LOG__LEVEL": "warning",
    }
    with running(command, ready_url=f"{url}/_stcore/health", env=environ) as server:
        yield Side("gateway", visit(url), server)


def busy_policies(directory: Path) -> Path:
    """The bundled policy, released with a request rate that no load reaches: it is counted, and refuses nobody.

    Raises:
        ValueError: the bundled policy has no request rate to raise.
        subprocess.CalledProcessError: the changed policy was not released.
    """
    shutil.copytree(ROOT / "policies", directory)
    newest = max(directory.glob("[0-9]*.toml"))
    text, found = RATE.subn(r'\1rate = "1000000/s", burst = 1000000', newest.read_text())
    if found != 1:
        raise ValueError(f"{newest.name} has {found} request rates of the known form")
    changed = directory / f"{int(newest.name[:4]) + 1:04}-benchmark.toml"
    changed.write_text(text)
    command: list[str | Path] = [PROGRAM, "policy", "release", changed.name[:4], "--policies", directory]
    subprocess.run(command, check=True, capture_output=True, env=clean_environment())
    return directory
