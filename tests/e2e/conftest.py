"""A real gateway in its own process, with a policy that gives each address of 127.0.0.0/8 a part to play."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.support.processes import PYTHON, ROOT, Running, clean_environment, free_port, running
from tests.support.streamlit_client import StreamlitClient, Visitor, visit

GATEWAY = [PYTHON, "-m", "gateway"]
DEMO = ROOT / "tests" / "data" / "streamlit" / "demo.py"

STAFF, COLLEAGUE, OUTSIDER, PROXY = "127.0.0.1", "127.0.0.2", "127.0.0.99", "127.0.0.10"

POLICY = """
schema = 1
title = "end to end"
default = "deny"

[networks]
staff = ["127.0.0.1", "127.0.0.2", "203.0.113.0/24"]

[hosts]
allowed = ["127.0.0.1", "localhost", "tools.example"]
origins = ["https://portal.example"]

[proxies]
trusted = ["127.0.0.10"]
client_address = "x-forwarded-for"

[transport]
https = "optional"

[limits]
body = "64KB"
upload = { max = "200KB" }

[[rules]]
id = "staff"
effect = "allow"
because = "Staff use the tool."
networks = ["staff"]

[[rules]]
id = "no-ledger"
effect = "deny"
because = "The ledger is closed."
pages = ["/ledger"]
"""


@dataclass
class Served:
    """A running gateway: where it answers, where its files are, what it has recorded."""

    url: str
    policies: Path
    state: Path
    process: Running

    def http(self, source: str = STAFF, **options) -> httpx.Client:
        transport = httpx.HTTPTransport(local_address=source, verify=False)
        return httpx.Client(base_url=self.url, transport=transport, trust_env=False, timeout=20, **options)

    def get(self, path: str, source: str = STAFF, **options) -> httpx.Response:
        with self.http(source) as client:
            return client.get(path, **options)

    def connect(self, source: str = STAFF, **options) -> StreamlitClient:
        return StreamlitClient(visit(self.url, source_address=source, **options))

    def visitor(self, source: str = STAFF, **options) -> Visitor:
        return Visitor(self.url, source_address=source, **options)

    def records(self) -> list[dict]:
        segments = sorted(self.state.glob("audit/*/*/seg-*.jsonl"))
        lines = [
            line for segment in segments for line in segment.read_bytes().split(b"\n")[:-1]
        ]  # the rest is being written
        return [event for line in lines if "metadata" in (event := json.loads(line))]

    def exchange(self, request_id: str) -> tuple[dict, dict]:
        """The decision and the closing record of one exchange; the closing one is written after the answer has left."""
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            found = [event for event in self.records() if event["metadata"].get("correlation_uid") == request_id]
            # Of a socket there are also the events of what happened inside it.
            found = [
                event for event in found if event["metadata"]["event_code"] in ("http.request", "ws.open", "ws.close")
            ]
            if len(found) >= 2:
                phases = [event["unmapped"]["gateway"]["phase"] for event in found]
                assert phases == ["decision", "outcome"], f"{request_id} left {phases}"
                return found[0], found[1]
            time.sleep(0.02)
        raise AssertionError(f"{request_id} left no closing record: {found}")


def write_policies(directory: Path, text: str = POLICY, name: str = "0001-test.toml") -> Path:
    """A directory of policies with this one released."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / name).write_text(text)
    command = [*GATEWAY, "policy", "release", name[:4], "--policies", str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, env=clean_environment(), timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return directory


def wait_for(ask, good, seconds=10):
    """What `ask` gives, once it is `good`."""
    deadline = time.monotonic() + seconds
    while not good(found := ask()):
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    return found


@contextmanager
def gateway_served(
    directory: Path, *, policy: str = POLICY, script: Path = DEMO, env=None, options=(), scheme="http", prefix=()
) -> Iterator[Served]:
    """`gateway serve` on a free port, until the block ends. `prefix`: a program that runs it."""
    policies = directory / "policies"
    if not policies.exists():
        write_policies(policies, policy)
    port = free_port()
    state = directory / "state"
    command = [
        *GATEWAY,
        "serve",
        str(script),
        "--policies",
        str(policies),
        "--port",
        str(port),
        "--state-dir",
        str(state),
    ]
    with running(
        [*prefix, *command, *options], ready_line="serving ", env=clean_environment(env), cwd=directory
    ) as process:
        yield Served(f"{scheme}://127.0.0.1:{port}", policies, state, process)


@pytest.fixture(scope="session")
def served(tmp_path_factory) -> Iterator[Served]:
    """One gateway for all tests that change nothing of it."""
    with gateway_served(tmp_path_factory.mktemp("gateway")) as gateway:
        yield gateway
