"""Serves the gallery over https under each profile and has it graded: python -m tests.grade DIRECTORY

DIRECTORY is where `make grade` has installed the judges. Exit code 1 when a grade is not what it must be.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.x509.oid import NameOID

from tests.browser.gallery import APP, POLICY
from tests.e2e.conftest import gateway_served
from tests.support.certificates import Authority
from tests.support.processes import PYTHON, clean_environment, free_port, running


@dataclass(frozen=True)
class Candidate:
    """What is graded: the [content_security] section, the worst grade, and whether a high finding is expected."""

    name: str
    content_security: str | None
    grades: tuple[str, ...] = ("A+",)
    high: bool = False


CANDIDATES = (
    Candidate("strict", ""),
    Candidate("max", 'profile = "max"'),
    Candidate("strict, maps", 'add = ["maps"]'),
    Candidate("strict, components", 'add = ["components"]'),
    Candidate("strict, charts", 'add = ["charts"]'),
    Candidate("max, components", 'profile = "max"\nadd = ["components"]'),
    # The last resort is as bad as it says: if the judges liked it, they would not be looking.
    Candidate("strict, inline", 'add = ["inline"]', ("B+", "B", "B-", "C+", "C"), high=True),
    Candidate("bare Streamlit", None, ("C", "C-", "D+", "D", "D-", "F"), high=True),
)


@contextmanager
def served(candidate: Candidate, authority: Authority, directory: Path) -> Iterator[str]:
    """The candidate over https, until the block ends: host and port."""
    certificate, key = authority.issue((NameOID.COMMON_NAME, candidate.name.replace(" ", "-").replace(",", "")))
    if candidate.content_security is None:
        port = free_port()
        command = [PYTHON, "-m", "streamlit", "run", str(APP), "--server.port", str(port), "--server.headless", "true"]
        tls = ["--server.sslCertFile", str(certificate), "--server.sslKeyFile", str(key)]
        quiet = ["--browser.gatherUsageStats", "false", "--server.address", "127.0.0.1"]
        with running([*command, *tls, *quiet], ready_line="URL: https", env=clean_environment(), cwd=directory):
            yield f"localhost:{port}"
        return
    env = {"GATEWAY_SERVER__TLS_CERTIFICATE": str(certificate), "GATEWAY_SERVER__TLS_KEY": str(key)}
    policy = POLICY.format(content_security=candidate.content_security)
    with gateway_served(directory, policy=policy, script=APP, env=env, scheme="https") as gateway:
        yield f"localhost:{urlsplit(gateway.url).port}"


def grade(modules: Path, host: str, authority: Authority) -> dict:
    """What the judges say about one server."""
    script = Path(__file__).with_name("grade.mjs")
    done = subprocess.run(
        ["node", str(script), str(modules), host],
        capture_output=True,
        text=True,
        timeout=120,
        env=clean_environment({"NODE_EXTRA_CA_CERTS": str(authority.path)}),
    )
    if done.returncode != 0:
        raise SystemExit(f"the judges broke:\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout)


def main(modules: Path) -> int:
    failed = 0
    with tempfile.TemporaryDirectory() as directory:
        authority = Authority(Path(directory))
        for number, candidate in enumerate(CANDIDATES):
            place = Path(directory) / str(number)
            place.mkdir()
            with served(candidate, authority, place) as host:
                said = grade(modules, host, authority)
            high = [finding for finding in said["findings"] if finding.startswith("HIGH:")]
            good = said["grade"] in candidate.grades and bool(high) == candidate.high
            failed += not good
            print(f"{'ok  ' if good else 'BAD '} {candidate.name:20} {said['grade']:3} {said['score']:4}")
            for line in (*said["failed"], *said["findings"]):
                print(f"       {line}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
