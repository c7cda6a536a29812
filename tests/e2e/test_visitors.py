"""Sessions and quotas: how a visitor is told from others, and how much one may ask for."""

import re

import pytest
from websockets.exceptions import InvalidStatus

from tests.e2e.conftest import COLLEAGUE, OUTSIDER, POLICY, STAFF, gateway_served
from tests.support.streamlit_client import StreamlitClient

COOKIE = "gateway-without-tls"  # over plain http; `__Host-gateway` over https is in test_tls.py


def cookies(response):
    return [value for value in response.headers.get_list("set-cookie") if value.startswith(COOKIE)]


def test_a_first_page_begins_a_session(served):
    """The cookie is HttpOnly, Lax, for the whole host, and small; it comes with a page and with nothing else."""
    [cookie] = cookies(served.get("/"))
    assert re.fullmatch(rf"{COOKIE}=[\w.-]{{60,200}}; Path=/; HttpOnly; SameSite=Lax; Max-Age=43\d\d\d", cookie)
    assert cookies(served.get("/_stcore/health")) == []
    assert cookies(served.get("/favicon.png")) == []
    assert cookies(served.get("/ledger")) == []
    assert cookies(served.get("/nothing")) == []
    assert cookies(served.get("/", OUTSIDER)) == []


def test_a_session_goes_on(served):
    """A visitor who comes back has the same session, and no new cookie with every answer."""
    with served.http() as client:
        first = client.get("/")
        again = client.get("/")
        session = client.get("/.gateway/whoami").json()["session"]
        assert cookies(again) == []
        assert client.get("/.gateway/whoami").json()["session"] == session
    assert re.fullmatch(r"[0-9a-f]{16}", session)
    assert session not in first.headers["set-cookie"]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("a changed character", lambda value: value[:-1] + ("A" if value[-1] != "A" else "B")),
        ("another id", lambda value: "A" * 32 + value[32:]),
        ("no signature", lambda value: value.rpartition(".")[0]),
        ("nothing", lambda value: ""),
        ("very long", lambda value: value * 60),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_forged_cookie_is_no_session(served, name, change):
    """What we have not sealed is ignored; a page begins a new session instead."""
    with served.http() as client:
        client.get("/")
        value = client.cookies[COOKIE]
    forged = {"Cookie": f"{COOKIE}={change(value)}"}
    assert served.get("/.gateway/whoami", headers=forged).json()["session"] is None
    assert len(cookies(served.get("/", headers=forged))) == 1


def test_two_cookies_of_our_name_are_no_session(served):
    """Somebody else has set one of them, and nobody can tell which."""
    with served.http() as client:
        client.get("/")
        value = client.cookies[COOKIE]
    twice = {"Cookie": f"{COOKIE}={value}; {COOKIE}={value}"}
    assert served.get("/.gateway/whoami", headers=twice).json()["session"] is None


def test_a_restart_logs_nobody_out(tmp_path):
    """The keys are in the state directory: a session goes on after a restart."""
    with gateway_served(tmp_path) as gateway, gateway.http() as client:
        client.get("/")
        value, session = client.cookies[COOKIE], client.get("/.gateway/whoami").json()["session"]
    with gateway_served(tmp_path) as gateway:
        again = gateway.get("/.gateway/whoami", headers={"Cookie": f"{COOKIE}={value}"})
    assert again.json()["session"] == session


LIMITED = POLICY.replace(
    "[limits]\n",
    '[limits]\nrequests = { rate = "60/min", burst = 5, per = "session" }\n',
)


@pytest.fixture(scope="module")
def limited(tmp_path_factory):
    with gateway_served(tmp_path_factory.mktemp("limited"), policy=LIMITED) as gateway:
        yield gateway


def test_requests_beyond_the_rate_are_refused(limited):
    """The burst passes, the next one is told to wait, and another visitor is not concerned."""
    answers = [limited.get("/.gateway/whoami", COLLEAGUE, headers={"Accept": "application/json"}) for _ in range(7)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 2
    assert answers[-1].json()["reason"] == "rate-limited"
    assert int(answers[-1].headers["retry-after"]) >= 1
    decision, outcome = limited.exchange(answers[-1].headers["x-request-id"])
    assert (decision["action_id"], outcome["action_id"]) == (1, 2)  # allowed by the policy, stopped by the limit
    assert limited.get("/.gateway/whoami", STAFF).status_code == 200


def test_a_new_session_is_no_new_allowance(limited):
    """Who throws the cookie away at every page is counted by address."""
    source = "127.0.0.2"
    answers = [limited.get("/", source).status_code for _ in range(8)]
    assert 429 in answers


def test_sockets_beyond_the_count_are_refused(tmp_path):
    """So many sockets at once, and one more when one has closed."""
    policy = POLICY.replace("[limits]\n", "[limits]\nsockets = { per_client = 2 }\n")
    with gateway_served(tmp_path, policy=policy) as gateway:
        first, second = gateway.connect(), gateway.connect()
        with pytest.raises(InvalidStatus) as refused:
            gateway.connect()
        assert refused.value.response.status_code == 429
        assert "too-many-sockets" in refused.value.response.body.decode()
        first.close()
        second.rerun()
        with StreamlitClient(gateway.visitor()) as third:
            assert third.rerun().text
        second.close()
