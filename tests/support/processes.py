"""Real processes for tests: started in a session of their own, watched until they are ready, ended by their id."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PYTHON = sys.executable


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that nobody listens on now."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as sock:
        sock.bind((host, 0))
        return int(sock.getsockname()[1])


@dataclass
class Running:
    """A process that a test started. `output()` is what it has written so far to stdout and stderr."""

    process: "subprocess.Popen[bytes]"
    output_path: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def output(self) -> str:
        return self.output_path.read_text(errors="replace")

    def stop(self, timeout: float = 15.0) -> int:
        """End it politely (SIGTERM), then surely (SIGKILL to its whole session); returns the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.process.wait()

    def kill(self) -> None:
        """SIGKILL to every process of its session: nothing it started outlives the test."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without what would change the program under test, and with `extra`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GATEWAY_", "STREAMLIT_"))}
    return {**kept, "PYTHONUNBUFFERED": "1", **(extra or {})}


@contextmanager
def running(
    command: Sequence[str | Path],
    *,
    ready_url: str | None = None,
    ready_line: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float = 40.0,
) -> Iterator[Running]:
    """A process that is ready: `ready_url` answers 200, or `ready_line` stands in its output. Ended on leaving.

    Raises:
        AssertionError: it ended, or was not ready in time; the message carries its output.
    """
    with tempfile.TemporaryDirectory(prefix="running-") as directory:
        output = Path(directory, "output")
        with output.open("wb") as sink:
            process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                env=clean_environment(env),
                cwd=cwd or ROOT,
                start_new_session=True,
            )
        started = Running(process, output)
        try:
            _wait_until_ready(started, ready_url, ready_line, time.monotonic() + timeout)
            yield started
        finally:
            started.stop()
            started.kill()


def _wait_until_ready(started: Running, url: str | None, line: str | None, deadline: float) -> None:
    while not ((url is not None and answers(url)) or (line is not None and line in started.output())):
        if url is None and line is None:
            return
        code = started.process.poll()
        assert code is None, f"ended with exit code {code}:\n{started.output()}"
        assert time.monotonic() < deadline, f"not ready in time:\n{started.output()}"
        time.sleep(0.05)


def answers(url: str) -> bool:
    """Whether a GET of the URL answers 200 now. No proxy of the environment is asked."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def streamlit_command(script: Path, port: int, *options: str) -> list[str]:
    """`streamlit run` without browser, telemetry and file watcher: bare Streamlit as a server."""
    return [
        PYTHON,
        "-m",
        "streamlit",
        "run",
        str(script),
        "--server.headless=true",
        "--server.address=127.0.0.1",
        f"--server.port={port}",
        "--server.fileWatcherType=none",
        "--browser.gatherUsageStats=false",
        *options,
    ]


@contextmanager
def bare_streamlit(script: Path, *options: str) -> Iterator[str]:
    """The URL of bare Streamlit serving a script."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with running(streamlit_command(script, port, *options), ready_url=f"{url}/_stcore/health"):
        yield url
