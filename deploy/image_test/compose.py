"""deploy/compose.yaml: judged by Docker Compose, and brought up with it, as docs/operator.md describes it."""

# ruff: noqa: S603 - it starts programs of the machine, with arguments of its own

import base64
import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from podman import Container, inspect, wait_until
from policy import ALLOWED, HOST, PROXY_POLICY, REFUSED, write_policies
from report import Report, Skipped, require
from visitor import Visitor, run_script

FILE = Path(__file__).parents[1] / "compose.yaml"
REQUIRED = ("POLICIES", "TOOL", "SESSION_KEYS")


class Compose:
    """Docker Compose with podman as its engine, on a socket of its own."""

    def __init__(self, program: str, work: Path, image: str) -> None:
        self.program = program
        self.socket = work / "podman.sock"
        self.work = work
        # podman's default is more than a machine without CAP_SYS_RESOURCE may give.
        self.override = work / "machine.yaml"
        self.override.write_text("services: {gateway: {ulimits: {nproc: 4096}}}\n")
        keys = work / "session-keys"
        keys.write_text(base64.b64encode(secrets.token_bytes(32)).decode() + "\n")
        keys.chmod(0o400)
        os.chown(keys, 10001, 10001)
        tool = work / "tool"
        tool.mkdir(mode=0o755)
        (tool / "small.py").write_text('import streamlit as st\n\nst.title("A small tool")\n')
        policies = write_policies(work / "policies", PROXY_POLICY)
        self.variables = {
            "IMAGE": image,
            "POLICIES": str(policies),
            "TOOL": str(tool),
            "SESSION_KEYS": str(keys),
            "SCRIPT": "small.py",
        }

    def run(self, *arguments: str, without: str = "") -> subprocess.CompletedProcess[str]:
        own = {name: value for name, value in self.variables.items() if name != without}
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.work),
            "DOCKER_HOST": f"unix://{self.socket}",
            **own,
        }
        command = [self.program, "--file", str(FILE), "--file", str(self.override), *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)

    def up(self) -> Container:
        done = self.run("up", "--detach", "--no-build")
        require(done.returncode == 0, done.stderr[-800:])
        return Container(self.run("ps", "--quiet", "gateway").stdout.strip())

    @contextmanager
    def engine(self) -> Iterator[None]:
        command = ["podman", "system", "service", "--time=0", f"unix://{self.socket}"]
        with (self.work / "engine.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
            try:
                wait_until(self.socket.exists, 10, "podman's socket")
                yield
            finally:
                self.run("down", "--volumes", "--timeout", "5")
                process.terminate()


def check_compose(report: Report, program: str, image: str, work: Path) -> None:
    if not program:
        with report.check("deploy/compose.yaml is brought up with Docker Compose"):
            raise Skipped("Docker Compose could not be obtained")
    compose = Compose(program, work, image)
    with report.check("deploy/compose.yaml is valid, and says which variable is missing"):
        require(compose.run("config", "--quiet").returncode == 0, compose.run("config", "--quiet").stderr)
        for name in REQUIRED:
            done = compose.run("config", "--quiet", without=name)
            require(done.returncode != 0 and name in done.stderr, f"without {name}: {done.returncode} {done.stderr}")
    with compose.engine():
        _check_service(report, compose)


def _check_service(report: Report, compose: Compose) -> None:
    started: list[Container] = []
    with report.check("the composed service comes up, healthy, with keys from a secret file"):
        started.append(compose.up())
        wait_until(started[0].healthy, 60, f"healthy: {started[0].logs()[-600:]}")
    for container in started:
        _check_started(report, container)


def _check_started(report: Report, container: Container) -> None:
    with report.check("the composed service has all of its limits"):
        host = inspect("container", container.id)["HostConfig"]
        require(host["ReadonlyRootfs"] and host["Memory"] == 2 * 1024**3 and host["PidsLimit"] == 512, host)
        status = container.proc("status")
        require("CapBnd:\t0000000000000000" in status and "NoNewPrivs:\t1" in status, status)
        require(
            "Max core file size        0                    0" in container.proc("limits"), container.proc("limits")
        )
    with report.check("its port is published on the host's loopback only"):
        ports = inspect("container", container.id)["NetworkSettings"]["Ports"]
        require(ports == {"8501/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8501"}]}, ports)
    _check_behind_proxy(report)
    with report.check("the composed service ends with exit code 0"):
        require(container.stop()[0] == 0, container.logs()[-800:])


def _check_behind_proxy(report: Report) -> None:
    """As a proxy on the host would speak with it: from loopback, with the headers that it sets."""

    def forwarded(address: str) -> Visitor:
        return Visitor(
            "127.0.0.1", "127.0.0.1", HOST, headers={"X-Forwarded-For": address, "X-Forwarded-Proto": "https"}
        )

    with report.check("behind a proxy on the host, the visitor's own address is judged"):
        page = forwarded(ALLOWED).get()
        require(page.status == 200 and "strict-transport-security" in page.headers, (page.status, page.body[:200]))
        require(forwarded(REFUSED).get().status == 403, "not 403")
        with forwarded(ALLOWED).open(page.cookie, scheme="https") as stream:
            require("delta" in run_script(stream), "no answer over the WebSocket")
    with report.check("without a proxy's word nobody is let in through the published port"):
        require(Visitor("127.0.0.1", "127.0.0.1", HOST).get().status != 200, "let in")
