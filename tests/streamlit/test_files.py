"""What of a file is judged before Streamlit has it: its name, its kind, its form; and what a message says of media."""

import ast
import re
from pathlib import Path

import pytest
import streamlit
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from gateway.model import Reason
from gateway.streamlit.filenames import safe_name
from gateway.streamlit.kinds import contradiction, is_of_type
from gateway.streamlit.media import learn, media_ids
from gateway.streamlit.multipart import OneFile, UploadRefusedError
from gateway.streamlit.ownership import Ownership
from gateway.streamlit.uploads import accepts_uploads
from tests.support.processes import ROOT, bare_streamlit
from tests.support.streamlit_client import StreamlitClient, visit

SCRIPT = ROOT / "tests" / "data" / "streamlit" / "files.py"

# --- names ----------------------------------------------------------------------------------------------------

NAMES = [  # what, as sent, as the script gets it
    ("an ordinary name", "bookings 2026.csv", "bookings 2026.csv"),
    ("a path", "../../etc/passwd", "passwd"),
    ("a Windows path", r"C:\temp\notes.txt", "notes.txt"),
    ("an absolute path", "/etc/cron.d/x", "x"),
    ("only dots", "../..", "file"),
    ("nothing", "", "file"),
    ("control characters", "a\x00b\r\nc\x1b[31m.csv", "abc[31m.csv"),
    ("a bidirectional override", "invoice\u202efdp.exe", "invoicefdp.exe"),
    ("an isolate", "\u2066a\u2069.csv", "a.csv"),
    ("a zero-width space", "a\u200b.csv", "a.csv"),
    ("a joiner that a language needs", "\u0645\u06cc\u200c\u062e.txt", "\u0645\u06cc\u200c\u062e.txt"),
    ("decomposed letters", "Zahlung u\u0308ber.csv", "Zahlung über.csv"),
    ("a device", "con.csv", "_con.csv"),
    ("a device without end", "NUL", "_NUL"),
    ("a device with a superscript", "com¹.txt", "_com¹.txt"),
    ("a device with two ends", "aux.tar.gz", "_aux.tar.gz"),
    ("no device", "console.csv", "console.csv"),
    ("a stream of NTFS", "a.csv:evil.exe", "a.csv_evil.exe"),
    ("what Windows drops", "run.exe. . ", "run.exe"),
    ("what Windows forbids", '<a>|"b"?*.csv', "_a___b___.csv"),
    ("a surrogate", "a\ud800.csv", "a.csv"),
]


@pytest.mark.parametrize(("what", "sent", "safe"), NAMES, ids=[row[0] for row in NAMES])
def test_a_name_is_made_safe(what, sent, safe):
    """A script gets a name that it may show, log, and use as a file's name on every system."""
    assert safe_name(sent) == safe
    assert safe_name(safe) == safe


def test_a_long_name_keeps_its_end():
    """A name has at most 255 bytes, as file systems have it, and still says what kind of file it is."""
    long = safe_name("ü" * 300 + ".xlsx")
    assert len(long.encode()) <= 255
    assert long.endswith("ü.xlsx")
    assert len(safe_name("x" * 300 + "." + "y" * 300).encode()) == 255


def test_folders_of_a_directory_stay_relative():
    """When a page takes a whole directory, the folders in it stay, and lead nowhere else."""
    assert safe_name("2026/march/a.csv", folders=True) == "2026/march/a.csv"
    assert safe_name("/../2026/../march//con/a.csv", folders=True) == "2026/march/_con/a.csv"
    assert safe_name("2026/march/a.csv") == "a.csv"


# --- kinds ----------------------------------------------------------------------------------------------------

