"""Which paths exist: Streamlit's routes as the manifest has them, the pages, and nothing that nobody has named."""

import subprocess
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect as ws_connect

from tests.e2e.conftest import COLLEAGUE, GATEWAY, POLICY, STAFF, gateway_served, wait_for, write_policies
from tests.support.processes import PYTHON, clean_environment, free_port, running
from tests.support.streamlit_client import StreamlitClient, Visitor

HTML = {"Accept": "text/html"}


def tool(directory: Path, source: str, files: dict[str, str] | None = None) -> Path:
    for name, text in {"tool.py": source, **(files or {})}.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    return directory / "tool.py"


# --- what is not there ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/nothing", "/index.html", "/_stcore/new", "/_stcore/metrics", "/_stcore/agent/mcp", "/ledger/x", "/.env"]
)
def test_what_is_not_named_is_a_branded_404(served, path):
    """Whatever is neither a route nor a page: the answer is our page, and the record names a probe."""
    response = served.get(path, headers=HTML)
    assert response.status_code == 404
    assert "There is nothing at this address" in response.text
    assert response.headers["x-request-id"] in response.text
    decision, outcome = served.exchange(response.headers["x-request-id"])
    assert decision["unmapped"]["gateway"]["inputs"]["surface"] == "probe"
    assert outcome["unmapped"]["gateway"]["reason"] == "not-found"


def test_options_is_refused(served):
    """Streamlit would tell the addresses of its development server; at unknown paths there is nothing to ask."""
    with served.http() as client:
        for path in ("/_stcore/health", "/media/x", "/component/x", "/_stcore/upload_file/s/f", "/"):
            response = client.options(path)
            assert (response.status_code, "access-control-allow-origin" in response.headers) == (405, False), path
        assert client.options("/nothing").status_code == 404


@pytest.mark.parametrize("path", ["/", "/_stcore/health", "/auth/login", "/.gateway/whoami"])
def test_a_socket_where_none_is_served_is_not_found(served, path):
    """A WebSocket handshake at a page or at a plain route finds nothing, whatever the rules allow."""
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Origin": served.url,
    }
    assert served.get(path, headers=headers).status_code == 404


OWNER = """
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from gateway import Gateway

async def read(request): return PlainTextResponse("read")
async def write(request): return PlainTextResponse("written")
async def talk(socket):
    await socket.accept()
    await socket.send_text("hello")
    await socket.close()

app = Gateway("tool.py", routes=[
    Route("/api/notes", read, methods=["GET"]),
    Route("/api/notes", write, methods=["POST"]),
    WebSocketRoute("/api/talk", talk),
])
"""


def test_routes_of_the_owner(tmp_path):
    """Each method of a path finds its own route, and a socket only what was made for one."""
    tool(tmp_path, "import streamlit as st", {"web.py": OWNER})
    policies, port, state = write_policies(tmp_path / "policies"), free_port(), tmp_path / "state"
    env = {"GATEWAY_POLICIES": str(policies), "GATEWAY_STATE_DIR": str(state)}
    command = [*GATEWAY, "serve", "web:app", "--port", str(port)]
    with running(command, ready_line="serving ", env=env, cwd=tmp_path), httpx.Client(trust_env=False) as client:
        url = f"http://127.0.0.1:{port}/api"
        assert client.get(f"{url}/notes").text == "read"
        assert client.post(f"{url}/notes").text == "written"
        assert client.delete(f"{url}/notes").status_code == 405
        assert client.get(f"{url}/talk").status_code == 404
        with ws_connect(f"ws://127.0.0.1:{port}/api/talk", origin=f"http://127.0.0.1:{port}", proxy=None) as socket:
            assert socket.recv() == "hello"
        with pytest.raises(InvalidStatus) as refused:
            ws_connect(f"ws://127.0.0.1:{port}/api/notes", origin=f"http://127.0.0.1:{port}", proxy=None)
        assert refused.value.response.status_code == 404


# --- routes with a rule of their own --------------------------------------------------------------------------


