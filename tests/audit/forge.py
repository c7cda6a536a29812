"""Makes logs as the format's description says, with any key and any lie in them. Shares nothing with the package.

An honest `Forger` writes what the gateway writes. The attacks of test_attacks.py bend its files, or tell it to sign
what nobody should.
"""

import base64
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ORIGIN = "gw.example/audit/main/w0"
TIME = 1790000000000


def b64(data):
    return base64.b64encode(data).decode()


def leaf(line):
    return hashlib.sha256(b"\0" + line.rstrip(b"\n")).digest()


def head(leaves):
    """RFC 6962 §2.1, as it is written there."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return hashlib.sha256(b"\1" + head(leaves[:k]) + head(leaves[k:])).digest()


def split(n):
    """The largest power of two smaller than n."""
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def path(m, leaves):
    """RFC 6962 §2.1.1: the audit path of leaf m."""
    if len(leaves) <= 1:
        return []
    k = split(len(leaves))
    if m < k:
        return path(m, leaves[:k]) + [head(leaves[k:])]
    return path(m - k, leaves[k:]) + [head(leaves[:k])]


def proof(m, leaves, *, whole=True):
    """RFC 6962 §2.1.2: that the tree of these leaves begins with the first m of them."""
    n = len(leaves)
    if m == n:
        return [] if whole else [head(leaves)]
    k = split(n)
    if m <= k:
        return proof(m, leaves[:k], whole=whole) + [head(leaves[k:])]
    return proof(m - k, leaves[k:], whole=False) + [head(leaves[:k])]


def stack(leaves):
    """The complete subtrees of a tree, greatest first: one for each bit of its size."""
    found = []
    while leaves:
        k = 1 << (len(leaves).bit_length() - 1)
        found.append(head(leaves[:k]))
        leaves = leaves[k:]
    return found


class Key:
    def __init__(self, name=ORIGIN):
        self.private = Ed25519PrivateKey.generate()
        public = b"\1" + self.private.public_key().public_bytes_raw()
        self.id = hashlib.sha256(name.encode() + b"\n" + public).digest()[:4]
        self.vkey = f"{name}+{self.id.hex()}+{b64(public)}"

    def sign(self, text):
        return b64(self.id + self.private.sign(text.encode()))


def event(sequence, what="x", code="http.request", **details):
    body = {
        "metadata": {"sequence": sequence, "version": "1.8.0", "event_code": code},
        "time": TIME + sequence,
        "message": what,
        "unmapped": {"gateway": {"details": details}},
    }
    return json.dumps(body, separators=(",", ":")).encode() + b"\n"


def commit(key, leaves, origin=ORIGIN):
    size, root = len(leaves), b64(head(leaves))
    sig = key.sign(f"{origin}\n{size}\n{root}\n")
    return json.dumps({"cp": size, "root": root, "sig": sig}, separators=(",", ":")).encode() + b"\n"


def note(key, leaves, origin=ORIGIN):
    size, root = len(leaves), b64(head(leaves))
    return (
        f"{origin}\n{size}\n{root}\n\n\u2014 {origin} {key.sign(f'{origin}{chr(10)}{size}{chr(10)}{root}{chr(10)}')}\n"
    )


def header(key, leaves, before=None, origin=ORIGIN):
    start, roll = len(leaves), None
    if before is not None:
        text = f"streamlit-gateway.key-roll/1\n{origin}\n{start}\n{b64(head(leaves))}\n{key.vkey}\n"
        roll = before.sign(text)
    body = {
        "log": "gateway-audit/2",
        "origin": origin,
        "start": start,
        "created": TIME,
        "stack": [b64(each) for each in stack(leaves)],
        "vkey": key.vkey,
        "roll": roll,
    }
    return json.dumps(body, separators=(",", ":")).encode() + b"\n"


def kept(lines):
    """What of a segment's lines is sealed: header, first commit, events, last commit."""
    last = lines[-1:] if len(lines) > 2 else []
    return [*lines[:2], *(line for line in lines if line.startswith(b'{"metadata"')), *last]


