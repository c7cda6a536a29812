"""The stand-alone verifier: the tree, the notes, the proofs, and the file as it is taken to another machine."""

import ast
import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import tomllib
from functools import lru_cache, partial
from pathlib import Path

import pytest

from gateway import findings
from gateway.audit import Durability, Ledger, LedgerOptions, lifecycle, stamp, verifier
from gateway.audit.retention import prune
from gateway.audit.sealing import steps
from gateway.audit.verifier import Checkpoint, Key, Tree, UnusableError, is_consistent, leaf_hash, root_of_inclusion
from tests.audit import forge
from tests.audit.forge import Forger, b64, note
from tests.audit.logs import OPTIONS, write

HERE = Path(__file__).parent
VECTORS = tomllib.loads((HERE.parent / "data" / "merkle-tree.toml").read_text())
FILE = Path(verifier.__file__)


def unhex(values):
    return [bytes.fromhex(each) for each in values]


# ---- the tree


def test_the_tree_heads_of_certificate_transparency():
    """Tree heads are those that Certificate Transparency publishes, however the leaves are grouped."""
    leaves = [leaf_hash(each) for each in unhex(VECTORS["leaves"])]
    for size, expected in enumerate(unhex(VECTORS["roots"])):
        for first in range(size + 1):
            tree = Tree()
            tree.add(leaves[:first])
            tree.add(leaves[first:size])
            assert tree.root == expected


@pytest.mark.parametrize("row", VECTORS["inclusion"], ids=lambda row: f"{row['index']} of {row['size']}")
def test_the_inclusion_proofs_of_certificate_transparency(row):
    """A published proof leads from its leaf to the published tree head."""
    leaf = leaf_hash(bytes.fromhex(VECTORS["leaves"][row["index"]]))
    root = root_of_inclusion(leaf, row["index"], row["size"], unhex(row["proof"]))
    assert root.hex() == VECTORS["roots"][row["size"]]


@pytest.mark.parametrize("row", VECTORS["consistency"], ids=lambda row: f"{row['old']} to {row['new']}")
def test_the_consistency_proofs_of_certificate_transparency(row):
    """A published proof holds between the published tree heads, and not when a bit of it is turned."""
    old, new = (bytes.fromhex(VECTORS["roots"][row[name]]) for name in ("old", "new"))
    proof = unhex(row["proof"])
    assert is_consistent(row["old"], old, row["new"], new, proof)
    for at in range(len(proof)):
        wrong = [*proof]
        wrong[at] = bytes([wrong[at][0] ^ 1, *wrong[at][1:]])
        assert not is_consistent(row["old"], old, row["new"], new, wrong)
    assert not is_consistent(row["old"], old, row["new"], new, [*proof, old])
    assert not proof or not is_consistent(row["old"], old, row["new"], new, proof[:-1])


LARGEST = 128
LEAVES = [hashlib.sha256(b"\0" + bytes([n])).digest() for n in range(LARGEST)]


@lru_cache(None)
def head(low, high):
    """RFC 6962 §2.1 for LEAVES[low:high]."""
    if high - low == 1:
        return LEAVES[low]
    k = forge.split(high - low)
    return hashlib.sha256(b"\1" + head(low, low + k) + head(low + k, high)).digest()


def path(m, low, high):
    """RFC 6962 §2.1.1."""
    if high - low == 1:
        return []
    k = forge.split(high - low)
    if m < k:
        return path(m, low, low + k) + [head(low + k, high)]
    return path(m - k, low + k, high) + [head(low, low + k)]


def proof(m, low, high, whole=True):
    """RFC 6962 §2.1.2."""
    if m == high - low:
        return [] if whole else [head(low, high)]
    k = forge.split(high - low)
    if m <= k:
        return proof(m, low, low + k, whole) + [head(low + k, high)]
    return proof(m - k, low + k, high, False) + [head(low, low + k)]


def test_every_inclusion_proof_of_small_trees():
    """For all sizes up to 128 and all indices, the proof of RFC 6962 leads to the tree head, and to no other index."""
    for size in range(1, LARGEST + 1):
        for index in range(size):
            hashes = path(index, 0, size)
            assert root_of_inclusion(LEAVES[index], index, size, hashes) == head(0, size)
            for other in {index ^ 1, size - 1, 0} - {index}:
                if other < size:
                    try:
                        assert root_of_inclusion(LEAVES[index], other, size, hashes) != head(0, size)
                    except ValueError:
                        continue


