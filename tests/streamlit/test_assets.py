"""Streamlit's front end in memory and in packs: what is served is the installed file, whatever lies in a cache."""

import asyncio
import gzip
import json
import os
import re
import time
from pathlib import Path

import brotli
import pytest
import zstandard
from streamlit import file_util

from gateway.streamlit.assets import answer_of
from gateway.streamlit.assets_cache import Pack, build_pack, pack_name
from gateway.streamlit.assets_files import _UNPACK as UNPACK_BOUNDED
from gateway.streamlit.assets_files import (
    CODINGS,
    AssetFile,
    asset_files,
    compress_best,
    compress_quickly,
    digest_of,
    unpacks_to,
)
from gateway.streamlit.assets_store import AssetStore, Form, tag_of
from gateway.streamlit.assets_upkeep import AssetUpkeep, Places
from gateway.streamlit.hints import first_load

INSTALLED = Path(file_util.get_static_dir())
ENTRY = first_load((INSTALLED / "index.html").read_text("utf-8"))[0][1:]
SCRIPT = b"export const answer = 42; // " + b"again and again, " * 400
HASHED = "/static/js/index.DormvYxC.js"

UNPACK = {"br": brotli.decompress, "zstd": zstandard.ZstdDecompressor().decompress, "gzip": gzip.decompress}


@pytest.fixture
def front_end(tmp_path):
    """A small front end with everything that makes a difference."""
    root = tmp_path / "static"
    (root / "static" / "js").mkdir(parents=True)
    (root / "static" / "media").mkdir()
    named = ["static/js/index.DormvYxC.js", "static/js/tiny.a-b_c-d1.js", "static/media/Sans.BsWL4Kly.woff2"]
    entries = {"index.html": {"file": named[0], "css": [], "assets": [named[2]]}, "tiny": {"file": named[1]}}
    (root / "manifest.json").write_text(json.dumps(entries))
    (root / "index.html").write_text("<html></html>")
    (root / "favicon.png").write_bytes(b"\x89PNG")
    (root / named[0]).write_bytes(SCRIPT)
    (root / named[1]).write_bytes(b"0")
    (root / named[2]).write_bytes(b"wOF2" + SCRIPT)
    (root / "static" / "js" / "jquery.carousel.js").write_bytes(SCRIPT)
    return root


# --- the files ----------------------------------------------------------------------------------------------------


def test_every_installed_file_but_the_document_is_there():
    """The installed front end as it lies on the disk; the document has a nonce each time and is nobody's file."""
    on_disk = {f"/{path.relative_to(INSTALLED).as_posix()}" for path in INSTALLED.rglob("*") if path.is_file()}
    assert set(asset_files(INSTALLED)) == on_disk - {"/index.html"}


def test_every_installed_file_has_a_type_that_we_name():
    """An upgrade that brings another kind of file is noticed: browsers do not guess, since we forbid it."""
    unknown = [path for path, file in asset_files(INSTALLED).items() if file.media_type == "application/octet-stream"]
    assert unknown == []


# RFC 9239, RFC 7303, RFC 8081, RFC 8259, W3C PNG.
TYPES = [
    ("x.js", "text/javascript; charset=utf-8"),
    ("x.css", "text/css; charset=utf-8"),
    ("x.json", "application/json"),
    ("x.svg", "image/svg+xml; charset=utf-8"),
    ("x.woff2", "font/woff2"),
    ("x.png", "image/png"),
    ("x.gif", "image/gif"),
    ("x.wasm", "application/wasm"),
    ("x.exe", "application/octet-stream"),
]


@pytest.mark.parametrize(("name", "expected"), TYPES)
def test_types_do_not_depend_on_the_machine(name, expected):
    """Each kind of file has the media type that its specification registers, text with its charset."""
    assert AssetFile(f"/{name}", Path(name), hashed=False).media_type == expected


def test_only_a_name_with_a_hash_is_kept_for_ever(front_end):
    """A name counts as hashed when the bundler lists it and it looks like one; looking like one is not enough."""
    hashed = {path for path, file in asset_files(front_end).items() if file.hashed}
    assert hashed == {HASHED, "/static/js/tiny.a-b_c-d1.js", "/static/media/Sans.BsWL4Kly.woff2"}


def test_without_the_bundlers_list_nothing_is_kept(front_end):
    """A front end that we cannot read that way is asked for again each time: slower, never stale."""
    (front_end / "manifest.json").write_text("[]")
    assert not any(file.hashed for file in asset_files(front_end).values())