def test_the_host_configuration_names_the_origins_of_the_policy(served, tmp_path):
    """Streamlit's own answer names its cloud; ours has the same keys, and the policy's origins."""
    port = free_port()
    script = tool(tmp_path, "import streamlit as st")
    command = [PYTHON, "-m", "streamlit", "run", str(script), "--server.port", str(port), "--server.headless", "true"]
    with running([*command, "--browser.gatherUsageStats", "false"], ready_line="URL: ", cwd=tmp_path):
        bare = httpx.get(f"http://127.0.0.1:{port}/_stcore/host-config", trust_env=False).json()
    answer = served.get("/_stcore/host-config")
    assert set(answer.json()) == set(bare)
    assert any("streamlit" in origin for origin in bare["allowedOrigins"])
    assert answer.json()["allowedOrigins"] == ["https://portal.example"]
    assert not answer.json()["enableCustomParentMessages"]
    assert "access-control-allow-origin" not in answer.headers
    with served.http() as client:
        head = client.head("/_stcore/host-config")
    assert (head.status_code, head.content, head.headers["content-length"]) == (
        200,
        b"",
        answer.headers["content-length"],
    )


OPENED = (
    POLICY
    + """
[[rules]]
id = "operators-only"
effect = "deny"
because = "Numbers are for operators."
surfaces = ["api", "mcp"]
unless = { networks = ["operators"] }

[streamlit]
metrics = "allow"
script_health = "allow"
agent_api = "allow"
"""
)
OPENED = OPENED.replace("[networks]", '[networks]\noperators = ["127.0.0.2"]')


def test_metrics_and_checks_are_open_when_the_policy_says_so_and_to_whom(tmp_path):
    """They do not exist by default. Opened, they are under the rules; a policy that shuts them is obeyed at once."""
    paths = ["/_stcore/metrics", "/_stcore/script-health-check", "/_stcore/agent/openapi.json"]
    with gateway_served(tmp_path, policy=OPENED) as gateway:
        assert [gateway.get(path).status_code for path in paths] == [403, 403, 403]
        assert [gateway.get(path, COLLEAGUE).status_code for path in paths] == [200, 200, 200]
        assert "# EOF" in gateway.get(paths[0], COLLEAGUE).text
        with gateway.http(COLLEAGUE) as client:
            assert [client.delete(path).status_code for path in paths] == [405, 405, 405]
        write_policies(gateway.policies, POLICY, "0002-shut.toml")
        wait_for(lambda: [gateway.get(path, COLLEAGUE).status_code for path in paths], lambda found: found == [404] * 3)


# --- pages ----------------------------------------------------------------------------------------------------

BY_PERSON = """
import streamlit as st
from gateway.streamlit import current
def page(name):
    def show(): st.title(f"this is {name}")
    return st.Page(show, title=name.title(), url_path=name)
names = ["start", "ledger.2027"]
if (exchange := current()) and exchange.client.address == "127.0.0.2":
    names = ["admin", "start", "v1.2"]
st.navigation([page(name) for name in names]).run()
"""


def answers(gateway, paths, base=""):
    return [gateway.get(base + path).status_code for path in paths]


@pytest.mark.parametrize("base", ["", "/tools/demo"], ids=["root", "base path"])
def test_pages_written_in_the_source(tmp_path, base):
    """A deep link right after the start is a page; what is none is a 404; the default page has one address."""
    source = (
        "import streamlit as st\nfrom views import ledger\ndef home(): st.title('Home')\n"
        "st.navigation({'': [home, st.Page('views/trends.py')], 'x': [st.Page('views/2_Big chart.py')]}).run()"
    )
    files = {"views/__init__.py": "ledger = 1", "views/trends.py": "", "views/2_Big chart.py": ""}
    env = {"GATEWAY_SERVER__BASE_PATH": base} if base else {}
    with gateway_served(tmp_path, script=tool(tmp_path, source, files), env=env) as gateway:
        assert answers(gateway, ["/", "/trends", "/Big_chart"], base) == [200, 200, 200]
        assert answers(gateway, ["/home", "/other", "/views", "/trends/x"], base) == [404] * 4
        with StreamlitClient(Visitor(gateway.url + base, source_address=STAFF)) as client:
            client.rerun(page_name="trends")
        assert answers(gateway, ["/home", "/other"], base) == [404, 404]


