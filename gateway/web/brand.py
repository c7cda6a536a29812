"""How the pages of the gateway look: name, logo, colours, support contact; checked once, when the settings are read."""

import base64
import binascii
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.errors import Problem, SettingsError

LOGO_LIMIT: Final = 16 * 1024
"""Bytes. The logo is part of every refusal, so a flood of refusals sends it again and again."""

CONTRAST: Final = 4.5
"""Least contrast of text with its ground (WCAG 2.2, success criterion 1.4.3)."""

LIGHT_GROUND: Final = "#f5f6f8"  # the darkest ground that the accent stands on in refusal.css, light
DARK_GROUND: Final = "#191d23"  # and the lightest one, dark

_HEX = re.compile(r"#(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})\Z")
_DATA_URI = re.compile(r"data:image/(png|jpeg|webp|svg\+xml);base64,([A-Za-z0-9+/]+={0,2})\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_MAGIC: Final = {"png": b"\x89PNG\r\n\x1a\n", "jpeg": b"\xff\xd8\xff", "webp": b"RIFF"}
_SVG: Final = "{http://www.w3.org/2000/svg}"


@dataclass(frozen=True, slots=True)
class Brand:
    """How the pages of the gateway look.

    `logo` is an SVG document or a `data:` URI (PNG, JPEG, WebP, SVG in base64) of at most 16 KiB. It is shown as an
    image, where browsers run no script and load nothing else; an SVG may adapt to dark mode by its own media query.
    `colour` is the accent on a light ground, `colour_dark` on a dark one (None: `colour`, lightened until it is
    readable), both `#rgb` or `#rrggbb`.
    `support` is an e-mail address, an https URL, or words such as `Service desk, extension 4711`.

    Raises:
        SettingsError: with every field that cannot be used.
    """

    name: str = "Internal tools"
    logo: str | None = None
    colour: str = "#1d4f8f"
    colour_dark: str | None = None
    support: str | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be shown, all of it at once."""
        if problems := tuple(_problems(self)):
            raise SettingsError(problems)

    @property
    def accent_dark(self) -> str:
        """The accent on a dark ground, as `#rrggbb`."""
        return self.colour_dark or _lighten(self.colour)

    @property
    def logo_uri(self) -> str | None:
        """The logo as a `data:` URI: an SVG document becomes one, so that it is an image and never part of the page."""
        if self.logo is None or self.logo.startswith("data:"):
            return self.logo
        return "data:image/svg+xml;base64," + base64.b64encode(self.logo.strip().encode()).decode()


def read_logo(path: Path) -> str:
    """The image in a file, in the form that `Brand.logo` takes.

    Raises:
        SettingsError: the file cannot be read or is larger than `LOGO_LIMIT`.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SettingsError([Problem("brand.logo", f"cannot be read: {error.strerror}")]) from error
    if len(content) > LOGO_LIMIT:
        raise SettingsError([Problem("brand.logo", f"is larger than {LOGO_LIMIT} bytes", "make it smaller")])
    for kind, magic in _MAGIC.items():
        if content.startswith(magic):
            return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
    return content.decode("utf-8-sig", "replace")


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours, 1 to 21 (WCAG 2.2, "contrast ratio" and "relative luminance")."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _problems(brand: Brand) -> Iterator[Problem]:
    yield from _text_problems("brand.name", brand.name, limit=80)
    yield from _text_problems("brand.support", brand.support, limit=200)
    yield from _colour_problems("brand.colour", brand.colour, LIGHT_GROUND, "darker")
    yield from _colour_problems("brand.colour_dark", brand.colour_dark, DARK_GROUND, "lighter")
    if brand.logo is not None and (message := _logo_fault(brand.logo)):
        yield Problem("brand.logo", message, "give an SVG document or a data: URI of a PNG, JPEG, WebP or SVG image")


def _text_problems(place: str, text: str | None, *, limit: int) -> Iterator[Problem]:
    if text is None:
        return
    if not text.strip():
        yield Problem(place, "is empty", "leave it out, or write something")
    if len(text) > limit:
        yield Problem(place, f"has {len(text)} characters, more than {limit}")
    if _CONTROL.search(text):
        yield Problem(place, "contains control characters", "write it on one line")


def _colour_problems(place: str, colour: str | None, ground: str, better: str) -> Iterator[Problem]:
    if colour is None:
        return
    if not _HEX.match(colour):
        yield Problem(place, "is not a colour", "write it as #rrggbb")
    elif (ratio := contrast(colour, ground)) < CONTRAST:
        yield Problem(place, f"cannot be read: contrast {ratio:.1f}:1, at least {CONTRAST}:1", f"take a {better} shade")


def _logo_fault(logo: str) -> str | None:
    """What is wrong with a logo; None if nothing is."""
    if len(logo.encode("utf-8", "replace")) > LOGO_LIMIT * 4 // 3 + 64:
        return f"is larger than {LOGO_LIMIT} bytes"
    if not logo.startswith("data:"):
        return _svg_fault(logo.strip())
    match = _DATA_URI.match(logo)
    if match is None:
        return "is not a base64 data: URI of an image"
    try:
        content = base64.b64decode(match[2], validate=True)
    except binascii.Error:
        return "is not valid base64"
    if match[1] == "svg+xml":
        return _svg_fault(content.decode("utf-8", "replace"))
    if not content.startswith(_MAGIC[match[1]]):
        return f"is not the {match[1].upper()} image that it says it is"
    return f"is larger than {LOGO_LIMIT} bytes" if len(content) > LOGO_LIMIT else None


def _svg_fault(document: str) -> str | None:
    if len(document.encode()) > LOGO_LIMIT:
        return f"is larger than {LOGO_LIMIT} bytes"
    if "<!" in re.sub(r"<!--.*?-->", "", document, flags=re.DOTALL):
        return "declares a document type or entities"  # refused before the parser could expand them
    try:
        root = ET.fromstring(document)  # noqa: S314 - bounded, and without declarations: see the line above
    except ET.ParseError:
        return "is not well-formed SVG"
    if root.tag != f"{_SVG}svg":
        return 'is not SVG: its root must be <svg xmlns="http://www.w3.org/2000/svg">'
    return "contains a script, or loads something from elsewhere" if any(map(_is_active, root.iter())) else None


def _is_active(element: ET.Element) -> bool:
    """Whether an element would run or load something. Browsers do not do it in images; a logo has no reason to try."""
    if element.tag.rpartition("}")[2] in {"script", "foreignObject", "iframe", "object", "embed"}:
        return True
    for name, value in element.attrib.items():
        local = name.rpartition("}")[2].lower()
        if local.startswith("on") or (local == "href" and not value.startswith(("#", "data:image/"))):
            return True
    return False


def _channels(colour: str) -> tuple[int, int, int]:
    digits = colour.removeprefix("#")
    wide = digits if len(digits) == 6 else "".join(digit * 2 for digit in digits)
    return int(wide[0:2], 16), int(wide[2:4], 16), int(wide[4:6], 16)


def _luminance(colour: str) -> float:
    red, green, blue = (_linear(channel / 255) for channel in _channels(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4


def _lighten(colour: str) -> str:
    """The colour mixed with as little white as makes it readable on the dark ground."""
    channels = _channels(colour)
    for percent in range(0, 101, 5):
        mixed = "#" + "".join(f"{channel + (255 - channel) * percent // 100:02x}" for channel in channels)
        if (
            contrast(mixed, DARK_GROUND) >= CONTRAST + 1
        ):  # a little more than needed: dark grounds swallow saturated ink
            return mixed
    return "#ffffff"
