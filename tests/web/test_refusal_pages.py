"""What a refused visitor gets: parsed with other people's parsers, and looked at in a browser."""

import base64
import hashlib
import http.server
import json
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from playwright.sync_api import Browser, sync_playwright

from gateway.model import Reason
from gateway.reasons import OUTCOMES
from gateway.web.pages import Answer, Brand, render_refusal

REFUSALS = [reason for reason in Reason if reason is not Reason.ALLOWED_BY_RULE]
LOGO = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><circle cx="4" cy="4" r="4" fill="#1d4f8f"/></svg>'
BRAND = Brand(name="Bank & Sons <tools>", logo=LOGO, support="desk@bank.example")
REQUEST_ID = "01990b3f7c5e7000a1b2c3d4e5f60718"
AT = datetime(2026, 11, 22, 9, 5, 1, 123, tzinfo=UTC)


class Page(HTMLParser):
    """The elements of a page in order, with their attributes, and the text inside each kind."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: dict[str, str] = {}
        self.feed(body.decode("utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in {"meta", "link", "img"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"{tag} is closed but not open"

    def handle_data(self, data: str) -> None:
        for tag in set(self.open):
            self.text[tag] = self.text.get(tag, "") + data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def refuse(reason: Reason = Reason.NO_RULE_MATCHED, brand: Brand = BRAND, **changes: object) -> Answer:
    arguments = {"request_id": REQUEST_ID, "accept": "text/html", "method": "GET", **changes}
    return render_refusal(brand, reason=reason, **arguments)


def headers(answer: Answer) -> dict[str, str]:
    names = [name for name, _ in answer.headers]
    assert len(names) == len(set(names)), "a header appears twice"
    assert all(name == name.lower() for name in names)
    return {name.decode("ascii"): value.decode("ascii") for name, value in answer.headers}


# --- headers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
@pytest.mark.parametrize("reason", REFUSALS)
def test_status_and_headers(reason: Reason, accept: str) -> None:
    """Each refusal has its status, is never stored, says what it is, and meets what RFC 9110 asks of its status."""
    answer = refuse(reason, accept=accept, allow=("GET", "HEAD"))
    found = headers(answer)
    assert answer.status == OUTCOMES[reason].status
    assert found["cache-control"] == "no-store"
    assert found["vary"] == "Accept"
    assert found["content-language"] == "en"
    assert found["content-length"] == str(len(answer.body))
    assert found.get("allow") == ("GET, HEAD" if answer.status == 405 else None)  # §15.5.6
    assert ("www-authenticate" in found) is (answer.status == 401)  # §15.5.2
    assert ("retry-after" in found) is (answer.status in {429, 503})  # §10.2.3, RFC 6585 §4
    assert "'none'" in found["content-security-policy"]


def test_the_page_has_its_own_content_security_policy() -> None:
    """The page may use nothing but its one style, named by its hash, and its logo."""
    answer = refuse()
    [style] = re.findall(rb"<style>(.*?)</style>", answer.body, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style).digest()).decode()
    assert headers(answer)["content-security-policy"].split("; ") == [
        "default-src 'none'",
        f"style-src 'sha256-{digest}'",
        "img-src data:",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'none'",
    ]


def test_json_may_do_nothing_in_a_browser() -> None:
    """A JSON answer that is opened in a browser is sandboxed."""
    policy = headers(refuse(accept="application/json"))["content-security-policy"]
    assert policy == "default-src 'none'; frame-ancestors 'none'; sandbox"


@pytest.mark.parametrize(
    ("given", "expected"), [(None, "10"), (42, "42"), (0, "1"), (-5, "1")], ids=["default", "given", "zero", "negative"]
)
def test_retry_after(given: int | None, expected: str) -> None:
    """A visitor who may come back is told when, in whole seconds, never at once."""
    assert headers(refuse(Reason.RATE_LIMITED, retry_after=given))["retry-after"] == expected
    assert json.loads(refuse(Reason.RATE_LIMITED, retry_after=given, accept="application/json").body)[
        "retry_after"
    ] == int(expected)


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_head_gets_the_headers_of_get_and_no_body(accept: str) -> None:
    """HEAD is answered like GET, without the body (RFC 9110 §9.3.2)."""
    head, get = refuse(method="HEAD", accept=accept), refuse(method="GET", accept=accept)
    assert head.body == b""
    assert head.headers == get.headers


def test_allowed_is_not_a_refusal() -> None:
    """There is no refusal page for a request that was allowed."""
    with pytest.raises(ValueError, match="does not refuse"):
        refuse(Reason.ALLOWED_BY_RULE)


# --- the page -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", REFUSALS)
def test_the_page_is_complete(reason: Reason) -> None:
    """The page says what happened, what to do next, the reason, the reference, the time and whom to ask."""
    page = Page(refuse(reason, at=AT).body)
    assert page.open == []
    outcome = OUTCOMES[reason]
    assert page.text["h1"] == outcome.title
    assert page.text["title"] == f"{outcome.title} · Bank & Sons <tools>"
    for text in (
        outcome.meaning,
        outcome.advice,
        reason.value,
        REQUEST_ID,
        "2026-11-22 09:05:01 UTC",
        str(outcome.status),
    ):
        assert text in page.text["main"]
    assert "desk@bank.example" in page.text["footer"]


def test_the_page_is_accessible() -> None:
    """The page has a language, one heading of the first level, landmarks, labelled sections, and no script."""
    page = Page(refuse().body)
    assert page.of("html") == [{"lang": "en"}]
    assert {"charset": "utf-8"} in page.of("meta")
    for landmark in ("header", "main", "footer", "h1"):
        assert len(page.of(landmark)) == 1
    ids = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    assert {attributes["aria-labelledby"] for _, attributes in page.elements if "aria-labelledby" in attributes} <= ids
    assert [attributes.get("alt") for attributes in page.of("img")] == [""]  # its text is the name beside it
    assert any(attributes.get("tabindex") == "0" for attributes in page.of("code"))
    assert not {"script", "iframe", "form", "object", "base"} & {name for name, _ in page.elements}
    assert not [
        name for _, attributes in page.elements for name in attributes if name.startswith("on") or name == "style"
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(scheme: str) -> None:
    """Text has a contrast of at least 4.5 to each ground it stands on, in both colour schemes (WCAG 2.2, 1.4.3)."""
    blocks = re.findall(r":root \{(.*?)\}", refuse().body.decode(), re.DOTALL)
    colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", blocks[0 if scheme == "light" else 1]))
    for ink in ("ink", "quiet", "accent"):
        for ground in ("ground", "paper", "well"):
            assert _contrast(colours[ink], colours[ground]) >= 4.5, f"{ink} on {ground}"


def _contrast(one: str, other: str) -> float:
    """WCAG 2.2, written again so that the product's own formula is not trusted here."""

    def luminance(colour: str) -> float:
        shares = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
        linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
        return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