def test_pages_of_the_folder_may_come_while_the_tool_runs(tmp_path):
    """Files in `pages/` are pages. Streamlit looks there at every run, and what it then declares is a page, too."""
    script = tool(tmp_path, "import streamlit as st", {"pages/1_Trends.py": ""})
    with gateway_served(tmp_path, script=script) as gateway:
        assert answers(gateway, ["/Trends", "/Later", "/tool"]) == [200, 404, 404]
        (tmp_path / "pages" / "2_Later.py").write_text("")
        with gateway.connect() as client:
            client.rerun()
        assert answers(gateway, ["/Trends", "/Later", "/tool"]) == [200, 200, 404]


def test_pages_that_differ_by_person(tmp_path):
    """Before anybody has run the script, what could be a page is one; what is declared to one person is a page."""
    with gateway_served(tmp_path, script=tool(tmp_path, BY_PERSON)) as gateway:
        assert answers(gateway, ["/admin", "/could-be", "/v1.2", "/a/b", "/x.php"]) == [200, 200, 404, 404, 404]
        with gateway.connect(STAFF) as client:
            client.rerun()
        assert answers(gateway, ["/admin", "/ledger.2027", "/v1.2"]) == [200, 200, 404]
        with gateway.connect(COLLEAGUE) as client:
            client.rerun()
        assert answers(gateway, ["/admin", "/ledger.2027", "/v1.2"]) == [200, 200, 200]


def test_the_policy_ends_the_guessing(tmp_path):
    """With a list of pages in the policy, what is neither listed nor declared is a 404; a new list holds at once."""
    listed = POLICY + '[streamlit]\npages = ["/admin"]\n'
    with gateway_served(tmp_path, policy=listed, script=tool(tmp_path, BY_PERSON)) as gateway:
        assert answers(gateway, ["/admin", "/start", "/could-be"]) == [200, 404, 404]
        with gateway.connect(COLLEAGUE) as client:
            client.rerun()
        assert answers(gateway, ["/admin", "/start", "/could-be"]) == [200, 200, 404]
        write_policies(gateway.policies, POLICY + '[streamlit]\npages = ["/could-be"]\n', "0002-other.toml")
        wait_for(lambda: answers(gateway, ["/could-be"]), lambda found: found == [200])


def test_the_first_message_of_a_run_teaches_no_pages(tmp_path):
    """`new_session` repeats the name that the client has asked for: a client cannot make a page by asking for it."""
    script = tool(tmp_path, "import streamlit as st\nst.write('one page')")
    with gateway_served(tmp_path, script=script) as gateway:
        with gateway.connect() as client:
            client.rerun(page_name="made-up")
        assert answers(gateway, ["/", "/made-up"]) == [200, 404]


# --- versions -------------------------------------------------------------------------------------------------


def pretending(directory: Path, version: str) -> dict[str, str]:
    """An environment in which Streamlit's metadata, which it takes its version from, says so."""
    info = directory / "site" / f"streamlit-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: streamlit\nVersion: {version}\n")
    return {"PYTHONPATH": str(info.parent)}


def test_a_newer_streamlit_starts_with_a_warning(tmp_path):
    """The log says what is not guaranteed."""
    with gateway_served(tmp_path, env=pretending(tmp_path, "1.99.0")) as gateway:
        output = gateway.process.output()
        assert gateway.get("/").status_code == 200
    assert "streamlit.newer-than-known" in output
    assert "messages: kinds that are new are refused" in output


@pytest.mark.parametrize("version", ["1.66.0", "2.0.0"])
def test_an_unsupported_streamlit_does_not_start(tmp_path, version):
    """The error names the version, what is supported, and what to install."""
    policies = write_policies(tmp_path / "policies")
    command = [*GATEWAY, "serve", str(tool(tmp_path, "import streamlit")), "--policies", str(policies)]
    environment = clean_environment(pretending(tmp_path, version))
    options = ["--port", str(free_port()), "--state-dir", str(tmp_path / "state")]
    done = subprocess.run(
        [*command, *options], capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=60
    )
    assert done.returncode == 3
    assert f"Streamlit {version} is not supported: the gateway knows 1.67 to 1.67" in done.stderr
    assert "pip install 'streamlit==1.67.*'" in done.stderr