def test_a_link_that_leads_outside_is_no_file(front_end, tmp_path):
    """Nothing outside of the directory is served, also when something in it points there."""
    (tmp_path / "secret.js").write_text("x")
    (front_end / "static" / "js" / "out.js").symlink_to(tmp_path / "secret.js")
    (front_end / "static" / "up").symlink_to(tmp_path)
    assert [path for path in asset_files(front_end) if "out" in path or "up" in path or "secret" in path] == []


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("compress", [compress_quickly, compress_best])
def test_compressed_forms_unpack_to_the_file(coding, compress):
    """Other people's decoders get the file back."""
    body = (INSTALLED / "static" / "js").joinpath("../css/index.C1JORDN2.css").resolve().read_bytes()[:50_000]
    compressed = compress(coding, body)
    assert len(compressed) < len(body) / 2
    assert UNPACK[coding](compressed) == body
    assert unpacks_to(coding, compressed, body)


@pytest.mark.parametrize("coding", CODINGS)
def test_what_unpacks_to_something_else_is_found_out(coding):
    """A form that is damaged, cut off, longer, or of another file does not pass; one that explodes ends early."""
    good = compress_quickly(coding, SCRIPT)
    middle = len(good) // 2
    for bad in (b"", good[:-1], good + b"x", good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :]):
        assert not unpacks_to(coding, bad, SCRIPT)
    assert not unpacks_to(coding, good, SCRIPT + b"x")
    assert not unpacks_to(coding, good, b"")
    bomb = compress_quickly(coding, bytes(50_000_000))
    assert not unpacks_to(coding, bomb, SCRIPT)
    assert len(UNPACK_BOUNDED[coding](bomb, len(SCRIPT))) <= len(SCRIPT)


def test_zstd_windows_are_small_enough_for_browsers():
    """RFC 9659: a window of at most 8 MB, also for a file that is bigger."""
    compressed = compress_quickly("zstd", os.urandom(9 * 1024**2))
    assert zstandard.get_frame_parameters(compressed).window_size <= 8 * 1024**2


# --- packs --------------------------------------------------------------------------------------------------------


def built(front_end, directory):
    files = asset_files(front_end)
    path = build_pack(files, directory, workers=2, on_progress=lambda done, total: None)
    return files, path


def test_a_pack_has_every_form_that_is_smaller(front_end, tmp_path):
    """Scripts and styles in every coding; not what is compressed already, and not what would grow."""
    files, path = built(front_end, tmp_path / "cache")
    pack = Pack.open(path)
    for coding in CODINGS:
        assert UNPACK[coding](pack.read(HASHED, coding)) == SCRIPT
        assert pack.read("/static/js/tiny.a-b_c-d1.js", coding) is None
        assert pack.read("/static/media/Sans.BsWL4Kly.woff2", coding) is None
        assert pack.read("/nothing", coding) is None
    assert path.name == pack_name(files)
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_another_front_end_has_another_pack(front_end, tmp_path):
    """A changed byte, or a changed name, is another name of the pack; the older one is removed when it is made."""
    files, old = built(front_end, tmp_path / "cache")
    before = digest_of(files)
    (front_end / HASHED[1:]).write_bytes(SCRIPT + b" ")
    files, new = built(front_end, tmp_path / "cache")
    assert digest_of(files) != before
    assert new != old
    assert not old.exists()


def test_a_pack_that_cannot_be_written_leaves_nothing(front_end, tmp_path):
    """There is a whole pack or none, and nothing half-written beside it."""
    cache = tmp_path / "cache"
    (cache / pack_name(asset_files(front_end))).mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        built(front_end, cache)
    assert [each.name for each in cache.iterdir() if each.is_file()] == []


DAMAGES = [
    ("a byte changed", lambda data: data[:-10] + bytes([data[-10] ^ 1]) + data[-9:]),
    ("cut off", lambda data: data[:-1]),
    ("longer", lambda data: data + b"x"),
    ("empty", lambda data: b""),
    ("no JSON", lambda data: b"{" + data),
    ("another format", lambda data: data.replace(b'"format":1', b'"format":2', 1)),
    ("a list", lambda data: b"[]\n"),
    ("entries that are none", lambda data: re.sub(rb'"entries":.*\n', b'"entries":{"/x":[1]}}\n', data, count=1)),
]


@pytest.mark.parametrize("damage", [row[1] for row in DAMAGES], ids=[row[0] for row in DAMAGES])
def test_a_damaged_pack_is_not_opened(front_end, tmp_path, damage):
    """Damage anywhere in it is seen when it is opened."""
    _, path = built(front_end, tmp_path / "cache")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError):
        Pack.open(path)