@dataclass
class Forger:
    """Writes a log. `leaves` are the hashes of all its events, `keys` those of its epochs, first to last."""

    directory: Path
    origin: str = ORIGIN
    keys: list = field(default_factory=list)
    leaves: list = field(default_factory=list)
    starts: list = field(default_factory=list)

    def segment(self, batches, key=None, signer=None, make=event):
        """A segment with these numbers of events a commit. `signer` signs its commits instead of its own key."""
        key = key or Key(self.origin)
        before = self.keys[-1] if self.keys else None
        lines = [header(key, self.leaves, before, self.origin), commit(signer or key, self.leaves, self.origin)]
        self.starts.append(len(self.leaves))
        self.keys.append(key)
        for count in batches:
            for _ in range(count):
                line = make(len(self.leaves))
                self.leaves.append(leaf(line))
                lines.append(line)
            lines.append(commit(signer or key, self.leaves, self.origin))
        self.directory.mkdir(parents=True, exist_ok=True)
        self.plain(-1).write_bytes(b"".join(lines))
        self.checkpoint()
        return self

    def named(self, index, suffix):
        return self.directory / f"seg-{self.starts[index]:012d}{suffix}"

    def plain(self, index):
        return self.named(index, ".jsonl")

    def checkpoint(self):
        (self.directory / "checkpoint").write_text(note(self.keys[-1], self.leaves, self.origin))

    def anchor(self, path, size=None):
        """What somebody outside has kept: the checkpoint of this size, signed by the key of its time."""
        size = len(self.leaves) if size is None else size
        key = [key for key, start in zip(self.keys, self.starts, strict=True) if start < size or start == 0][-1]
        path.write_text(note(key, self.leaves[:size], self.origin))
        return path

    def seal(self, index, pruned=None):
        """Compress a finished segment, a frame for each 4 KB, with a skippable frame behind them."""
        lines = kept(self.plain(index).read_bytes().splitlines(keepends=True))
        data = b"".join(lines)
        compress = zstandard.ZstdCompressor().compress
        packed = b"".join(compress(data[at : at + 4096]) for at in range(0, len(data), 4096))
        packed += (0x184D2A5E).to_bytes(4, "little") + (9).to_bytes(4, "little") + b"seektable"
        times = [json.loads(line)["time"] for line in lines if line.startswith(b'{"metadata"')]
        start = self.starts[index]
        end = json.loads(lines[-1])["cp"]
        seal = {
            "seal": "gateway-audit-seal/1",
            "origin": self.origin,
            "start": start,
            "end": end,
            "created": TIME,
            "sealed": TIME,
            "first_time": min(times, default=None),
            "last_time": max(times, default=None),
            "header": lines[0].decode().rstrip("\n"),
            "commit": lines[-1].decode().rstrip("\n"),
            "jsonl": {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()},
            "zst": {"bytes": len(packed), "sha256": hashlib.sha256(packed).hexdigest()},
            "pruned": pruned,
        }
        self.named(index, ".jsonl.zst").write_bytes(packed)
        self.named(index, ".seal").write_text(json.dumps(seal))
        self.named(index, ".tree").write_bytes(b"".join(self._subtrees(start, end)))
        self.plain(index).unlink()
        return seal

    def prune(self, index, sequence):
        """Remove what a sealed segment holds, and say in its seal which event tells of that."""
        seal = json.loads(self.named(index, ".seal").read_text())
        seal["pruned"] = {"time": TIME, "because": "older than 90 days", "sequence": sequence}
        self.named(index, ".seal").write_text(json.dumps(seal))
        self.named(index, ".jsonl.zst").unlink()

    def announcement(self, index):
        """What the event that tells of a pruned segment says, to be given to `segment` as `make`."""
        seal = json.loads(self.named(index, ".seal").read_text())
        root = json.loads(seal["commit"])["root"]
        facts = {"segment": seal["start"], "end": seal["end"], "root": root, "sha256": seal["zst"]["sha256"]}
        return lambda sequence: event(sequence, code="audit.pruned", **facts)

    def _subtrees(self, start, end):
        for level in (8, 16, 24):
            for k in range(start >> level, end >> level):
                yield head(self.leaves[k << level : (k + 1) << level])