def test_every_consistency_proof_of_small_trees():
    """For all pairs of sizes up to 128, the proof of RFC 6962 holds, and does not hold for another old tree head."""
    for new in range(1, LARGEST + 1):
        for old in range(1, new + 1):
            hashes = proof(old, 0, new)
            assert is_consistent(old, head(0, old), new, head(0, new), hashes)
            assert not is_consistent(old, LEAVES[-1], new, head(0, new), hashes)
            if old < new:
                assert not is_consistent(old, head(0, old), new, LEAVES[-1], hashes)
                assert not is_consistent(old, head(0, old), new, head(0, new), hashes[:-1])


def test_a_tree_grows_in_any_steps():
    """However many leaves are added at once, the peaks are those of RFC 6962, and complete subtrees are collected."""
    for step in range(1, 40):
        tree = Tree(completed={3: []})
        for at in range(0, LARGEST, step):
            tree.add(LEAVES[at : min(at + step, LARGEST)])
            assert tree.root == head(0, min(at + step, LARGEST))
        assert tree.completed[3] == [head(at, at + 8) for at in range(0, LARGEST, 8)]


def test_proofs_have_the_length_that_the_sizes_give():
    """A proof with a hash too many or too few proves nothing, even where the tree heads would be the same."""
    with pytest.raises(ValueError, match="too few"):
        root_of_inclusion(LEAVES[0], 0, 2, [])
    with pytest.raises(ValueError, match="too many"):
        root_of_inclusion(LEAVES[0], 0, 1, [LEAVES[1]])
    assert not is_consistent(1, LEAVES[0], 2, LEAVES[0], [])
    assert not is_consistent(3, head(0, 3), 5, head(0, 3), proof(3, 0, 4))
    assert not is_consistent(2, head(0, 2), 2, head(0, 2), [LEAVES[0]])
    assert not is_consistent(3, head(0, 3), 2, head(0, 2), [])
    assert is_consistent(0, verifier.EMPTY_ROOT, 2, head(0, 2), [])
    assert not is_consistent(0, LEAVES[0], 2, head(0, 2), [])


@pytest.mark.parametrize(("index", "size"), [(-1, 4), (4, 4), (0, 0)])
def test_an_index_outside_of_the_tree(index, size):
    """No proof proves something about an event that the tree does not have."""
    with pytest.raises(ValueError, match="has no event"):
        root_of_inclusion(LEAVES[0], index, size, [])


# ---- keys and notes

GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


def test_the_example_of_the_go_package():
    """The key and the signature in the documentation of golang.org/x/mod/sumdb/note are accepted."""
    key = Key.parse(GO_KEY)
    text, _, signature = GO_NOTE.rpartition("\n\n")
    assert key.has_signed(text.encode() + b"\n", signature.split(" ")[2].strip())
    assert not key.has_signed(text.encode(), signature.split(" ")[2].strip())


KEYS = [
    "",
    "name",
    "name+00000000",
    "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10T",
    "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    "+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    "PeterNeumann+c74f20a3+AhpC2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
]


@pytest.mark.parametrize("vkey", KEYS)
def test_what_is_no_verifier_key(vkey):
    """A verifier key has the id that its name and bytes give, and is for Ed25519."""
    with pytest.raises(ValueError):
        Key.parse(vkey)


def test_a_key_for_another_algorithm():
    """A key for cosignatures of witnesses (type 4), with the id that it should have, is no key of a log."""
    raw = b"\4" + bytes(32)
    stated = hashlib.sha256(b"o\n" + raw).hexdigest()[:8]
    with pytest.raises(ValueError, match="not an Ed25519"):
        Key.parse(f"o+{stated}+{b64(raw)}")


def test_a_signature_under_the_id_of_another_key():
    """A signature bears the id of the key that made it: a right one under another id is none of this key's."""
    key = forge.Key()
    signed = base64.b64decode(key.sign("text"))
    assert Key.parse(key.vkey).has_signed(b"text", b64(signed))
    assert not Key.parse(key.vkey).has_signed(b"text", b64(b"\0" * 4 + signed[4:]))