HOSTILE = "\"'><script>alert(1)</script>&amp;\r\n\x00${name}$style%0d%0a"


def test_a_hostile_request_id_is_text() -> None:
    """A request id that a trusted proxy hands on is shown as text, whatever it contains."""
    page = Page(refuse(request_id=HOSTILE).body)
    assert "<script>alert(1)</script>" in page.text["code"]
    assert "${name}$style" in page.text["code"]
    assert not page.of("script")
    [link] = [attributes["href"] or "" for attributes in page.of("a") if attributes["href"]]
    assert re.fullmatch(r"mailto:desk@bank\.example\?subject=[A-Za-z0-9%._~-]+", link)
    assert json.loads(refuse(request_id=HOSTILE, accept="application/json").body)["request_id"] == HOSTILE
    assert refuse(request_id="\ud800").status == 403


SUPPORT = [
    ("nobody named", None, []),
    ("an address", "desk@bank.example", [f"mailto:desk@bank.example?subject=Reference%20{REQUEST_ID}"]),
    ("a site", "https://desk.bank.example/?a=1&b=2", ["https://desk.bank.example/?a=1&b=2"]),
    ("words", "Service desk, extension 4711", []),
    ("words with an address", "Desk <desk@bank.example>", []),
    (
        "a script is words",
        "javascript:alert(1)//@x.y",
        ["mailto:javascript%3Aalert%281%29%2F%2F@x.y?subject=Reference%20" + REQUEST_ID],
    ),
]


@pytest.mark.parametrize(("support", "links"), [case[1:] for case in SUPPORT], ids=[case[0] for case in SUPPORT])
def test_support(support: str | None, links: list[str]) -> None:
    """An e-mail address opens a message with the reference as its subject, an https address is a link."""
    page = Page(refuse(Reason.NOT_FOUND, Brand(support=support)).body)
    assert [attributes["href"] for attributes in page.of("a")] == links
    assert (support or "the team that gave you the address") in page.text["footer"]


