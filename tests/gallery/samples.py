"""What the gallery shows: small, and the same every time."""

import io
import math
import struct
import wave

import pandas as pd
from PIL import Image

TABLE = pd.DataFrame(
    {
        "name": ["valve", "pump", "meter", "tank"],
        "flow": [1.5, 2.25, 3.0, 4.75],
        "good": [True, False, True, True],
        "day": pd.to_datetime(["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04"]),
        "trend": [[1, 2, 3], [3, 2, 1], [2, 2, 2], [1, 3, 1]],
        "place": ["https://tool.example/a"] * 4,
    }
)
SERIES = pd.DataFrame({"x": range(20), "a": [math.sin(n / 3) for n in range(20)], "b": [n / 20 for n in range(20)]})
PLACES = pd.DataFrame({"lat": [52.52, 48.85, 51.5], "lon": [13.4, 2.35, -0.12], "size": [10, 20, 30]})


def picture(colour: str = "teal", size: int = 64) -> Image.Image:
    return Image.new("RGB", (size, size), colour)


def sound() -> bytes:
    """A tenth of a second of a tone, as a WAV file."""
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        tone = (int(8000 * math.sin(2 * math.pi * 440 * n / 8000)) for n in range(800))
        file.writeframes(b"".join(struct.pack("<h", value) for value in tone))
    return target.getvalue()


def paper(text: str = "gallery") -> bytes:
    """A PDF file of one page with one word."""
    content = f"BT /F1 24 Tf 20 100 Td ({text}) Tj ET".encode()
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d>>stream\n%b\nendstream" % (len(content), content),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    body, offsets = b"%PDF-1.4\n", []
    for number, each in enumerate(objects, 1):
        offsets.append(len(body))
        body += b"%d 0 obj%b endobj\n" % (number, each)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return body + b"xref\n0 6\n0000000000 65535 f \n%btrailer<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (
        table,
        len(body),
    )
