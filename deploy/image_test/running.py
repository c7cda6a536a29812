"""Checks of the running container: what it may do, what it serves and to whom, what it records, how it ends."""

import json
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path

from podman import Container, inspect, podman, run_to_end, start, wait_until
from policy import ALLOWED, HOST, INVALID, INVALID_PLACES, REFUSED, TEST_POLICY, write_policies
from report import Report, require
from visitor import Page, Visitor, run_script
from websockets.exceptions import ConnectionClosed

ADDRESS = "192.0.2.2"  # of the container, as the script has laid the cable
READY_SECONDS = 60
GRACE_SECONDS = 20
# The answer to a browser, whatever it is: ASVS 5.0 V3.4.
SECURITY_HEADERS = {
    "content-security-policy",
    "x-content-type-options",
    "referrer-policy",
    "x-frame-options",
    "cross-origin-opener-policy",
    "permissions-policy",
    "x-request-id",
}
TRY_TO_WRITE = """
import errno, pathlib
for place in ("/", "/opt/venv", "/srv/tool", "/etc/gateway/policies", "/var/lib", "/var/tmp", "/usr/bin"):
    try:
        pathlib.Path(place, "written").touch()
    except OSError as error:
        if error.errno != errno.EROFS:
            print(place, error)
    else:
        print(place, "was written")
for place in ("/tmp", "/var/lib/gateway"):
    file = pathlib.Path(place, "written")
    file.touch()
    file.unlink()
"""


@dataclass(frozen=True, slots=True)
class Stage:
    """What the containers of this run share: the image, the namespace, a volume, and a place for files."""

    image: str
    namespace: str
    work: Path
    volume: str

    def flags(self, policies: Path | None, *, network: bool = True) -> list[str]:
        """Network, state, policies; and no shell to fall back to: both are covered by a file that is no program."""
        nothing = self.work / "nothing"
        nothing.touch()
        flags = [
            f"--network=ns:{self.namespace}" if network else "--network=none",
            f"--volume={self.volume}:/var/lib/gateway",
        ]
        flags += [f"--volume={nothing}:/usr/bin/{shell}:ro" for shell in ("dash", "bash")]
        return flags + ([f"--volume={policies}:/etc/gateway/policies:ro"] if policies else [])

    def record(self) -> list[dict[str, object]]:
        """Every event that is in the volume, in the order of the files."""
        directory = Path(inspect("volume", self.volume)["Mountpoint"]) / "audit"
        # What stands after the last line feed is being written, or space that is held for what comes.
        lines = [line for file in sorted(directory.rglob("*.jsonl")) for line in file.read_bytes().split(b"\n")[:-1]]
        return [json.loads(line) for line in lines]


def check_running(report: Report, stage: Stage) -> None:
    """The image with a policy of its own, from start to end."""
    policies = write_policies(stage.work / "policies", TEST_POLICY)
    container = start(stage.image, *stage.flags(policies))
    try:
        with report.check("the container becomes healthy by its own health check, which needs neither shell nor curl"):
            report.note(f"ready after {_wait_ready(container):.1f} s")
        _check_rights(report, container)
        _check_visitors(report, stage)
        report.note(f"memory after these visits: {container.memory() / 1e6:.0f} MB")
        with report.check("on SIGTERM it ends with exit code 0, also while a visitor's WebSocket is open"):
            report.note(f"stopped after {_stop_with_open_socket(container):.1f} s")
    finally:
        container.remove()


def check_bundled_policy(report: Report, stage: Stage) -> None:
    """A second container on the volume of the first, with the policy that is in the image."""
    before = stage.record()
    container = start(stage.image, *stage.flags(None))
    try:
        with report.check("a new container goes on with the record of the old one"):
            _wait_ready(container)
            after = stage.record()
            require(before and after[: len(before)] == before, (len(before), len(after)))
            numbers = [event["metadata"]["sequence"] for event in after if "metadata" in event]  # type: ignore[index]
            require(numbers == sorted(set(numbers)), "numbers of events out of order")
        with report.check("the bundled policy lets nobody in from outside: the operator's policy must be mounted"):
            page = Visitor(ALLOWED, ADDRESS, "localhost").get()
            require(page.status == 403, page.status)
    finally:
        container.remove()