# The beginnings are those of the formats' specifications, not copied from our table.
PNG = bytes.fromhex("89504e470d0a1a0a0000000d49484452")
PE = b"MZ\x90\x00\x03\x00\x00\x00\x04\x00\x00\x00\xff\xff\x00\x00"
ELF = b"\x7fELF\x02\x01\x01\x00"
ZIP = b"PK\x03\x04\x14\x00\x06\x00"
OLE = bytes.fromhex("d0cf11e0a1b11ae1")
KINDS = [  # what, name, declared type, beginning, whether they contradict
    ("a table", "a.csv", "text/csv", b"name,count\nx,1\n", False),
    ("a table of Excel's, as text", "a.csv", "application/vnd.ms-excel", "n;m\n".encode("utf-16"), False),
    ("a table that begins with MZ", "a.csv", "text/csv", b"MZ,intensity\n400.1,7\n", False),
    ("a program as a table", "a.csv", "text/csv", PE, True),
    ("a program of Linux as a table", "a.csv", "text/csv", ELF, True),
    ("a page as a table", "a.csv", "text/csv", b"\xef\xbb\xbf\n<!DOCTYPE html><script>", True),
    ("a page by its declared type", "a.csv", "text/html; charset=utf-8", b"a,b\n", True),
    ("an SVG by its declared type", "a.png", "image/svg+xml", PNG, True),
    ("a page as a page", "a.html", "text/html", b"<html>", False),
    ("a picture", "a.png", "image/png", PNG, False),
    ("a picture in capitals", "A.PNG", "image/png", PNG, False),
    ("another picture", "a.png", "image/png", b"\xff\xd8\xff\xe0", True),
    ("an SVG as a picture", "a.png", "image/png", b"<svg xmlns='http://www.w3.org/2000/svg'>", True),
    ("a workbook", "a.xlsx", "application/octet-stream", ZIP, False),
    ("a workbook with a password", "a.xlsx", "application/octet-stream", OLE, False),
    ("a page as a workbook", "a.xls", "application/vnd.ms-excel", b"<html><table>", True),
    ("an old workbook", "a.xls", "application/vnd.ms-excel", OLE, False),
    ("a document", "a.pdf", "application/pdf", b"%PDF-1.7\n", False),
    ("a document after other bytes", "a.pdf", "application/pdf", b"\n" * 900 + b"%PDF-1.4", False),
    ("a document that is none", "a.pdf", "application/pdf", b"hello", True),
    ("an archive", "a.tar.gz", "application/gzip", b"\x1f\x8b\x08", False),
    ("an empty file", "a.png", "image/png", b"", False),
    ("an unknown kind", "a.dat", "application/octet-stream", b"\x00\x01\x02", False),
    ("a program as an unknown kind", "a.dat", "application/octet-stream", PE, True),
    ("a program as a program", "a.exe", "application/octet-stream", PE, False),
    ("no end at all", "README", "text/plain", b"hello", False),
]


@pytest.mark.parametrize(("what", "name", "declared", "head", "contradicts"), KINDS, ids=[row[0] for row in KINDS])
def test_a_file_is_held_against_its_name(what, name, declared, head, contradicts):
    """A program, a page or another kind of file does not come in under the name of one that is admitted."""
    assert contradiction(name, declared, head) is contradicts


def test_the_end_of_the_name_decides():
    """The last end counts, in any case; without a list every name is admitted."""
    types = (".csv", ".tar.gz")
    assert is_of_type("A.CSV", types)
    assert is_of_type("a.tar.gz", types)
    assert not is_of_type("a.csv.exe", types)
    assert not is_of_type("a.gz", types)
    assert not is_of_type("csv", types)
    assert is_of_type("anything", ())


# --- the body -------------------------------------------------------------------------------------------------

BOUNDARY = "----WebKitFormBoundary7MA4YWxkTrZu0gW"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}".encode()


def part(disposition='form-data; name="a.csv"; filename="a.csv"', content=b"a,b\n1,2\n", declared="text/csv"):
    head = f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\nContent-Type: {declared}\r\n\r\n"
    return head.encode("utf-8", "surrogateescape") + content + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()