def test_notes_one_after_the_other(tmp_path):
    """A file may hold many checkpoints, with cosignatures of witnesses and empty lines between them."""
    key, other = forge.Key(), forge.Key("witness.example")
    notes = [note(key, LEAVES[:n]) for n in (1, 5, 77)]
    notes[1] += f"— witness.example {other.sign('x')}\n\n\n"
    (tmp_path / "anchors").write_text("".join(notes))
    found = verifier.read_checkpoints(tmp_path / "anchors")
    assert [(each.origin, each.size, each.root) for each in found] == [
        (forge.ORIGIN, n, head(0, n)) for n in (1, 5, 77)
    ]
    assert all(each.is_signed_by(Key.parse(key.vkey)) for each in found)


def test_a_file_of_checkpoints_that_a_crash_has_torn(tmp_path):
    """In a directory of anchors, what a crash has left of the last note does not spoil those before it."""
    key = forge.Key()
    text = "".join(note(key, LEAVES[:n]) + "\n" for n in (3, 9))
    torn = note(key, LEAVES[:20])
    for at in range(1, len(torn)):
        (tmp_path / "anchors").write_bytes(text.encode() + torn.encode()[:at])
        assert [each.size for each in verifier.read_anchors([tmp_path])] == [3, 9]
    (tmp_path / "anchors").write_bytes(text.encode() + torn.encode()[:40])
    with pytest.raises(UnusableError, match="not a file of checkpoints"):
        verifier.read_anchors([tmp_path / "anchors"])


NOTES = [
    ("nothing", ""),
    ("no signature", "o\n1\n{root}\n\n"),
    ("no empty line", "o\n1\n{root}\n— o {sig}\n"),
    ("a size with a zero in front", "o\n01\n{root}\n\n— o {sig}\n"),
    ("a negative size", "o\n-1\n{root}\n\n— o {sig}\n"),
    ("a root that is too short", "o\n1\nAAAA\n\n— o {sig}\n"),
    ("a control character", "o\n1\n{root}\n\r\n\n— o {sig}\n"),
    ("a hyphen for a dash", "o\n1\n{root}\n\n- o {sig}\n"),
    ("no newline at the end", "o\n1\n{root}\n\n— o {sig}"),
    ("no origin", "\n1\n{root}\n\n— o {sig}\n"),
    ("words behind the signature", "o\n1\n{root}\n\n— o {sig} x\n"),
]


@pytest.mark.parametrize("text", [row[1] for row in NOTES], ids=[row[0] for row in NOTES])
def test_what_is_no_checkpoint(text):
    """A checkpoint has exactly its form."""
    with pytest.raises(ValueError):
        Checkpoint.parse(text.format(root=b64(LEAVES[0]), sig=b64(bytes(68))), "x")


def test_one_wrong_signature_spoils_a_note():
    """A note with a right and a wrong signature of one key is not signed by it (c2sp.org/signed-note)."""
    key = forge.Key()
    text = note(key, LEAVES[:3])
    wrong = f"— {forge.ORIGIN} {key.sign('something else')}\n"
    assert Checkpoint.parse(text, "x").is_signed_by(Key.parse(key.vkey))
    assert not Checkpoint.parse(text + wrong, "x").is_signed_by(Key.parse(key.vkey))
    assert not Checkpoint.parse(text, "x").is_signed_by(Key.parse(forge.Key().vkey))


# ---- proofs


@pytest.fixture
def proven(tmp_path):
    """A log of 20 events, its key, and the line and proof of each of them."""
    log = Forger(tmp_path / "log").segment([3, 10, 7])
    lines = [each for each in log.plain(0).read_bytes().splitlines(True) if each.startswith(b'{"meta')]

    def make(index, size=20, extra=""):
        hashes = "".join(f"{b64(each)}\n" for each in forge.path(index, log.leaves[:size]))
        return f"c2sp.org/tlog-proof@v1\n{extra}index {index}\n{hashes}\n{note(log.keys[0], log.leaves[:size])}"

    return log, lines, make


def test_every_event_is_proven(proven):
    """The proof of an event holds for its line, with and without the newline, and for no other event."""
    log, lines, make = proven
    keys = [Key.parse(log.keys[0].vkey)]
    for index, line in enumerate(lines):
        found, checkpoint = verifier.check_proof(line, make(index), keys)
        assert (found, checkpoint.origin, checkpoint.size) == (index, log.origin, 20)
        verifier.check_proof(line[:-1], make(index, extra="extra YWdl\n"), keys)
        with pytest.raises(ValueError, match="not the one"):
            verifier.check_proof(lines[index - 1], make(index), keys)
    with pytest.raises(ValueError, match="not signed"):
        verifier.check_proof(lines[0], make(0), [Key.parse(forge.Key().vkey)])


