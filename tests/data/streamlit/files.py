"""A tool with every element that shows or takes files. What it shows is its visitor's own, by the name they enter."""

import io
import math
import struct
import wave
from pathlib import Path
from tempfile import gettempdir

import streamlit as st
from PIL import Image

DRAWING = '<svg xmlns="http://www.w3.org/2000/svg" width="7" height="5"><script>window.drawn = true</script></svg>'


def picture(seed: str, size: int = 16) -> bytes:
    """A PNG that differs by its seed."""
    color = tuple(hash(seed + channel) % 256 for channel in "rgb")
    out = io.BytesIO()
    Image.new("RGB", (size, size), color).save(out, "PNG")
    return out.getvalue()


def sound(seed: str) -> bytes:
    """A WAV that differs by its seed."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        tone = 200 + hash(seed) % 500
        file.writeframes(b"".join(struct.pack("<h", int(9000 * math.sin(tone * n / 8000))) for n in range(800)))
    return out.getvalue()


st.set_page_config(page_title="Files", page_icon=Image.open(io.BytesIO(picture("icon"))))
st.logo(Image.open(io.BytesIO(picture("logo"))), icon_image=Image.open(io.BytesIO(picture("small logo"))))
who = st.text_input("Who", value="nobody")

st.image(picture(who))
st.image([picture(f"{who} {number}") for number in range(2)], width=32)
with st.chat_message(who, avatar=Image.open(io.BytesIO(picture(f"avatar of {who}")))):
    st.write("hello")
with st.sidebar.container():
    st.image(picture(f"side {who}"))
st.audio(sound(who))
st.video(
    b"\x1a\x45\xdf\xa3" + who.encode(), format="video/webm", subtitles={"en": f"WEBVTT\n\n0:01.000 --> 0:02.000\n{who}"}
)
st.download_button("Table", f"name\n{who}\n", file_name=f"{who} zählung.csv", mime="text/csv")
st.download_button("Page", f"<script>document.title='{who}'</script>", file_name="page.html", mime="text/html")
st.download_button("Drawing", DRAWING, file_name="drawing.svg", mime="image/svg+xml")
st.download_button("Later", f"made for {who}".encode, file_name="later.txt")


@st.cache_data
def remembered(name: str) -> None:
    st.image(picture(f"remembered {name}"))


@st.fragment
def apart() -> None:
    if st.button("Draw"):
        st.image(picture(f"drawn by {who}"))


remembered(who)
apart()

note = Path(gettempdir(), "gateway-test-note.txt")
note.write_text("a note in a frame")
st.iframe(note)

st.caption(f"made for {who}")

# What a visitor enters comes back in texts of every kind.
echo = st.text_input("Echo")
st.markdown(f"![picture]({echo})" if echo else "no echo")
st.text(echo)
st.json({"echo": echo})
st.link_button("Link", echo or "https://tools.example")
if echo.startswith("/"):
    st.iframe(echo)

if st.checkbox("Take files"):
    files = st.file_uploader("Files", accept_multiple_files=True)
    st.text("\n".join(f"{file.name!r} {file.type} {len(file.getvalue())}" for file in files))
if st.checkbox("Take a folder"):
    files = st.file_uploader("Folder", accept_multiple_files="directory")
    st.text("\n".join(f"{file.name!r}" for file in files))
if st.checkbox("Chat"):
    said = st.chat_input("Say", accept_file="multiple")
    if said:
        st.text(f"{said.text} with {[file.name for file in said.files]}")
if st.checkbox("Document"):
    st.pdf(b"%PDF-1.4\n% made for " + who.encode())