def check_refusals_to_start(report: Report, stage: Stage) -> None:
    with report.check("with a wrong policy it does not start: exit code 3, and every problem with its place"):
        directory = write_policies(stage.work / "invalid", INVALID, checked=False)
        done = run_to_end(stage.image, *stage.flags(directory, network=False))
        require(done.returncode == 3, f"exit code {done.returncode}: {done.stderr[-800:]}")
        require(all(place in done.stderr for place in INVALID_PLACES), done.stderr[-800:])
        require("Traceback" not in done.stderr, done.stderr[-800:])
    with report.check("without a volume it does not start: exit code 3, and what to do"):
        done = run_to_end(stage.image, "--network=none", "--env=GATEWAY_STATE_DIR=/var/lib/gateway/state")
        require(done.returncode == 3, f"exit code {done.returncode}: {done.stderr[-800:]}")
        require("state" in done.stderr and "Traceback" not in done.stderr, done.stderr[-800:])


def _wait_ready(container: Container) -> float:
    def ready() -> bool:
        if container.state["Status"] == "exited":
            raise RuntimeError(f"exit code {container.state['ExitCode']}: {container.logs()[-800:]}")
        return container.healthy()

    return wait_until(ready, READY_SECONDS, f"healthy: {container.logs()[-400:]}")


def _check_rights(report: Report, container: Container) -> None:
    status = dict(line.split(":", 1) for line in container.proc("status").splitlines())
    facts = {name: value.strip() for name, value in status.items()}
    with report.check("the process has no capability, cannot get one, and runs under a system call filter"):
        sets = {facts[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
        require(sets == {"0" * 16} and facts["NoNewPrivs"] == "1" and facts["Seccomp"] == "2", facts)
    with report.check("the process is user and group 10001, and nothing else"):
        require(set(facts["Uid"].split() + facts["Gid"].split()) == {"10001"}, (facts["Uid"], facts["Gid"]))
        require(set(facts["Groups"].split()) <= {"10001"}, facts["Groups"])
    with report.check("only /tmp and the state directory can be written"):
        done = container.run("/opt/venv/bin/python", "-c", TRY_TO_WRITE)
        require(done.returncode == 0 and not done.stdout, done.stdout + done.stderr)
    with report.check("no shell was there while all this ran"):
        require(container.run("/bin/sh", "-c", "true").returncode != 0, "a shell ran")


def _check_visitors(report: Report, stage: Stage) -> None:
    inside, outside = Visitor(ALLOWED, ADDRESS, HOST), Visitor(REFUSED, ADDRESS, HOST)
    pages: list[Page] = []
    with report.check("an allowed visitor gets the tool's page, with the security headers"):
        pages.append(inside.get())
        _require_answer(pages[-1], 200)
    with report.check("an allowed visitor gets the tool's answer over its WebSocket"):
        with inside.open(inside.get().cookie) as stream:
            kinds = run_script(stream)
        require({"new_session", "delta"} <= kinds, kinds)
    with report.check("a visitor from another address is refused, page and WebSocket, with the security headers"):
        pages.append(outside.get())
        _require_answer(pages[-1], 403)
        require(outside.refusal() == 403, "the WebSocket was not refused with 403")
    with report.check("a visitor who calls us by another name is refused"):
        pages.append(Visitor(ALLOWED, ADDRESS, "other.test").get())
        _require_answer(pages[-1], 421)
    with report.check("the operations listener is out of reach"), socket.socket() as other:
        other.settimeout(5)
        require(other.connect_ex((ADDRESS, 9901)) != 0, "port 9901 answers")
    with report.check("every one of these answers is in the record, in the volume"):
        text = json.dumps(stage.record())
        missing = [page.status for page in pages if not page.request_id or page.request_id not in text]
        require(len(pages) == 3 and not missing, f"not in the record: {missing}")


def _require_answer(page: Page, status: int) -> None:
    require(page.status == status, f"{page.status}: {page.body[:200]}")
    require(page.headers.keys() >= SECURITY_HEADERS, SECURITY_HEADERS - page.headers.keys())
    require("server" not in page.headers, page.headers.get("server"))


def _stop_with_open_socket(container: Container) -> float:
    visitor = Visitor(ALLOWED, ADDRESS, HOST)
    with visitor.open(visitor.get().cookie) as stream:
        run_script(stream)
        code, seconds = container.stop()
        require(code == 0, f"exit code {code}: {container.logs()[-800:]}")
        require(seconds < GRACE_SECONDS, f"{seconds:.1f} s")
        try:
            while True:
                stream.recv(timeout=5)
        except ConnectionClosed as closed:
            # 1012, service restart: the browser connects again by itself.
            require(closed.rcvd is not None and closed.rcvd.code == 1012, closed)
    return seconds


def make_stage(image: str, namespace: str, work: Path) -> Stage:
    volume = podman("volume", "create").stdout.strip()
    return Stage(image, namespace, Path(tempfile.mkdtemp(dir=work, prefix="stage-")), volume)