PROOFS = [
    lambda text: text.replace("@v1", "@v2"),
    lambda text: text.replace("index 4", "index 04"),
    lambda text: text.replace("index 4", "index 5"),
    lambda text: text.replace("index 4", "index 99"),
    lambda text: text.replace("index 4\n", ""),
    lambda text: text.replace("index 4\n", "index 4\nAAAA\n"),
    lambda text: text.replace("\n20\n", "\n21\n"),
    lambda text: text.replace("\n\n", "\n", 1),
    lambda text: "\n".join([*text.split("\n")[:3], *text.split("\n")[4:]]),
    lambda text: text[:-10],
    lambda text: "",
]


@pytest.mark.parametrize("change", PROOFS)
def test_a_proof_that_is_none(proven, change):
    """Whatever is changed in a proof, it proves nothing."""
    log, lines, make = proven
    with pytest.raises(ValueError):
        verifier.check_proof(lines[4], change(make(4)), [Key.parse(log.keys[0].vkey)])


def test_checkpoints_of_two_logs_are_not_compared():
    """A log does not continue another one, though both have signed and the trees are the same."""
    one, other = forge.Key(), forge.Key("other/log")
    old, new = note(one, LEAVES[:3]), note(other, LEAVES[:3], "other/log")
    keys = [Key.parse(each.vkey) for each in (one, other)]
    with pytest.raises(ValueError, match="two logs"):
        verifier.check_consistency(Checkpoint.parse(old, "a"), Checkpoint.parse(new, "b"), [], keys)


# ---- the file by itself


