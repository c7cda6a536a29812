"""Streamlit's front end through the gateway: every file, in every form, and what a browser keeps of it."""

import gzip
import re
import subprocess
from pathlib import Path

import brotli
import pytest
import zstandard
from streamlit import file_util

from tests.e2e.conftest import COLLEAGUE, GATEWAY, OUTSIDER, gateway_served, wait_for
from tests.support.processes import clean_environment

STATIC = Path(file_util.get_static_dir())
INDEX = (STATIC / "index.html").read_text("utf-8")
ENTRY = re.search(r'src="\./(static/js/index\.[^"]+\.js)"', INDEX)[1]
FONT = re.search(r'href="\./(static/media/[^"]+\.woff2)"', INDEX)[1]
UNPACK = {
    "br": brotli.decompress,
    "zstd": zstandard.ZstdDecompressor().decompress,
    "gzip": gzip.decompress,
    None: lambda body: body,
}


def raw(served, path, source=COLLEAGUE, method="GET", **headers):
    """The answer with its body as it came, which httpx would unpack."""
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    with served.http(source) as client, client.stream(method, path, headers=headers) as response:
        return response, b"".join(response.iter_raw())


@pytest.mark.parametrize("coding", UNPACK)
def test_every_file_is_the_installed_one(served, coding):
    """Each file of the front end comes in each coding, and unpacks to the file on the disk."""
    wrong = []
    with served.http(COLLEAGUE, headers={"accept-encoding": coding or "identity"}) as client:
        for file in sorted(path for path in STATIC.rglob("*") if path.is_file() and path.name != "index.html"):
            with client.stream("GET", f"/{file.relative_to(STATIC).as_posix()}") as response:
                body = b"".join(response.iter_raw())
            used = response.headers.get("content-encoding")
            if used not in (None, coding) or UNPACK[used](body) != file.read_bytes():
                wrong.append(file.name)
            if coding and file.suffix in (".js", ".css") and file.stat().st_size > 1000 and used != coding:
                wrong.append(f"{file.name} is not compressed")
    assert wrong == []


def test_compressed_scripts_are_a_quarter(served):
    """The entry script is sent compressed, and says so."""
    response, body = raw(served, f"/{ENTRY}", accept_encoding="gzip, deflate, br, zstd")
    assert response.headers["content-encoding"] == "br"
    assert len(body) < (STATIC / ENTRY).stat().st_size / 3
    assert response.headers["content-length"] == str(len(body))
    assert response.headers["content-type"] == "text/javascript; charset=utf-8"
    assert response.headers["vary"].lower() == "accept-encoding"
    assert "accept-ranges" not in response.headers


def test_what_is_compressed_already_is_sent_as_it_is(served):
    """A font has one form, so nothing varies."""
    response, body = raw(served, f"/{FONT}", accept_encoding="gzip, deflate, br, zstd")
    assert "content-encoding" not in response.headers
    assert "vary" not in response.headers
    assert body == (STATIC / FONT).read_bytes()
    assert response.headers["content-type"] == "font/woff2"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"/{ENTRY}", "private, max-age=31536000, immutable"),
        (f"/{FONT}", "private, max-age=31536000, immutable"),
        ("/favicon.png", "private, no-cache"),
        ("/manifest.json", "private, no-cache"),
    ],
)
def test_a_browser_keeps_what_cannot_change(served, path, expected):
    """A name with a hash is kept for a year without asking, any other is asked for; no shared cache keeps either."""
    for headers in ({}, {"if_none_match": "*"}):
        assert raw(served, path, **headers)[0].headers["cache-control"] == expected


@pytest.mark.parametrize("path", [f"/{ENTRY}", "/favicon.png", "/manifest.json"])
@pytest.mark.parametrize("coding", ["br", "zstd", "gzip", "identity"])
def test_what_has_not_changed_is_not_sent_again(served, path, coding):
    """The tag of an answer, sent back, gives 304 with the same tag and no body."""
    first, _ = raw(served, path, accept_encoding=coding)
    second, body = raw(served, path, accept_encoding=coding, if_none_match=first.headers["etag"])
    assert (second.status_code, body) == (304, b"")
    assert second.headers["etag"] == first.headers["etag"]
    assert second.headers.get("vary") == first.headers.get("vary")
    assert "content-type" not in second.headers
    assert second.headers["x-content-type-options"] == "nosniff"


def test_a_tag_of_another_coding_is_not_ours(served):
    """Tags are strong: brotli's bytes are not gzip's."""
    first, _ = raw(served, f"/{ENTRY}", accept_encoding="br")
    assert raw(served, f"/{ENTRY}", accept_encoding="gzip", if_none_match=first.headers["etag"])[0].status_code == 200


def test_head_is_get_without_its_body(served):
    """HEAD gives the headers that GET would, with the length of what GET would send."""
    varying = {"date", "x-request-id"}
    for coding in ("br", "identity"):
        get, body = raw(served, f"/{ENTRY}", accept_encoding=coding)
        head, nothing = raw(served, f"/{ENTRY}", method="HEAD", accept_encoding=coding)
        assert nothing == b""
        assert {k: v for k, v in head.headers.items() if k not in varying} == {
            k: v for k, v in get.headers.items() if k not in varying
        }
        assert head.headers["content-length"] == str(len(body))
        _, outcome = served.exchange(head.headers["x-request-id"])
        assert outcome["http_response"].get("body_length", 0) == 0