def passed(body, step=None, content_type=CONTENT_TYPE, types=(), folders=False, grow=lambda _: None):
    """The file and what Streamlit would get, when the body comes in pieces of `step` bytes."""
    file = OneFile(content_type, types=types, folders=folders, grow=grow)
    step = step or max(len(body), 1)
    out = b"".join(file.feed(body[at : at + step]) for at in range(0, len(body), step))
    return file, out + file.end()


def read_by_streamlit(file, body):
    """The files and fields that Streamlit's framework finds in the body."""
    import asyncio

    from starlette.requests import Request

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    async def form():
        scope = {"type": "http", "method": "PUT", "headers": [(b"content-type", file.content_type)]}
        found = await Request(scope, receive).form()
        return [(each.filename, each.content_type, await each.read()) for each in found.values()]

    return asyncio.run(form())


@pytest.mark.parametrize("step", [1, 7, 1000, None])
@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"\r\n--" * 500, bytes(range(256)) * 20])
def test_a_file_reaches_streamlit_whole(step, content):
    """However the body is cut into pieces, Streamlit gets the same bytes, and the digest is theirs."""
    from hashlib import sha256

    file, body = passed(part(content=content) + END, step)
    assert read_by_streamlit(file, body) == [("a.csv", "text/csv", content)]
    assert (file.size, file.sha256) == (len(content), sha256(content).hexdigest())


DISPOSITIONS = [  # what, Content-Disposition, the name that Streamlit gets
    ("a path", 'form-data; name="f"; filename="../../x.csv"', "x.csv"),
    ("quotes", r'form-data; name="f"; filename="a\"; filename=\"b.exe"', "a_; filename=_b.exe"),
    ("UTF-8", 'form-data; name="f"; filename="größe.csv"', "größe.csv"),
    ("another charset", 'form-data; name="f"; filename="gr\udcf6\udcdfe.csv"', "größe.csv"),
    ("an extended name beside it", 'form-data; name="f"; filename="a.csv"; filename*=utf-8\'\'b.exe', "a.csv"),
    ("two names", 'form-data; name="f"; filename="a.csv"; filename="b.csv"', "b.csv"),
]


@pytest.mark.parametrize(("what", "disposition", "name"), DISPOSITIONS, ids=[row[0] for row in DISPOSITIONS])
def test_streamlit_gets_one_safe_name(what, disposition, name):
    """Whatever stands in the part's header, Streamlit reads one name, and it is the one that was judged."""
    file, body = passed(part(disposition) + END)
    assert file.name == name
    assert [found[0] for found in read_by_streamlit(file, body)] == [name]


BODIES = [  # what, body, why it is refused
    ("two files", part() + part() + END, Reason.UPLOAD_MALFORMED),
    ("a field and a file", part('form-data; name="x"') + part() + END, Reason.UPLOAD_MALFORMED),
    ("a field only", part('form-data; name="x"') + END, Reason.UPLOAD_MALFORMED),
    ("no part", END, Reason.UPLOAD_MALFORMED),
    ("nothing", b"", Reason.UPLOAD_MALFORMED),
    ("no end", part(), Reason.UPLOAD_MALFORMED),
    ("no multipart", b"a,b\n1,2\n", Reason.UPLOAD_MALFORMED),
    ("a header without end", f"--{BOUNDARY}\r\nX: ".encode() + b"x" * 100_000, Reason.UPLOAD_MALFORMED),
    ("another kind", part('form-data; name="f"; filename="a.exe"') + END, Reason.UPLOAD_TYPE_NOT_ALLOWED),
    ("two ends", part('form-data; name="f"; filename="a.csv.exe"') + END, Reason.UPLOAD_TYPE_NOT_ALLOWED),
    (
        "a hidden end",
        part('form-data; name="f"; filename="a.exe\u202e.csv\x00.exe"') + END,
        Reason.UPLOAD_TYPE_NOT_ALLOWED,
    ),
    ("a program", part(content=PE) + END, Reason.UPLOAD_TYPE_MISMATCH),
    ("a big program", part(content=PE * 1000) + END, Reason.UPLOAD_TYPE_MISMATCH),
    ("a page", part(content=b"<html>", declared="text/html") + END, Reason.UPLOAD_TYPE_MISMATCH),
]