@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_a_pack_that_others_can_write_is_not_opened(front_end, tmp_path, mode):
    """Who can write it could put scripts into every page."""
    _, path = built(front_end, tmp_path / "cache")
    path.chmod(mode)
    with pytest.raises(ValueError, match="somebody else"):
        Pack.open(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_pack_of_somebody_else_is_not_opened(front_end, tmp_path):
    """A pack belongs to us or to root."""
    _, path = built(front_end, tmp_path / "cache")
    os.chown(path, 12345, 12345)
    with pytest.raises(ValueError, match="somebody else"):
        Pack.open(path)


def test_a_link_is_no_pack(front_end, tmp_path):
    """A link could be turned to another file while we read."""
    _, path = built(front_end, tmp_path / "cache")
    path.rename(tmp_path / "real")
    path.symlink_to(tmp_path / "real")
    with pytest.raises(OSError, match="symbolic"):
        Pack.open(path)


# --- memory -------------------------------------------------------------------------------------------------------


class LyingPack(Pack):
    """A whole, well-formed pack of ours with a script in it that is not the installed one."""

    def read(self, path, coding):
        return compress_quickly(coding, b"alert(document.cookie)")


def run(coroutine):
    return asyncio.run(coroutine)


def test_what_a_pack_says_is_not_believed(front_end, tmp_path):
    """A script that somebody has put into a pack is never served: only what unpacks to the installed file is."""
    files, path = built(front_end, tmp_path / "cache")

    async def ask():
        store = AssetStore(files)
        store.use(LyingPack.open(path))
        found = [await store.form(HASHED, coding) for coding in CODINGS]
        store.close()
        return found

    for form in run(ask()):
        assert UNPACK[form.coding](form.body) == SCRIPT


def test_a_pack_is_used_as_soon_as_it_is_there(front_end, tmp_path):
    """At first forms are made quickly; those of the pack take their place, with tags of their own."""
    files, path = built(front_end, tmp_path / "cache")

    async def ask():
        store = AssetStore(files)
        quick = await store.form(HASHED, "br")
        store.use(Pack.open(path))
        best = await store.form(HASHED, "br")
        store.close()
        return quick, best

    quick, best = run(ask())
    assert best.body == compress_best("br", SCRIPT)
    assert UNPACK["br"](quick.body) == UNPACK["br"](best.body) == SCRIPT
    assert (quick.etag == best.etag) is (quick.body == best.body)


def test_many_who_ask_at_once_cost_as_much_as_one(front_end):
    """A form is made once, and comes to everybody who waits for it, also when the first of them has left."""
    files = asset_files(front_end)

    async def ask():
        store = AssetStore(files)
        waiting = [asyncio.create_task(store.form(HASHED, "gzip")) for _ in range(50)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        found = await asyncio.gather(*waiting, return_exceptions=True)
        store.close()
        return found

    first, *others = run(ask())
    assert isinstance(first, asyncio.CancelledError)
    assert all(form is others[0] for form in others)


def test_memory_is_bounded(front_end):
    """What has not been asked for longest makes room; it comes again when it is asked for."""
    files = asset_files(front_end)

    async def ask():
        store = AssetStore(files, memory=len(SCRIPT) + 10)
        await store.form(HASHED, "identity")
        await store.form("/static/js/jquery.carousel.js", "identity")
        kept = [store.ready(path, "identity") is not None for path in (HASHED, "/static/js/jquery.carousel.js")]
        again = await store.form(HASHED, "identity")
        store.close()
        return kept, again

    kept, again = run(ask())
    assert kept == [False, True]
    assert again.body == SCRIPT


def test_a_file_that_has_gone_is_an_error_and_not_for_ever(front_end):
    """A file that cannot be read fails that request; once it is back, it is served."""
    files = asset_files(front_end)

    async def ask():
        store = AssetStore(files)
        (front_end / HASHED[1:]).rename(front_end / "aside")
        with pytest.raises(FileNotFoundError):
            await store.form(HASHED, "br")
        (front_end / "aside").rename(front_end / HASHED[1:])
        found = await store.form(HASHED, "br")
        store.close()
        return found

    assert UNPACK["br"](run(ask()).body) == SCRIPT


# --- upkeep -------------------------------------------------------------------------------------------------------


def kept_up(places, seconds, until):
    """Run the upkeep over the installed front end, with a real child process, until something holds."""

    async def watch():
        store = AssetStore(asset_files(INSTALLED))
        upkeep = AssetUpkeep(store, places, (f"/{ENTRY}",), patience=0, options=("--quick",))
        upkeep.start()
        deadline = time.monotonic() + seconds
        while not until(store) and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        held = until(store)
        begun = time.monotonic()
        await upkeep.close()
        return held, time.monotonic() - begun

    return run(watch())


def test_the_first_start_makes_the_pack_in_a_process_of_its_own(tmp_path):
    """Without a pack the first load's files are compressed quickly, and a child makes the pack, which is then used."""
    places = Places(tmp_path / "cache")
    held, _ = kept_up(places, 120, lambda store: store.pack is not None and store.ready(f"/{ENTRY}", "zstd"))
    assert held
    [pack] = places.own.iterdir()
    assert pack.stat().st_mode & 0o777 == 0o644
    begun = time.monotonic()
    held, _ = kept_up(places, 20, lambda store: store.pack is not None)
    assert held
    assert time.monotonic() - begun < 20
    assert list(places.own.iterdir()) == [pack]


def test_a_damaged_pack_is_made_anew(tmp_path):
    """Damage is not served and not kept: the next start makes the pack again."""
    places = Places(tmp_path / "cache")
    places.own.mkdir()
    damaged = places.own / pack_name(asset_files(INSTALLED))
    damaged.write_bytes(b"x" * 1000)
    held, _ = kept_up(places, 120, lambda store: store.pack is not None)
    assert held
    assert damaged.stat().st_size > 1000
    Pack.open(damaged).close()


def test_a_stop_ends_the_child(tmp_path):
    """Who stops the gateway does not wait for the pack, and no process stays behind."""
    places = Places(tmp_path / "cache")
    begun = asyncio.run(_stopped_while_building(places))
    assert begun < 2
    assert list(places.own.glob("*.pack")) == []


async def _stopped_while_building(places):
    upkeep = AssetUpkeep(AssetStore(asset_files(INSTALLED)), places, (), patience=0)
    mine = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    others = set(mine.read_text().split())  # of the tests before this one
    upkeep.start()
    while not set(mine.read_text().split()) - others:
        await asyncio.sleep(0.02)
    begun = time.monotonic()
    await upkeep.close()
    assert set(mine.read_text().split()) - others == set()
    return time.monotonic() - begun


def test_a_place_that_cannot_be_written_is_no_reason_to_fail(tmp_path):
    """Without a pack everything is served all the same, compressed quickly."""
    (tmp_path / "file").touch()
    held, _ = kept_up(Places(tmp_path / "file" / "cache"), 20, lambda store: store.ready(f"/{ENTRY}", "gzip"))
    assert held


# --- answers ------------------------------------------------------------------------------------------------------

FILE = AssetFile("/static/js/x.DormvYxC.js", Path("x.js"), hashed=True)
PLAIN = Form("identity", SCRIPT, tag_of(SCRIPT))


def test_a_304_repeats_what_the_cache_must_know():
    """RFC 9110 §15.4.5: ETag, Cache-Control and Vary as a 200 would have them; no body, no length."""
    answer = answer_of("GET", [(b"if-none-match", PLAIN.etag.encode())], FILE, PLAIN)
    assert answer.status == 304
    assert {name for name, _ in answer.headers} == {b"etag", b"cache-control", b"vary"}
    assert answer.body == b""


def test_a_known_file_is_not_cut():
    """RFC 9110 §13.2.2: If-None-Match comes before Range."""
    headers = [(b"range", b"bytes=0-4"), (b"if-none-match", b"*")]
    assert answer_of("GET", headers, FILE, PLAIN).status == 304


def test_ranges_are_of_the_file_itself():
    """A part of the identity form is 206; a compressed form is sent whole and does not offer ranges."""
    answer = answer_of("GET", [(b"range", b"bytes=7-11")], FILE, PLAIN)
    assert (answer.status, answer.body) == (206, SCRIPT[7:12])
    assert dict(answer.headers)[b"content-range"] == f"bytes 7-11/{len(SCRIPT)}".encode()
    assert dict(answer.headers)[b"content-length"] == b"5"
    compressed = Form("br", compress_quickly("br", SCRIPT), '"x"')
    answer = answer_of("GET", [(b"range", b"bytes=7-11")], FILE, compressed)
    assert (answer.status, answer.body) == (200, compressed.body)
    assert b"accept-ranges" not in dict(answer.headers)


def test_a_range_behind_the_end_says_how_long_the_file_is():
    """416 with the length (RFC 9110 §15.5.17), kept by nobody."""
    answer = answer_of("GET", [(b"range", b"bytes=999999-")], FILE, PLAIN)
    assert answer.status == 416
    assert dict(answer.headers)[b"content-range"] == f"bytes */{len(SCRIPT)}".encode()
    assert dict(answer.headers)[b"cache-control"] == b"no-store"


def test_range_means_nothing_to_head():
    """RFC 9110 §14.2: Range is defined for GET."""
    assert answer_of("HEAD", [(b"range", b"bytes=7-11")], FILE, PLAIN).status == 200


def test_tags_differ_between_forms():
    """RFC 9110 §8.8.3.3: a strong tag names the bytes, so each coding has its own."""
    bodies = [SCRIPT, *(compress_quickly(coding, SCRIPT) for coding in CODINGS)]
    assert len({tag_of(body) for body in bodies}) == 4
    assert all(re.fullmatch(r'"[!#-~]+"', tag_of(body)) for body in bodies)