def test_a_part_is_a_part_of_the_file(served):
    """One range gives 206 and these bytes; a tag that does not match, or many ranges, the whole file."""
    whole = (STATIC / FONT).read_bytes()
    response, body = raw(served, f"/{FONT}", range="bytes=10-19")
    assert (response.status_code, body) == (206, whole[10:20])
    assert response.headers["content-range"] == f"bytes 10-19/{len(whole)}"
    tag = response.headers["etag"]
    assert raw(served, f"/{FONT}", range="bytes=10-19", if_range=tag)[0].status_code == 206
    assert raw(served, f"/{FONT}", range="bytes=10-19", if_range='"other"')[1] == whole
    assert raw(served, f"/{FONT}", range="bytes=" + ",".join(["0-"] * 500))[1] == whole
    response, body = raw(served, f"/{FONT}", range="bytes=99999999-")
    assert (response.status_code, response.headers["content-range"], body) == (416, f"bytes */{len(whole)}", b"")


def test_a_part_of_a_compressed_script_is_not_cut(served):
    """A browser that takes brotli and asks for a part gets all of it; one that takes no coding gets the part."""
    response, body = raw(served, f"/{ENTRY}", accept_encoding="br", range="bytes=0-9")
    assert response.status_code == 200
    assert brotli.decompress(body) == (STATIC / ENTRY).read_bytes()
    response, body = raw(served, f"/{ENTRY}", accept_encoding="identity", range="bytes=0-9")
    assert (response.status_code, body) == (206, (STATIC / ENTRY).read_bytes()[:10])


@pytest.mark.parametrize(
    "path",
    [
        "/static/js/",
        "/static/js",
        "/static/js/nothing.DormvYxC.js",
        f"/{ENTRY}.br",
        f"/{ENTRY}/",
        f"/{ENTRY.upper()}",
        "/static/../../proto/BackMsg_pb2.py",
        "/static/js/%2e%2e/%2e%2e/index.html",
        "/index.html",
    ],
)
def test_nothing_else_is_served(served, path):
    """Neither directories nor other spellings nor anything outside; and the document only as a page."""
    response, _ = raw(served, path)
    assert response.status_code in (400, 404)


def test_files_are_judged_like_everything_else(served):
    """Who may not come in gets no script either, and each file that is sent is in the record."""
    assert raw(served, f"/{ENTRY}", source=OUTSIDER)[0].status_code == 403
    response, body = raw(served, f"/{ENTRY}", accept_encoding="gzip")
    decision, outcome = served.exchange(response.headers["x-request-id"])
    assert decision["unmapped"]["gateway"]["surface"] == "static"
    assert outcome["http_response"]["body_length"] == len(body)


def test_the_document_is_compressed_too(served):
    """A page is sent with gzip, a new one each time."""
    response, body = raw(served, "/", accept_encoding="gzip, deflate, br, zstd")
    assert response.headers["content-encoding"] == "gzip"
    assert len(body) < 4000
    assert gzip.decompress(body) != gzip.decompress(raw(served, "/", accept_encoding="gzip")[1])
    plain, body = raw(served, "/", accept_encoding="identity")
    assert "content-encoding" not in plain.headers
    assert b'<div id="root">' in body


# --- the pack -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def baked(tmp_path_factory):
    """The pack as an image has it: made by the command, readable for all."""
    directory = tmp_path_factory.mktemp("image") / "assets"
    command = [*GATEWAY, "assets", "build", "--dir", str(directory), "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, env=clean_environment(), timeout=300)
    assert done.returncode == 0, done.stderr
    return directory


def test_a_pack_of_the_image_is_used(baked, tmp_path):
    """With GATEWAY_ASSETS__DIR the compressed files are there from the start, and none is made or written."""
    with gateway_served(tmp_path, env={"GATEWAY_ASSETS__DIR": str(baked)}) as served:
        wait_for(served.process.output, lambda text: "assets.pack-used" in text)
        body = raw(served, f"/{ENTRY}", accept_encoding="br")[1]
        assert brotli.decompress(body) == (STATIC / ENTRY).read_bytes()
        assert not (served.state / "cache").exists()


def test_a_damaged_pack_is_passed_over(baked, tmp_path):
    """Damage is told in the log, and the visitor gets the right file all the same."""
    [pack] = baked.glob("*.pack")
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / pack.name).write_bytes(pack.read_bytes()[:-1])
    with gateway_served(tmp_path, env={"GATEWAY_ASSETS__DIR": str(broken)}) as served:
        wait_for(served.process.output, lambda text: "assets.pack-refused" in text)
        body = raw(served, f"/{ENTRY}", accept_encoding="br")[1]
        assert brotli.decompress(body) == (STATIC / ENTRY).read_bytes()


def test_a_pack_can_be_made_for_another_user(baked):
    """What a build as root has made, the user of the image can read, and nobody else can write."""
    [pack] = baked.glob("*.pack")
    assert pack.stat().st_mode & 0o777 == 0o644


def test_the_command_says_where_it_cannot_write(tmp_path):
    """A directory that cannot be made ends the command with 3, the place and the cause."""
    (tmp_path / "file").touch()
    command = [*GATEWAY, "assets", "build", "--quick", "--dir", str(tmp_path / "file" / "in")]
    done = subprocess.run(command, capture_output=True, text=True, env=clean_environment(), timeout=60)
    assert done.returncode == 3
    assert "not a directory" in done.stderr