@pytest.mark.parametrize(("what", "body", "reason"), BODIES, ids=[row[0] for row in BODIES])
@pytest.mark.parametrize("step", [3, None])
def test_what_is_not_one_admitted_file_is_refused(what, body, reason, step):
    """Exactly one file, of a kind that the policy admits, and what its name says; anything else is refused."""
    with pytest.raises(UploadRefusedError) as refused:
        passed(body, step, types=(".csv",))
    assert refused.value.reason is reason


@pytest.mark.parametrize("content_type", [b"", b"text/csv", b"multipart/form-data", b"multipart/mixed; boundary=x"])
def test_a_body_that_is_no_form_is_refused_unread(content_type):
    """An upload says that it is a form, and where its parts end."""
    with pytest.raises(UploadRefusedError):
        OneFile(content_type, types=(), folders=False, grow=lambda _: None)


def test_a_refused_file_does_not_pass_in_part():
    """Of a file that turns out to be of another kind, Streamlit gets no byte of the content."""
    file = OneFile(CONTENT_TYPE, types=(".csv",), folders=False, grow=lambda _: None)
    out = b""
    with pytest.raises(UploadRefusedError):
        for piece in (part(content=PE * 1000)[at : at + 100] for at in range(0, 20_000, 100)):
            out += file.feed(piece)
    assert b"MZ" not in out


# --- media ----------------------------------------------------------------------------------------------------


def texts(message, at=""):
    """Every text in a message, with the path of its field."""
    for field, value in message.ListFields():
        items = value if field.is_repeated else [value]
        for item in [] if field.message_type and field.message_type.GetOptions().map_entry else items:
            if field.message_type:
                yield from texts(item, f"{at}.{field.name}")
            elif isinstance(item, str):
                yield f"{at}.{field.name}", item


ADDRESS = re.compile(r"/media/([0-9a-f]+(?:\.\w+)?)")
# Texts of a script's own may stand in these as well: they count only with Streamlit's own word for it.
DOUBTFUL = {".page_config_changed.favicon", ".delta.new_element.iframe.src"}


@pytest.fixture(scope="module")
def shown():
    """Every message that bare Streamlit sends for the script with all elements."""
    with bare_streamlit(SCRIPT) as url, StreamlitClient(visit(url)) as client:
        client.rerun()
        client.change({"Who": "ada", "Take files": True})
        client.download_later("Later")
        client.change({"Draw": True})
        yield client.page.messages


def test_every_address_of_media_is_found(shown):
    """Each medium that Streamlit sends is known by the field that it is in, whatever the element."""
    fields = set()
    for message in shown:
        sent = {(at, found[1]) for at, text in texts(message) for found in ADDRESS.finditer(text)}
        certain = {media_id for at, media_id in sent if at not in DOUBTFUL}
        assert set(media_ids(message)) == certain
        fields |= {at for at, _ in sent}
    element = ".delta.new_element."
    assert fields == {
        *DOUBTFUL,
        *(element + name for name in ("imgs.imgs.url", "audio.url", "video.url", "video.subtitles.url")),
        element + "download_button.url",
        ".delta.add_block.chat_message.avatar",
        *(".logo.image", ".logo.icon_image"),
        ".backend_operation_response.deferred_file.url",
    }


def test_no_other_part_of_streamlit_makes_media():
    """The modules of Streamlit that put files into its media manager are those whose fields are known."""
    root = Path(streamlit.__file__).parent
    makers = set()
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and _makes_media(node):
                makers.add(path.relative_to(root).as_posix())
    assert makers == {
        "commands/logo.py",
        "commands/page_config.py",
        "elements/iframe.py",
        "elements/lib/agent_data.py",  # for the agent API, which has no socket
        "elements/lib/image_utils.py",  # st.image, st.pyplot
        "elements/lib/subtitle_utils.py",
        "elements/media.py",
        "elements/widgets/button.py",
        "elements/widgets/chat.py",
        "runtime/caching/cached_message_replay.py",  # the same elements once more
    }


