"""What the head of Streamlit's document tells the browser to load, and in which order.

Streamlit's own head names all scripts of the first load, and the font of the text before them. Over HTTP/1.1 a browser
asks for six files at a time, so what is named first delays the rest. Measured in Chromium at 10 Mbit/s and 40 ms:

- the font behind the scripts, at low priority: it is needed when the script has written its text. And the two requests
  that come before the socket, together with the scripts: one round trip less. Each gave about 0.05 s, which was as much
  as the spread of 7 rounds on a busy machine.
- biggest scripts first: nothing. The font of the icons ahead of its use: 0.1 s lost, so it has no hint.

A hint is given only for what the installed front end is seen to load: an upgrade that renames it has none, rather than
one that leads nowhere.
"""

import re
from pathlib import Path
from typing import Final

# What the entry script fetches before it opens the socket. Relative, as everything in this document.
_FIRST_FETCHES: Final = ("_stcore/health", "_stcore/host-config")
_FONT: Final = re.compile(r'<link\s+rel="preload"[^>]*\sas="font"[^>]*>\s*')
_ENTRY: Final = re.compile(r'<script type="module"[^>]*\ssrc="\./([^"]+)"')
_REFERENCES: Final = re.compile(r'<(?:script|link)\b[^>]*\s(?:src|href)="\./(static/[^"]+\.(?:js|css))"')


def arranged(html: str, root: Path) -> str:
    """The document with its head in a better order. `root` is the directory of the front end's files.

    A document that is laid out in another way stays as it is.
    """
    entry = _ENTRY.search(html)
    if entry is None or "</head>" not in html:
        return html
    fonts = "".join(_FONT.findall(html)).replace("<link", '<link fetchpriority="low"')
    last = f"{_fetches(root / entry[1])}{fonts}</head>"
    return _FONT.sub("", html).replace("</head>", last, 1)


def _fetches(entry: Path) -> str:
    try:
        script = entry.read_text("utf-8")
    except OSError:
        return ""
    # Anonymous is what `fetch` does for our own origin: cookies go along, and the browser takes the answer over.
    return "".join(
        f'<link rel="preload" as="fetch" crossorigin href="./{path}">\n'
        for path in _FIRST_FETCHES
        if f"`{path}`" in script or f'"{path}"' in script
    )


def first_load(html: str) -> tuple[str, ...]:
    """The URL paths of the scripts and styles that the document names, in its order."""
    return tuple(f"/{path}" for path in _REFERENCES.findall(html))
