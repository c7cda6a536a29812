"""Starting, refusing to start, reloading, stopping: the command line against real files."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import DEMO, GATEWAY, POLICY, gateway_served, wait_for, write_policies
from tests.support.processes import PYTHON, ROOT, clean_environment, free_port, running


def start(directory, *options, env=None, command=None):
    """Run `gateway serve` until it ends by itself; it must."""
    port = str(free_port())
    command = command or [*GATEWAY, "serve", str(DEMO), "--policies", str(directory / "policies"), "--port", port]
    return subprocess.run(
        [*command, *options],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=directory,
        env=clean_environment({"GATEWAY_STATE_DIR": str(directory / "state"), **(env or {})}),
    )


def test_every_problem_of_a_policy_is_listed_and_nothing_is_served(tmp_path):
    """A wrong policy: exit code 3, all problems at once with file and key path, and no state is written."""
    policies = write_policies(tmp_path / "policies")
    wrong = (
        POLICY.replace('"127.0.0.2"', '"10.0.0.1/24"')
        .replace("[limits]", "[limitz]")
        .replace('"staff"\neffect', '"staff"\nefect')
    )
    (policies / "0001-test.toml").write_text(wrong)
    checked = subprocess.run(
        [*GATEWAY, "policy", "check", "--policies", str(policies)],
        capture_output=True,
        text=True,
        env=clean_environment(),
    )
    assert checked.returncode == 2
    for problem in ("networks.staff[1]: ", "unknown key 'limitz'", "rules[0]: unknown key 'efect'"):
        assert f"0001-test.toml: {problem}" in checked.stderr
    ended = start(tmp_path)
    assert ended.returncode == 3
    assert "hint: " in ended.stderr
    assert not (tmp_path / "state").exists()


def test_a_released_file_that_was_changed_is_refused(tmp_path):
    """One byte more in a released policy: exit code 3, and how to make a new revision."""
    policies = write_policies(tmp_path / "policies")
    with (policies / "0001-test.toml").open("a") as file:
        file.write("\n")
    ended = start(tmp_path)
    assert ended.returncode == 3
    assert "0001-test.toml" in ended.stderr
    assert "release" in ended.stderr


def test_missing_files(tmp_path):
    """No policies, no script, a network file that is not there: exit code 3 and a text that says which."""
    assert "policies.lock" in start(tmp_path).stderr
    policies = write_policies(tmp_path / "policies")
    command = [*GATEWAY, "serve", str(tmp_path / "none.py"), "--policies", str(policies)]
    ended = start(tmp_path, command=command)
    assert (ended.returncode, "none.py" in ended.stderr) == (3, True)


@pytest.mark.parametrize(
    ("name", "env", "text"),
    [
        ("an unknown variable", {"GATEWAY_SERVER__PROT": "1"}, "GATEWAY_SERVER__PROT"),
        ("a time that is none", {"GATEWAY_SERVER__HEAD_TIMEOUT": "soon"}, "GATEWAY_SERVER__HEAD_TIMEOUT"),
        ("a secret too short", {"GATEWAY_SESSION__KEYS": "hunter2"}, "GATEWAY_SESSION__KEYS"),
        ("a file that is not there", {"GATEWAY_SESSION__KEYS_FILE": "/nonexistent"}, "GATEWAY_SESSION__KEYS_FILE"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_wrong_settings(tmp_path, name, env, text):
    """A wrong environment variable is named, its value never shown if it is a secret."""
    write_policies(tmp_path / "policies")
    ended = start(tmp_path, env=env)
    assert ended.returncode == 3
    assert text in ended.stderr
    assert "hunter2" not in ended.stderr


def test_a_script_that_is_not_python(tmp_path):
    """A syntax error is found at start-up, with its line."""
    write_policies(tmp_path / "policies")
    (tmp_path / "broken.py").write_text("import streamlit as st\nst.write(\n")
    command = [*GATEWAY, "serve", str(tmp_path / "broken.py"), "--policies", str(tmp_path / "policies")]
    ended = start(tmp_path, command=command)
    assert ended.returncode == 3
    assert re.search(r"broken\.py is not valid Python: line \d", ended.stderr)


def test_two_processes_do_not_share_a_record(tmp_path):
    """The record belongs to one process: a second one with the same state directory does not start."""
    with gateway_served(tmp_path) as gateway:
        ended = start(tmp_path, env={"GATEWAY_STATE_DIR": str(gateway.state)})
    assert ended.returncode == 3
    assert "another process" in ended.stderr


def test_a_wrong_release_leaves_the_last_good_policy(tmp_path):
    """On reload the last good revision stays in force, and the record, the log and readiness say so."""
    ops = free_port()
    with gateway_served(tmp_path, options=["--ops-port", str(ops)]) as gateway:
        assert gateway.get("/").status_code == 200
        (gateway.policies / "0001-test.toml").write_text("schema = 2")
        report = wait_for(
            lambda: httpx.get(f"http://127.0.0.1:{ops}/readyz", trust_env=False).json(),
            lambda r: r["policy"]["problems"],
        )
        assert (report["ready"], report["policy"]["revision"]) == (True, "0001")
        assert gateway.get("/").status_code == 200
        assert "policy.kept-last-good" in gateway.process.output()
        assert "policy.rejected" in {event["metadata"]["event_code"] for event in gateway.records()}


@pytest.mark.parametrize("told", ["by watching the files", "by SIGHUP"])
def test_a_release_takes_effect_without_a_restart(tmp_path, told):
    """A new revision is in force within moments, and every decision names the one that made it."""
    with gateway_served(tmp_path) as gateway:
        before = gateway.get("/")
        write_policies(gateway.policies, POLICY.replace('pages = ["/ledger"]', 'paths = ["/"]'), "0002-closed.toml")
        if told == "by SIGHUP":
            gateway.process.process.send_signal(signal.SIGHUP)
        after = wait_for(lambda: gateway.get("/"), lambda response: response.status_code == 403)
        revisions = [
            gateway.exchange(response.headers["x-request-id"])[0]["policy"]["version"] for response in (before, after)
        ]
        assert revisions == ["0001", "0002"]
        changes = [event for event in gateway.records() if event["metadata"]["event_code"] == "policy.change"]
        assert [event["entity_result"]["version"] for event in changes] == ["0001", "0002"]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_stopping_is_orderly(tmp_path, how):
    """A signal ends it with exit code 0, open sockets included, and the record says that it ended."""
    with gateway_served(tmp_path) as gateway:
        with gateway.connect() as client:
            client.rerun()
            gateway.process.process.send_signal(how)
            assert gateway.process.process.wait(20) == 0
        codes = [event["metadata"]["event_code"] for event in gateway.records()]
        assert codes[-2:] == ["gateway.stop", "audit.stop"]
        assert "ws.close" in codes


def test_a_stop_before_the_start_is_done(tmp_path):
    """SIGTERM while it still loads ends it with exit code 0: an orchestrator must not have to kill it."""
    write_policies(tmp_path / "policies")
    command = [*GATEWAY, "serve", str(DEMO), "--policies", str(tmp_path / "policies"), "--port", str(free_port())]
    for delay in (0.25, 0.6):
        process = subprocess.Popen(command, cwd=tmp_path, env=clean_environment(), stderr=subprocess.DEVNULL)
        time.sleep(delay)
        process.terminate()
        assert process.wait(20) in (0, -signal.SIGTERM)  # the second: before Python itself had started


def test_a_gateway_object(tmp_path):
    """`gateway serve module:attribute` serves a Gateway, with the owner's routes under the same rules."""
    write_policies(tmp_path / "policies")
    (tmp_path / "web.py").write_text(
        "from gateway import Gateway\n"
        "from starlette.responses import JSONResponse\n"
        "from starlette.routing import Route\n"
        "async def version(request): return JSONResponse({'version': 1})\n"
        "async def broken(request): raise ValueError('4711')\n"
        "routes = [Route('/api/version', version), Route('/api/broken', broken)]\n"
        f"app = Gateway({str(DEMO)!r}, policies='policies', routes=routes)\n"
    )
    port = free_port()
    command = [*GATEWAY, "serve", "web:app", "--port", str(port)]
    env = clean_environment({"GATEWAY_STATE_DIR": str(tmp_path / "state")})
    with (
        running(command, ready_line="serving ", env=env, cwd=tmp_path),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        fine, posted, broken = client.get("/api/version"), client.post("/api/version"), client.get("/api/broken")
    assert (fine.status_code, fine.json()) == (200, {"version": 1})
    assert fine.headers["x-frame-options"] == "DENY"
    assert posted.status_code == 405
    assert (broken.status_code, "4711" in broken.text) == (500, False)
    assert broken.headers["x-request-id"] in broken.text


@pytest.mark.parametrize(
    ("name", "target", "text"),
    [
        ("no such module", "nothing:app", "no module nothing"),
        ("no such attribute", "json:app", "no attribute app"),
        ("something else", "json:dumps", "not a Gateway"),
    ],
    ids=lambda value: value if " " in value else None,
)
def test_a_target_that_is_no_gateway(tmp_path, name, target, text):
    """What cannot be served is named, with exit code 2."""
    ended = start(tmp_path, command=[*GATEWAY, "serve", target])
    assert ended.returncode == 2
    assert text in ended.stderr


UVICORN = [PYTHON, "-m", "uvicorn", "gateway.app:app"]


def test_uvicorn_that_rewrites_addresses_is_refused(tmp_path):
    """Under plain uvicorn the visitor could type the address that the allow-list is about: exit code 3."""
    write_policies(tmp_path / "policies")
    ended = start(
        tmp_path,
        "--port",
        str(free_port()),
        command=UVICORN,
        env={"GATEWAY_SCRIPT": str(DEMO), "PYTHONPATH": str(ROOT)},
    )
    assert ended.returncode == 3
    assert "rewrites client addresses" in ended.stderr
    assert "--no-proxy-headers" in ended.stderr


def test_uvicorn_with_an_unlimited_parser_is_refused(tmp_path):
    """httptools, which uvicorn takes by itself where it is installed, has no limit of header size."""
    write_policies(tmp_path / "policies")
    beside = Path(sys.prefix) / "beside"  # where the Makefile installs it
    assert (beside / "httptools").is_dir()
    env = {"GATEWAY_SCRIPT": str(DEMO), "PYTHONPATH": f"{ROOT}{os.pathsep}{beside}"}
    ended = start(tmp_path, "--no-proxy-headers", "--port", str(free_port()), command=UVICORN, env=env)
    assert ended.returncode == 3
    assert "--http h11" in ended.stderr


def test_uvicorn_that_leaves_addresses_alone(tmp_path):
    """`uvicorn gateway.app:app --no-proxy-headers --http h11` serves the tool of the settings."""
    write_policies(tmp_path / "policies")
    port = free_port()
    env = {"GATEWAY_SCRIPT": str(DEMO), "GATEWAY_STATE_DIR": str(tmp_path / "state"), "PYTHONPATH": str(ROOT)}
    command = [*UVICORN, "--no-proxy-headers", "--http", "h11", "--port", str(port)]
    with running(command, ready_url=f"http://127.0.0.1:{port}/", env=clean_environment(env), cwd=tmp_path):
        spoofed = httpx.get(
            f"http://127.0.0.1:{port}/.gateway/whoami", headers={"X-Forwarded-For": "203.0.113.9"}, trust_env=False
        )
    assert spoofed.json()["client"]["address"] == "127.0.0.1"


def test_python_versions():
    """The package says which Python it needs, and this is one."""
    assert sys.version_info >= (3, 11)