def _makes_media(call):
    return re.search(r"\bmedia_file_mgr\.add(_deferred)?$|\bimage_to_url$", ast.unparse(call.func)) is not None


ID = "0123456789abcdef" * 3 + "01234567.png"
ECHOES = [  # how a script may repeat a visitor's text
    ("markdown", lambda m: setattr(m.delta.new_element.markdown, "body", f"![x](/media/{ID})")),
    ("text", lambda m: setattr(m.delta.new_element.text, "body", f"/media/{ID}")),
    ("html", lambda m: setattr(m.delta.new_element.html, "body", f"<img src='/media/{ID}'>")),
    ("a label", lambda m: setattr(m.delta.new_element.button, "label", f"/media/{ID}")),
    ("a widget's value", lambda m: setattr(m.delta.new_element.text_input, "default", f"/media/{ID}")),
    ("a link", lambda m: setattr(m.delta.new_element.link_button, "url", f"/media/{ID}")),
    ("the link of a picture", lambda m: setattr(m.delta.new_element.imgs, "link", f"/media/{ID}")),
    ("a caption", lambda m: m.delta.new_element.imgs.imgs.add(caption=f"/media/{ID}", url="data:,")),
    ("a picture elsewhere", lambda m: m.delta.new_element.imgs.imgs.add(url=f"https://a.example/media/{ID}")),
    ("a picture at another host", lambda m: m.delta.new_element.imgs.imgs.add(url=f"//a.example/media/{ID}")),
    ("audio elsewhere", lambda m: setattr(m.delta.new_element.audio, "url", f"http://127.0.0.1/media/{ID}")),
    ("the name of a download", lambda m: setattr(m.delta.new_element.download_button, "label", f"/media/{ID}")),
    ("an icon of the page", lambda m: setattr(m.page_config_changed, "favicon", f"/media/{ID}")),
    ("the source of a frame", lambda m: setattr(m.delta.new_element.iframe, "src", f"/media/{ID}")),
    ("an emoji as avatar", lambda m: _avatar(m, kind=1)),
    ("the title of a page", lambda m: setattr(m.page_config_changed, "title", f"/media/{ID}")),
]


def _avatar(message, kind):
    message.delta.add_block.chat_message.avatar = f"/media/{ID}"
    message.delta.add_block.chat_message.avatar_type = kind


@pytest.mark.parametrize(("what", "write"), ECHOES, ids=[row[0] for row in ECHOES])
def test_repeating_an_address_grants_nothing(what, write):
    """Who makes a tool repeat the address of somebody else's medium in a text may not read it for that."""
    message, ownership = ForwardMsg(), Ownership()
    write(message)
    learn(ownership, "alice", "some-session", message, message.SerializeToString())
    assert not ownership.may_read("alice", ID)


@pytest.mark.parametrize("base", ["", "/tools", "/a/b"])
def test_media_are_found_below_a_base_path(base):
    """An address counts with and without the base path."""
    message = ForwardMsg()
    message.delta.new_element.imgs.imgs.add(url=f"{base}/media/{ID}")
    assert list(media_ids(message)) == [ID]


# --- elements that take files ---------------------------------------------------------------------------------


def test_elements_that_take_files():
    """File uploader, camera and microphone take files, and a chat input if it says so; nothing else does."""
    taking = {}
    for field in ForwardMsg().delta.new_element.DESCRIPTOR.fields:
        if field.message_type is not None and field.containing_oneof is not None:
            message = ForwardMsg()
            getattr(message.delta.new_element, field.name).SetInParent()
            taking[field.name] = accepts_uploads(message)
    assert {name for name, takes in taking.items() if takes} == {"file_uploader", "camera_input", "audio_input"}
    message = ForwardMsg()
    message.delta.new_element.chat_input.accept_file = message.delta.new_element.chat_input.AcceptFile.SINGLE
    assert accepts_uploads(message)
