"""`gateway client explain`, as an operator runs it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

GATEWAY = Path(sys.executable).with_name("gateway")

POLICY = """
schema = 1
title = "Behind a proxy"
default = "deny"

[networks]
office = ["192.0.2.0/24"]
desk = ["192.0.2.7"]
elsewhere = ["203.0.113.0/24"]

[hosts]
allowed = ["tools.corp.example"]

[proxies]
trusted = ["10.1.0.0/16"]
client_address = "x-forwarded-for"

[[rules]]
id = "staff"
effect = "allow"
because = "Staff in the office use the tools."
networks = ["office"]
"""


def run(*arguments, cwd=None):
    return subprocess.run([GATEWAY, *arguments], capture_output=True, text=True, timeout=60, cwd=cwd)


def explain(*arguments):
    return run("client", "explain", *arguments)


@pytest.fixture(scope="module")
def policies(tmp_path_factory):
    directory = tmp_path_factory.mktemp("policies")
    (directory / "0001-proxy.toml").write_text(POLICY)
    released = run("policy", "release", "--policies", directory)
    assert released.returncode == 0, released.stderr
    return directory


def test_found():
    """Each step is printed on its own line, and the client at the end."""
    done = explain("--peer", "10.1.0.5", "--trusted", "10.1.0.0/16", "--header", "X-Forwarded-For: 1.1.1.1, 10.1.0.9")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "1. The peer 10.1.0.5 is a trusted proxy.",
        "2. Before it came 10.1.0.9, a trusted proxy.",
        "3. Before it came 1.1.1.1: the client.",
        "client: 1.1.1.1",
    ]


def test_refused():
    """When there is no client, the reason is the stable code, and the exit code is 1."""
    done = explain("--peer", "10.1.0.5", "--trusted", "10.1.0.0/16", "--header", "X-Forwarded-For: bogus")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-2:] == ["client: refused", "reason: client-address-malformed"]


def test_flags():
    """What was noticed on the way is printed too."""
    done = explain("--peer", "198.51.100.9", "--trusted", "10.1.0.0/16", "--header", "X-Forwarded-For: 1.1.1.1")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-2:] == ["client: 198.51.100.9", "flags: forwarded-from-untrusted"]


def test_several_headers_and_hops():
    """A header may come in several lines; hops and another header may be asked for."""
    lines = ("--header", "Forwarded: for=1.1.1.1", "--header", "Forwarded: for=10.1.0.9")
    done = explain(
        "--peer", "10.1.0.5", "--trusted", "10.1.0.0/16", "--client-address", "forwarded", "--hops", "2", *lines
    )
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "client: 1.1.1.1"


def test_policy(policies):
    """With the directory of the policies, proxies and networks are those of the active one."""
    done = explain("--peer", "10.1.0.5", "--header", "X-Forwarded-For: 192.0.2.7", "--policies", policies)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-2:] == ["client: 192.0.2.7", "networks: desk, office"]


def test_policy_no_network(policies):
    """A client in no network is told so: the proxy itself is not let in for being trusted."""
    done = explain("--peer", "10.1.0.5", "--policies", policies)
    assert done.stdout.splitlines()[-1] == "networks: none"


def test_json(policies):
    """Programs read the same as one JSON object."""
    done = explain("--peer", "10.1.0.5", "--header", "X-Forwarded-For: 192.0.2.7", "--policies", policies, "--json")
    told = json.loads(done.stdout)
    digest = told["policy"].pop("digest")
    assert digest.startswith("sha256:")
    assert told == {
        "client": "192.0.2.7",
        "provenance": "forwarded",
        "reason": None,
        "flags": [],
        "forwarded": ["10.1.0.5"],
        "steps": ["The peer 10.1.0.5 is a trusted proxy.", "Before it came 192.0.2.7: the client."],
        "policy": {"revision": "0001"},
        "networks": ["desk", "office"],
    }


USAGE = [
    ("no peer", ["--hops", "2"], "--peer"),
    ("a bad CIDR", ["--peer", "10.1.0.5", "--trusted", "10.1.0.1/16"], "error: 10.1.0.1/16 has host bits set"),
    ("a header without colon", ["--peer", "10.1.0.5", "--header", "foo"], "error: 'foo' is not a header"),
    ("no name before the colon", ["--peer", "10.1.0.5", "--header", ": x"], "is not a header"),
    ("a header for nobody", ["--peer", "10.1.0.5", "--client-address", "x-real-ip"], "name the trusted proxies"),
    ("no such directory", ["--peer", "10.1.0.5", "--policies", "no-such-directory"], "error: no-such-directory"),
    ("two sources", ["--peer", "10.1.0.5", "--policies", "p", "--hops", "1"], "come from the policy"),
]


@pytest.mark.parametrize(("name", "arguments", "expected"), USAGE, ids=[row[0] for row in USAGE])
def test_usage(name, arguments, expected):
    """What cannot be understood is said on stderr, with exit code 2."""
    done = explain(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert expected in done.stderr


def test_hostile_header():
    """A header pasted from a log cannot drive the terminal."""
    done = explain("--peer", "10.1.0.5", "--trusted", "10.1.0.0/16", "--header", "X-Forwarded-For: \x1b[31m[bold]x")
    assert done.returncode == 1
    assert "\x1b" not in done.stdout
    assert "[bold]x" in done.stdout
