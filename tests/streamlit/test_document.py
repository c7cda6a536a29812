"""Streamlit's document with nonces, and the policy that goes with it."""

from html.parser import HTMLParser
from pathlib import Path

import pytest
from streamlit import file_util

from gateway.errors import StartupError
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