def test_the_verifier_needs_nothing_of_the_gateway():
    """The one file imports the standard library and cryptography, and nothing else."""
    names = set()
    for node in ast.walk(ast.parse(FILE.read_text())):
        if isinstance(node, ast.Import):
            names |= {each.name.partition(".")[0] for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            names.add(node.module.partition(".")[0])
    assert names - set(sys.stdlib_module_names) == {"cryptography"}


def run(*arguments, python=sys.executable, **environment):
    """The file, copied away from the package, as a program of its own."""
    done = subprocess.run(
        [python, "-I", str(FILE), *map(str, arguments)],
        capture_output=True,
        timeout=60,
        cwd="/",
        env=os.environ | environment,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_the_program_verifies_a_log(tmp_path):
    """`python verifier.py log` ends with 0, with 1 when there is a finding, and with 2 when there is no log."""
    log = Forger(tmp_path / "log").segment([2, 3]).segment([4])
    log.seal(0)
    (tmp_path / "keys").write_text(f"# first keys\n0 {log.keys[0].vkey}\n")
    anchor = log.anchor(tmp_path / "anchor", 7)
    code, out, err = run("log", log.directory, "--key", tmp_path / "keys", "--anchor", anchor)
    assert (code, err) == (0, "")
    assert "nothing found" in out and "1 agree" in out and "as given" in out
    log.plain(1).write_bytes(log.plain(1).read_bytes().replace(b'"x"', b'"y"'))
    code, out, _ = run("log", log.directory, "--every-commit", "--jobs", 1)
    assert code == 1
    assert "GW102 seg-000000000005.jsonl:3: events 5 to 8" in out
    assert "NOT COMPARED" in out
    code, out, err = run("log", tmp_path / "nowhere")
    assert (code, out) == (2, "")
    assert "no log there" in err


def test_the_program_checks_proofs(tmp_path, proven):
    """`python verifier.py proof` and `consistency` say what is proven, and by their exit code whether."""
    log, lines, make = proven
    (tmp_path / "event").write_bytes(lines[7])
    (tmp_path / "proof").write_text(make(7))
    (tmp_path / "old").write_text(note(log.keys[0], log.leaves[:6]))
    (tmp_path / "new").write_text(note(log.keys[0], log.leaves))
    (tmp_path / "hashes").write_text("".join(f"{b64(each)}\n" for each in forge.proof(6, log.leaves)))
    vkey = ("--key", log.keys[0].vkey)
    code, out, _ = run("proof", tmp_path / "event", tmp_path / "proof", *vkey)
    assert (code, out) == (0, f"proven: event 7 of {log.origin}, in its first 20 events\n")
    code, out, _ = run("consistency", tmp_path / "old", tmp_path / "new", tmp_path / "hashes", *vkey)
    assert code == 0
    assert out.startswith(f"proven: {log.origin} with 20 events begins with the 6 of")
    (tmp_path / "event").write_bytes(lines[8])
    assert run("proof", tmp_path / "event", tmp_path / "proof", *vkey)[0] == 1
    (tmp_path / "hashes").write_text("")
    assert run("consistency", tmp_path / "old", tmp_path / "new", tmp_path / "hashes", *vkey)[0] == 1
    other = ("--key", forge.Key().vkey)
    assert run("consistency", tmp_path / "old", tmp_path / "old", tmp_path / "hashes", *vkey)[0] == 0
    code, out, _ = run("consistency", tmp_path / "old", tmp_path / "old", tmp_path / "hashes", *other)
    assert (code, "not signed" in out) == (1, True)
    assert run("proof", tmp_path / "event", tmp_path / "proof", "--key", "nonsense")[0] == 2
    assert run("proof", tmp_path / "event", tmp_path / "nothing", *vkey)[0] == 2


@pytest.mark.parametrize("arguments", [[], ["log"], ["proof"], ["consistency"]])
def test_the_program_explains_itself(arguments):
    """`--help` shows examples and what the exit codes mean."""
    code, out, _ = run(*arguments, "--help")
    assert code == 0
    assert "For example:" in out and "Exit codes:" in out


WAYS = {
    "the package zstandard": {"compression.zstd": None},
    "the program zstd": {"compression.zstd": None, "zstandard": None},
}


@pytest.mark.parametrize("hidden", WAYS.values(), ids=WAYS.keys())
def test_sealed_segments_are_read_with_what_is_there(tmp_path, monkeypatch, hidden):
    """Sealed segments are verified with any of the ways to read zstd, all frames of them."""
    if "zstandard" in hidden and not shutil.which("zstd"):
        pytest.skip("the program zstd is not installed")
    for name in hidden:
        monkeypatch.setitem(sys.modules, name, None)
    log = Forger(tmp_path / "log").segment([50, 60]).segment([1])
    log.seal(0)
    found = verifier.verify_log(log.directory)
    assert (found.findings, found.size) == ((), 111)
    packed = log.named(0, ".jsonl.zst")
    packed.write_bytes(packed.read_bytes()[:200])
    assert verifier.verify_log(log.directory).findings != ()
    packed.write_bytes(b"nothing")
    assert [each.id for each in verifier.verify_log(log.directory).findings] == [verifier.UNREADABLE]


def test_without_a_way_to_read_sealed_segments_nothing_is_said_of_them(tmp_path, monkeypatch):
    """When nothing can read zstd, the verifier says what to install, and does not verify the rest as if it were all."""
    monkeypatch.setitem(sys.modules, "compression.zstd", None)
    monkeypatch.setitem(sys.modules, "zstandard", None)
    monkeypatch.setenv("PATH", "/nowhere")
    log = Forger(tmp_path / "log").segment([5]).segment([1])
    log.seal(0)
    with pytest.raises(UnusableError, match="zstandard"):
        verifier.verify_log(log.directory)


def test_every_finding_is_registered():
    """The ids of the verifier are those of the registry, under the same names, and none is missing there."""
    ids = {name: value for name, value in vars(verifier).items() if isinstance(value, str) and value.startswith("GW1")}
    assert {name: getattr(findings, name).id for name in ids} == ids
    assert len(ids) == 19


# ---- the gateway's own logs


def filled(directory, count=300, **options):
    with Ledger.open(directory, origin="gw.example/a1/w0", options=LedgerOptions(reserve=4096, **options)) as ledger:
        for number in range(count):
            receipt = ledger.append(
                lifecycle("gateway.start", "x" * 300, {"number": number}, stamp()), Durability.BEFORE
            )
            if number % 7 == 0:
                receipt.wait(5)
        receipt.wait(5)


def test_the_log_of_a_gateway(tmp_path):
    """What the gateway writes, over many segments and starts, has no findings, and its checkpoint is an anchor."""
    filled(tmp_path, segment_size=32 * 1024)
    anchors = verifier.read_anchors([tmp_path / "checkpoint"])
    filled(tmp_path, segment_size=32 * 1024)
    for every_commit in (False, True):
        found = verifier.verify_log(tmp_path, anchors=anchors, every_commit=every_commit)
        assert found.findings == ()
        assert found.size == 604
        assert found.segments > 5
        assert found.anchors == 1
        assert found.first_vkey.startswith("gw.example/a1/w0+")


def test_a_log_is_verified_while_it_is_written(tmp_path):
    """Verification does not wait for the gateway, nor the gateway for it: what is not yet committed is no finding."""
    writer = threading.Thread(target=filled, args=(tmp_path, 4000), kwargs={"segment_size": 256 * 1024})
    filled(tmp_path, 10)
    writer.start()
    sizes = []
    while writer.is_alive():
        found = verifier.verify_log(tmp_path)
        assert found.findings == ()
        sizes.append(found.size)
    writer.join()
    assert sizes == sorted(sizes)
    assert verifier.verify_log(tmp_path).size == 4000 + 10 + 4


def append(ledger, event):
    ledger.append(event, Durability.BEFORE).wait(5)


def test_a_log_is_verified_while_it_is_sealed_and_pruned(tmp_path):
    """Sealing and retention go on beside verification: at no moment is there a finding, nor is one left."""
    write(tmp_path, 1500)
    found, done = [], threading.Event()

    def look():
        while not done.is_set():
            found.extend(verifier.verify_log(tmp_path).findings)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        sealed = [steps.seal(each, 1).seal for each in steps.waiting(tmp_path)]
        with Ledger.open(tmp_path, origin="test/w0", options=OPTIONS) as ledger:
            record = partial(append, ledger)
            prune(tmp_path, sealed[1].last_time + 1, "ninety days", record)
    finally:
        done.set()
        looking.join()
    assert found == []
    after = verifier.verify_log(tmp_path, every_commit=True)
    assert after.findings == ()
    assert after.pruned == tuple((each.start, each.end) for each in sealed[:2])


# ---- somebody else's implementation


@pytest.fixture(scope="module")
def go(tmp_path_factory):
    """A program that checks with golang.org/x/mod/sumdb, as Debian packages it."""
    modules = Path("/usr/share/gocode/src/golang.org/x/mod/sumdb")
    if not shutil.which("go") or not modules.exists():
        pytest.skip("go is not installed: apt-get install golang-go golang-golang-x-mod-dev")
    directory = tmp_path_factory.mktemp("go")
    environment = {
        "PATH": os.environ["PATH"],
        "GO111MODULE": "off",
        "GOPATH": "/usr/share/gocode",
        "GOCACHE": str(directory / "cache"),
        "CGO_ENABLED": "0",
    }
    source = HERE / "programs" / "go" / "check.go"
    subprocess.run(["go", "build", "-o", directory / "check", source], check=True, env=environment)

    def check(question):
        done = subprocess.run([directory / "check"], input=json.dumps(question).encode(), capture_output=True)
        return done.stdout.decode().strip()

    return check


def test_go_agrees(go, tmp_path):
    """Go's checksum database code opens the gateway's checkpoints and accepts proofs about its lines, and no others."""
    filled(tmp_path, 40)
    old = (tmp_path / "checkpoint").read_text()
    filled(tmp_path, 70)
    new = (tmp_path / "checkpoint").read_text()
    lines = (tmp_path / "seg-000000000000.jsonl").read_bytes().splitlines()
    key = json.loads(lines[0])["vkey"]
    events = [each for each in lines if each.startswith(b'{"metadata"')]
    leaves = [forge.leaf(each) for each in events]
    older, newer = (Checkpoint.parse(each, "x").size for each in (old, new))
    assert 0 < older < newer <= len(events)
    question = {
        "key": key,
        "old": old,
        "new": new,
        "index": 17,
        "record": events[17].decode(),
        "record_proof": [b64(each) for each in forge.path(17, leaves[:newer])],
        "tree_proof": [b64(each) for each in forge.proof(older, leaves[:newer])],
    }
    assert go(question) == "ok"
    assert go(question | {"index": 18}).startswith("record:")
    assert go(question | {"record": events[16].decode()}).startswith("record:")
    assert go(question | {"tree_proof": question["tree_proof"][::-1]}).startswith("tree:")
    assert go(question | {"new": new.replace(f"\n{newer}\n", f"\n{newer + 1}\n")}).startswith("new:")
    assert go(question | {"key": forge.Key("gw.example/a1/w0").vkey}).startswith("old:")
