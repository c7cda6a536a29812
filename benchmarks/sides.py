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
SOCKETS = re.compile(r"^sockets = \{[^}]*\}", re.MULTILINE)
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
    `at_once`: how many scripts the gateway's policy lets run at once; None: it does not say.
    """

    home: Path
    script: Path = SCRIPT
    at_once: int | None = None
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
    command = [module if part == "streamlit" else part for part in streamlit_command(conditions.script, port)]
    with running(command, ready_url=f"{url}/_stcore/health", env=conditions.environment()) as server:
        yield Side(name, visit(url), server)


@contextmanager
def gateway(conditions: Conditions) -> Iterator[Side]:
    """The gateway with every control and the durable record on; its state and its policy are made in its home."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    policies = busy_policies(conditions.home / "policies", conditions.at_once)
    command: list[str | Path] = [PROGRAM, "serve", conditions.script, "--policies", policies]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    environ = {
        **conditions.environment(),
        "GATEWAY_STATE_DIR": str(conditions.home / "state"),
        "GATEWAY_LOG__LEVEL": "warning",
        "GATEWAY_ASSETS__DIR": str(baked(RESULTS / ".packs")),  # else it is made beside the measurement
        "GATEWAY_SERVER__MAX_CONNECTIONS_PER_ADDRESS": "4096",
    }
    with running(command, ready_url=f"{url}/_stcore/health", env=environ) as server:
        yield Side("gateway", visit(url), server)


def baked(directory: Path) -> Path:
    """A directory with the compressed front end, as an image has it; made at the first run."""
    if not list(directory.glob("*.pack")):
        command: list[str | Path] = [PROGRAM, "assets", "build", "--dir", directory]
        subprocess.run(command, check=True, env=clean_environment(), stdout=subprocess.DEVNULL)
    return directory


def busy_policies(directory: Path, at_once: int | None = None) -> Path:
    """The bundled policy, released with rates of requests and messages and a number of sockets that no load reaches.

    They are counted, and nobody is refused. `at_once` becomes the number of scripts that run at once.

    Raises:
        ValueError: the bundled policy has no request rate to raise.
        subprocess.CalledProcessError: the changed policy was not released.
    """
    shutil.copytree(ROOT / "policies", directory)
    newest = max(directory.glob("[0-9]*.toml"))
    text, found = RATE.subn(r'\1rate = "1000000/s", burst = 1000000', newest.read_text())
    if found != 1:
        raise ValueError(f"{newest.name} has {found} request rates of the known form")
    scripts = "" if at_once is None else f"\nscripts = {{ at_once = {at_once} }}"
    sockets = 'sockets = { per_session = 10000, per_client = 10000, new = "100000/s" }'
    text = SOCKETS.sub(f'{sockets}\nmessages = {{ rate = "1000000/s", burst = 1000000 }}{scripts}', text)
    changed = directory / f"{int(newest.name[:4]) + 1:04}-benchmark.toml"
    changed.write_text(text)
    command: list[str | Path] = [PROGRAM, "policy", "release", changed.name[:4], "--policies", directory]
    subprocess.run(command, check=True, capture_output=True, env=clean_environment())
    return directory
