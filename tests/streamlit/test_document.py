"""Streamlit's document with nonces, and the policy that goes with it."""

from html.parser import HTMLParser
from pathlib import Path

import pytest
from streamlit import file_util

from gateway.errors import StartupError
from gateway.model import ContentSecurity, Surface
from gateway.streamlit.content_security import INERT, PROFILES, RELAXATIONS, of_document, of_surface
from gateway.streamlit.document import prepare


class Elements(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def elements(html):
    parser = Elements()
    parser.feed(html)
    return parser.found


def test_every_script_of_the_installed_document_has_the_nonce():
    """Each script and module preload of Streamlit's document carries the nonce, as does what Vite reads."""
    html = (Path(file_util.get_static_dir()) / "index.html").read_text("utf-8")
    found = elements(b"NONCE".join(prepare(html)).decode())
    scripts = [attrs for tag, attrs in found if tag == "script"]
    preloads = [attrs for tag, attrs in found if tag == "link" and attrs.get("rel") == "modulepreload"]
    assert len(scripts) >= 2
    assert len(preloads) > 10
    assert all(attrs["nonce"] == "NONCE" for attrs in scripts + preloads)
    assert ("meta", {"property": "csp-nonce", "nonce": "NONCE"}) in found


@pytest.mark.parametrize(
    "html", ["", "<html><body>no head</body></html>", "<head></head>", "<head><SCRIPT>x</SCRIPT></head>"]
)
def test_a_document_that_we_do_not_know_is_not_served(html):
    """Another layout than the expected one stops the start: a script without a nonce would be a blank page."""
    with pytest.raises(StartupError):
        prepare(html)


def directives(header):
    return {name: sources for name, *sources in (part.split() for part in header.decode().split(";"))}


def test_strict_allows_no_inline_script_and_no_eval():
    """The default profile: scripts by nonce alone."""
    [(name, value)] = of_document(ContentSecurity(), "R")
    found = directives(value)
    assert name == b"content-security-policy"
    assert found["script-src"] == ["'nonce-R'", "'wasm-unsafe-eval'"]
    assert found["default-src"] == found["object-src"] == found["base-uri"] == found["frame-ancestors"] == ["'none'"]
    assert b"strict-dynamic" not in value


def test_relaxations_add_and_never_leave_none():
    """A relaxation adds its sources to single directives; `'none'` beside a source would be ignored with a warning."""
    [(_, value)] = of_document(ContentSecurity(add=tuple(sorted(RELAXATIONS))), "R")
    found = directives(value)
    assert "'unsafe-eval'" in found["script-src"]
    assert found["worker-src"] == ["blob:"]
    assert all(sources == ["'none'"] or "'none'" not in sources for sources in found.values())


def test_a_candidate_profile_reports_beside_the_enforced_one():
    """`report_only` goes into its own header and changes nothing that is enforced."""
    names = [name for name, _ in of_document(ContentSecurity(report_only="strict"), "R")]
    assert names == [b"content-security-policy", b"content-security-policy-report-only"]


def test_what_is_no_document_is_inert():
    """A file of the tool that is opened by itself runs nothing, except a component where the policy says so."""
    assert of_surface(ContentSecurity(), Surface.MEDIA) == INERT
    assert of_surface(ContentSecurity(), Surface.COMPONENT) == INERT
    assert of_surface(ContentSecurity(add=("components",)), Surface.COMPONENT) != INERT
    assert b"sandbox" in INERT


def test_the_language_knows_exactly_these_profiles():
    """What a policy may name is what exists."""
    from gateway.policy import language

    assert frozenset(language.PROFILES) == frozenset(PROFILES)
    assert frozenset(language.RELAXATIONS) == frozenset(RELAXATIONS)
