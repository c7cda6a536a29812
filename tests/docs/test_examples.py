"""The examples in the guide for tool owners, run as they stand: written to files, started, and asked."""

import re
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.docs.documents import ROOT, blocks
from tests.support.processes import PYTHON, free_port, running
from tests.support.streamlit_client import StreamlitClient, visit

GUIDE = (ROOT / "docs" / "tool-owner.md").read_text("utf-8")
GATEWAY = Path(PYTHON).with_name("gateway")


@pytest.fixture
def workplace(tmp_path):
    """A directory with the guide's Python files under the names in their first lines, and the bundled policies."""
    for block in blocks(GUIDE, "python"):
        if found := re.match(r"# (\w+\.py)", block):
            (tmp_path / found[1]).write_text(block)
    shutil.copytree(ROOT / "policies", tmp_path / "policies")
    return tmp_path


def test_the_tool_of_the_guide_knows_its_visitor(workplace):
    """`gateway serve tool.py --policies policies`: the script shows who is there and which rule let them in."""
    [command] = [block.strip() for block in blocks(GUIDE, "") if block.startswith("gateway serve")]
    port = free_port()
    words = [GATEWAY, *command.split()[1:], "--port", str(port)]
    with running(words, ready_line="policy 0001", cwd=workplace), _visitor(port) as client:
        assert "You come from 127.0.0.1 and were let in by this-machine" in " ".join(client.rerun().text.split())


def _visitor(port: int) -> StreamlitClient:
    return StreamlitClient(visit(f"http://127.0.0.1:{port}"))


def test_the_routes_of_the_guide_answer(workplace):
    """`gateway serve web:app`: the added route answers under the same policy and with the same headers as the pages."""
    [command] = re.findall(r"started with: (gateway serve \S+)", GUIDE)
    port = free_port()
    words = [GATEWAY, *command.split()[1:], "--port", str(port)]
    url = f"http://127.0.0.1:{port}"
    with running(words, ready_line="policy 0001", cwd=workplace), httpx.Client(base_url=url, trust_env=False) as client:
        answer = client.get("/api/version")
        assert (answer.status_code, answer.json()) == (200, {"version": "4.2"})
        assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'; sandbox"
        assert "x-request-id" in answer.headers
        assert client.get("/api/nothing").status_code == 404
        assert client.get("/").status_code == 200


def test_a_policy_cannot_be_given_twice(workplace):
    """`--policies` beside an object that brings its own is wrong use: exit code 2, and what to do instead."""
    command = [GATEWAY, "serve", "web:app", "--policies", "policies"]
    done = subprocess.run(command, cwd=workplace, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "hint: leave out --policies" in done.stderr
