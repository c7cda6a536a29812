"""The tool below a base path, as behind a proxy that serves several tools on one host."""

import pytest

from tests.e2e.conftest import STAFF, gateway_served
from tests.support.streamlit_client import StreamlitClient, Visitor


@pytest.fixture(scope="module")
def below(tmp_path_factory):
    with gateway_served(tmp_path_factory.mktemp("below"), env={"GATEWAY_SERVER__BASE_PATH": "/tools/demo"}) as gateway:
        yield gateway


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/tools/demo", 308),  # to the same with a slash: the document's references are relative
        ("/tools/demo/", 200),
        ("/tools/demo/_stcore/health", 200),
        ("/tools/demo/favicon.png", 200),
        ("/tools/demo/.gateway/whoami", 200),
        ("/tools/demo/ledger", 403),
        ("/tools/demo/nothing", 404),
        ("/", 404),
        ("/_stcore/health", 404),
        ("/.gateway/whoami", 404),
        ("/tools/demonstration", 404),
        ("/tools", 404),
    ],
)
def test_only_what_is_below_the_base_path_is_served(below, path, status):
    """Rules see paths below the base path; what is outside of it is not found."""
    assert below.get(path).status_code == status


def test_the_base_path_itself_leads_to_the_page(below):
    """Without a slash at its end, the browser would look for the scripts in the wrong place."""
    response = below.get("/tools/demo?a=1")
    assert response.headers["location"] == "demo/?a=1"
    assert below.get("/tools/demo", follow_redirects=True).url.path == "/tools/demo/"


def test_the_socket_is_below_it_too(below):
    """Streamlit's socket answers below the base path."""
    with StreamlitClient(Visitor(f"{below.url}/tools/demo", source_address=STAFF)) as client:
        assert client.rerun().text
