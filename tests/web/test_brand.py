"""A brand that cannot be shown, or read, is refused when the gateway starts."""

import base64
import re
from pathlib import Path

import pytest

from gateway.errors import SettingsError
from gateway.web.brand import LOGO_LIMIT, Brand, contrast, read_logo

SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><path d="M0 0h8v8z"/></svg>'
# The smallest PNG: one transparent pixel (W3C PNG specification, 8-byte signature and IHDR, IDAT, IEND).
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="


def _svg_uri(document: str) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(document.encode()).decode()


GOOD = [
    ("defaults", {}),
    ("an svg document", {"logo": SVG}),
    ("an svg document with a declaration and a comment", {"logo": f"<?xml version='1.0'?><!-- mark -->{SVG}"}),
    ("an svg data uri", {"logo": _svg_uri(SVG)}),
    ("a png data uri", {"logo": f"data:image/png;base64,{PNG}"}),
    ("three digits", {"colour": "#036"}),
    ("both colours", {"colour": "#1d4f8f", "colour_dark": "#8fb8e8"}),
    ("words for support", {"support": "Service desk, extension 4711"}),
]

BAD = [
    ("no name", {"name": " "}, "brand.name"),
    ("a name of many lines", {"name": "a\nb"}, "brand.name"),
    ("a name that never ends", {"name": "a" * 81}, "brand.name"),
    ("a colour by name", {"colour": "navy"}, "brand.colour"),
    ("css in a colour", {"colour": "#fff;}body{background:url(//evil.test)"}, "brand.colour"),
    ("a line after the colour", {"colour": "#1d4f8f\n"}, "brand.colour"),
    ("too pale for a light ground", {"colour": "#8fb8e8"}, "brand.colour"),
    ("too dark for a dark ground", {"colour_dark": "#1d4f8f"}, "brand.colour_dark"),
    ("a logo from elsewhere", {"logo": "https://cdn.example/logo.svg"}, "brand.logo"),
    ("an html data uri", {"logo": "data:text/html;base64,PGI+"}, "brand.logo"),
    ("a data uri that leaves the attribute", {"logo": 'data:image/png;base64,AA=="><script>'}, "brand.logo"),
    ("a png that is none", {"logo": "data:image/png;base64,AAAA"}, "brand.logo"),
    ("a logo with a script", {"logo": SVG.replace("<path", "<script>1</script><path")}, "brand.logo"),
    ("a logo with a handler", {"logo": SVG.replace("<path", '<path onload="x()"')}, "brand.logo"),
    (
        "a logo that loads",
        {"logo": SVG.replace("<path", '<image href="https://cdn.example/x.png"/><path')},
        "brand.logo",
    ),
    ("the same in base64", {"logo": _svg_uri(SVG.replace("<path", '<path onload="x()"'))}, "brand.logo"),
    ("entities", {"logo": '<!DOCTYPE svg [<!ENTITY a "aa">]>' + SVG}, "brand.logo"),
    ("not well-formed", {"logo": "<svg"}, "brand.logo"),
    ("svg without its namespace", {"logo": "<svg/>"}, "brand.logo"),
    ("too large", {"logo": SVG.replace("z", "z" + " " * LOGO_LIMIT)}, "brand.logo"),
    ("support on two lines", {"support": "desk\r\nSet-Cookie: a=b"}, "brand.support"),
    ("support that is empty", {"support": ""}, "brand.support"),
]

# WCAG 2.2: black on white is 21:1, the same colour 1:1; #767676 is the lightest grey that passes on white, #777 fails.
CONTRASTS = [
    ("#000000", "#ffffff", 21.0),
    ("#fff", "#fff", 1.0),
    ("#767676", "#ffffff", 4.54),
    ("#777777", "#ffffff", 4.48),
]


@pytest.mark.parametrize("fields", [case[1] for case in GOOD], ids=[case[0] for case in GOOD])
def test_a_usable_brand(fields: dict[str, str]) -> None:
    """A logo is an SVG document or a data: URI, colours are hex, and the dark accent can always be read."""
    brand = Brand(**fields)
    assert contrast(brand.accent_dark, "#191d23") >= 4.5
    assert brand.logo is None or re.fullmatch(r"data:image/[a-z+]+;base64,[A-Za-z0-9+/=]+", brand.logo_uri or "")


@pytest.mark.parametrize(("fields", "place"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_an_unusable_brand(fields: dict[str, str], place: str) -> None:
    """A brand that cannot be shown safely or read by everybody is a settings error that names the field."""
    with pytest.raises(SettingsError) as caught:
        Brand(**fields)
    assert [problem.place for problem in caught.value.problems] == [place]


@pytest.mark.parametrize("content", [SVG.encode(), b"\xef\xbb\xbf" + SVG.encode(), base64.b64decode(PNG)])
def test_a_logo_from_a_file(tmp_path: Path, content: bytes) -> None:
    """The logo may be an SVG, PNG, JPEG or WebP file."""
    file = tmp_path / "logo"
    file.write_bytes(content)
    assert Brand(logo=read_logo(file)).logo_uri


def test_a_logo_file_that_cannot_be_used(tmp_path: Path) -> None:
    """A logo file that is missing, too large or no image is a settings error."""
    file = tmp_path / "logo"
    with pytest.raises(SettingsError, match="cannot be read"):
        read_logo(file)
    file.write_bytes(b"x" * (LOGO_LIMIT + 1))
    with pytest.raises(SettingsError, match="larger"):
        read_logo(file)
    file.write_bytes(b"\xff\xfenot an image")
    with pytest.raises(SettingsError, match="well-formed"):
        Brand(logo=read_logo(file))


def test_all_problems_are_reported_together() -> None:
    """Every wrong field is listed at once."""
    with pytest.raises(SettingsError) as caught:
        Brand(name="", logo="x", colour="red", colour_dark="red", support="")
    assert {problem.place for problem in caught.value.problems} == {
        "brand.name",
        "brand.logo",
        "brand.colour",
        "brand.colour_dark",
        "brand.support",
    }


@pytest.mark.parametrize(("one", "other", "ratio"), CONTRASTS)
def test_contrast(one: str, other: str, ratio: float) -> None:
    """Contrast is computed as WCAG 2.2 defines it."""
    assert contrast(one, other) == pytest.approx(ratio, abs=0.005)
