"""What the tests of shipping share: logs to ship, the command that ships them, receivers that are real programs."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from gateway.audit import Durability, Ledger, LedgerOptions, ledger_directory, opened, stamp
from tests.audit.reading import events
from tests.audit.samples import exchange
from tests.support.processes import clean_environment, free_port, running

COMMAND = [sys.executable, "-c", "import sys; from gateway.cli import main; sys.exit(main())", "audit", "ship"]


@contextmanager
def ledger(state, worker="w0", segment_size=64 * 1024**2):
    """A log that is open for writing."""
    options = LedgerOptions(segment_size=segment_size, reserve=4096)
    with Ledger.open(ledger_directory(state, "main", worker), origin=f"main/{worker}", options=options) as log:
        yield log


def write(log, count, start=0, **changes):
    """So many events, durable when this returns."""
    last = None
    for number in range(start, start + count):
        made = exchange(request_id=f"r{number}", **changes)
        last = log.append(opened(made, stamp()), Durability.BEFORE)
    last.wait(5)


def made(state, count, worker="w0", segment_size=64 * 1024**2):
    """A log with so many events besides its own; its directory."""
    with ledger(state, worker, segment_size) as log:
        write(log, count)
    return ledger_directory(state, "main", worker)


def arguments(state, to, *more):
    return [*COMMAND, "--state-dir", str(state), "--to", to, "--unrecorded", *map(str, more)]


def ship(state, to, *more, timeout=60):
    """Ship once; exit code, standard output and standard error."""
    command = [*arguments(state, to, *more), "--once"]
    done = subprocess.run(command, capture_output=True, timeout=timeout, env=clean_environment(), check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@contextmanager
def following(state, to, *more):
    """A shipper that goes on; it gets SIGTERM at the end."""
    with running(arguments(state, to, *more), ready_line='"ship"') as process:
        yield process


def cursor(directory):
    """What the only cursor of a log says."""
    (path,) = directory.glob("cursor-*.json")
    return json.loads(path.read_bytes())


def uids(directory):
    """The uids of a log's events, in the order of the log."""
    return [event["metadata"]["uid"] for event in events(directory)]


def parsed(lines):
    """The events among these lines, as JSON; half a line is no event."""
    found = []
    for line in lines:
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def last_places(arrived):
    """Sequences of one log in the order in which each arrived last: copies come in the order of the log, too."""
    places = {sequence: place for place, sequence in enumerate(arrived)}
    return sorted(places, key=places.get)


def wait_until(condition, timeout=20.0):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


_HEAD = "%pri%|%timereported:::date-rfc3339%|%hostname%|%app-name%|%procid%|%msgid%|%structured-data%"

_LAZY = 'queue.type="LinkedList" queue.dequeueBatchSize="64" queue.dequeueSlowdown="25000"'  # microseconds a batch


class Rsyslog:
    """A real rsyslogd with a configuration of its own: TLS or plain TCP on loopback, one message a line in a file.

    With `lazy`, it keeps what it has read in memory for a while, as a busy receiver does. Each start writes a new file:
    a line that a SIGKILL has torn does not spoil the next one.
    """

    def __init__(self, directory, certificate=None, authority=None, *, mutual=False, lazy=False, driver="ossl"):
        self.directory = directory
        self.port = free_port()
        self.starts = 0
        self.process = None
        self._tls = (certificate, authority)
        self._mutual = mutual
        self._driver = driver
        self._queue = _LAZY if lazy else ""

    @property
    def address(self):
        return f"syslog+tls://localhost:{self.port}" if self._tls[0] else f"syslog+tcp-insecure://127.0.0.1:{self.port}"

    def start(self):
        self.starts += 1
        configuration = self.directory / f"rsyslog-{self.starts}.conf"
        configuration.write_text(self._configuration())
        self.process = subprocess.Popen(
            ["rsyslogd", "-n", "-iNONE", "-f", configuration],
            stdout=(self.directory / "rsyslogd.out").open("ab"),
            stderr=subprocess.STDOUT,
            env=clean_environment(),
            start_new_session=True,
        )
        wait_until(lambda: listens(self.port))
        return self

    def kill(self):
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()

    def messages(self):
        """What is in its files, with the header that rsyslog has parsed, as JSON a line."""
        paths = sorted(self.directory.glob("received-*.log"), key=lambda path: int(path.stem.partition("-")[2]))
        return [line for path in paths for line in path.read_bytes().split(b"\n") if line]

    def _configuration(self):
        certificate, authority = self._tls
        driver, module = "", ""
        if certificate:
            driver = (
                f'defaultNetstreamDriver="{self._driver}" defaultNetstreamDriverCAFile="{authority}" '
                f'defaultNetstreamDriverCertFile="{certificate[0]}" defaultNetstreamDriverKeyFile="{certificate[1]}"'
            )
            mode = "x509/certvalid" if self._mutual else "anon"
            module = f'streamDriver.name="{self._driver}" streamDriver.mode="1" streamDriver.authMode="{mode}"'
        return f"""
global(workDirectory="{self.directory}" maxMessageSize="8k" {driver})
module(load="imtcp" {module})
template(name="raw" type="string" string="%msg%\\n")
template(name="head" type="string" string="{_HEAD}\\n")
input(type="imtcp" port="{self.port}" address="127.0.0.1" ruleset="in")
ruleset(name="in" {self._queue}) {{
  action(type="omfile" file="{self.directory}/received-{self.starts}.log" template="raw")
  action(type="omfile" file="{self.directory}/heads.txt" template="head")
}}
"""


def listens(port):
    """Whether somebody listens on this port of loopback, without a connection that the receiver would see."""
    wanted = f"0100007F:{port:04X} 00000000:0000 0A"
    return wanted in Path("/proc/net/tcp").read_text()