def test_trying_again_is_a_link_where_it_can_help() -> None:
    """A page offers to try again where that may help, and never repeats a request that may have changed something."""
    assert {"href": ""} in Page(refuse(Reason.NOT_READY).body).of("a")
    assert {"href": ""} not in Page(refuse(Reason.NOT_READY, method="POST").body).of("a")
    assert {"href": ""} not in Page(refuse(Reason.DENIED_BY_RULE).body).of("a")


# --- JSON -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", REFUSALS)
def test_problem_details(reason: Reason) -> None:
    """A program gets problem details (RFC 9457) with the stable reason and the request id."""
    answer = refuse(reason, accept="application/json")
    assert headers(answer)["content-type"] == "application/problem+json"
    problem = json.loads(answer.body)
    outcome = OUTCOMES[reason]
    retry = {"retry_after": outcome.retry_after} if outcome.retry_after else {}
    assert problem.pop("title")
    assert problem == {
        "type": "about:blank",
        "status": outcome.status,
        "detail": f"{outcome.meaning} {outcome.advice}",
        "reason": reason.value,
        "request_id": REQUEST_ID,
        **retry,
    }


# RFC 9457 §4.2.1: with about:blank the title is the status phrase; RFC 9110 §15 and RFC 6585 have the phrases.
PHRASES = [
    (Reason.SIGN_IN_REQUIRED, "Unauthorized"),
    (Reason.REQUEST_TIMEOUT, "Request Timeout"),
    (Reason.BODY_TOO_LARGE, "Content Too Large"),
    (Reason.TARGET_TOO_LONG, "URI Too Long"),
    (Reason.HOST_NOT_ALLOWED, "Misdirected Request"),
    (Reason.RATE_LIMITED, "Too Many Requests"),
    (Reason.HEADERS_TOO_LARGE, "Request Header Fields Too Large"),
    (Reason.NOT_READY, "Service Unavailable"),
]


@pytest.mark.parametrize(("reason", "phrase"), PHRASES)
def test_status_phrases(reason: Reason, phrase: str) -> None:
    """The title of a problem is the phrase of its status."""
    assert json.loads(refuse(reason, accept="application/json").body)["title"] == phrase
    assert phrase in Page(refuse(reason).body).text["main"]


# --- a real browser -------------------------------------------------------------------------------------------

CHROMIUM = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
CHROMIUM += " --disable-component-update --disable-sync"


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers `/<reason>` with its refusal."""

    def do_GET(self) -> None:
        answer = refuse(Reason(self.path[1:]), accept=self.headers.get("Accept", ""), at=AT)
        self.send_response(answer.status)
        for name, value in answer.headers:
            self.send_header(name.decode(), value.decode())
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=CHROMIUM.split())
        yield chromium
        chromium.close()


@pytest.mark.parametrize(
    ("scheme", "width", "reason"),
    [
        ("light", 1280, "no-rule-matched"),
        ("dark", 1280, "sign-in-required"),
        ("light", 320, "client-address-chain-too-short"),
        ("dark", 320, "headers-too-large"),
    ],
)
def test_in_a_browser(browser: Browser, site: str, scheme: str, width: int, reason: str) -> None:
    """Chromium shows the page styled, without complaint, and without scrolling sideways down to 320 px."""
    page = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 640})
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{site}/{reason}")
    status = OUTCOMES[Reason(reason)].status
    # Chromium reports the status of any page that is not a success; anything else would be the page's fault.
    assert [text for text in complaints if f"responded with a status of {status} " not in text] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("getComputedStyle(document.querySelector('main')).borderTopWidth") == "4px"
    assert page.evaluate("document.querySelector('img').naturalWidth") > 0
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(16, 19, 23)"
    assert dark is (scheme == "dark")
    page.close()


def test_the_reference_can_be_copied_by_hand(browser: Browser, site: str) -> None:
    """The reference is reached with the keyboard, and one click selects all of it."""
    page = browser.new_page()
    page.goto(f"{site}/denied-by-rule")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == REQUEST_ID
    page.get_by_role("textbox", name="Reference").click()
    assert page.evaluate("getSelection().toString().trim()") == REQUEST_ID
    page.close()
