"""The files of the repository: what must be in each of them, and what must be in none."""

import ast
import re

import pytest

from tests.docs.documents import ROOT, name_of, tracked

# Put together here, so that this file does not hold what it looks for.
_DOT = "\\."
FORBIDDEN = {
    # A lock file or a script with an address decides for its user where packages come from.
    "the address of a package registry": re.compile(
        rf"\b(pypi{_DOT}org|pythonhosted{_DOT}org|registry{_DOT}npmjs{_DOT}org|npmjs{_DOT}com|debian{_DOT}org)\b"
    ),
    "a path of somebody's machine": re.compile(r"(?<![\w.])/(home|Users|root|work)/[a-z]|\b[A-Z]:\\Users\\"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
}
LARGEST = 1024 * 1024  # bytes: more belongs into a release, not into every clone

# Lines of a module. The vocabulary is one page on purpose: everybody reads all of it, first.
# The vocabulary, and the table of what each reason is told: both grow by a row, and are read as one.
# The verifier is one file on purpose: it is taken to machines where nothing of the package is.
LONGEST, LONGEST_OF = 400, {"gateway/model.py": 560, "gateway/reasons.py": 460, "gateway/audit/verifier.py": 1270}


def faults(text: str) -> list[str]:
    """What the text of a file must not hold and does."""
    return [what for what, pattern in FORBIDDEN.items() if pattern.search(text)]


def test_no_file_holds_what_belongs_to_one_machine():
    """No file names a package registry or a path of somebody's machine, or holds a private key."""
    found = {name_of(path): faults(path.read_text("utf-8", errors="replace")) for path in tracked()}
    assert {name: what for name, what in found.items() if what} == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("--index-url https://" + "pypi" + ".org/simple", ["the address of a package registry"]),
        ("https://files." + "pythonhosted" + ".org/packages", ["the address of a package registry"]),
        ("deb http://deb." + "debian" + ".org/debian stable main", ["the address of a package registry"]),
        ("resolved https://registry." + "npmjs" + ".org/x", ["the address of a package registry"]),
        ("see /ho" + "me/jane/tool.py", ["a path of somebody's machine"]),
        ("see /Us" + "ers/jane/tool.py", ["a path of somebody's machine"]),
        ("C:" + "\\Users\\jane", ["a path of somebody's machine"]),
        ("-----BEGIN " + "EC PRIVATE KEY-----", ["a private key"]),
        ("/srv/tool/homes/x.py and a homework/page", []),
    ],
)
def test_the_check_sees_each_of_them(text, expected):
    """The check itself is checked: each kind is found, and ordinary text is not."""
    assert faults(text) == expected


def test_no_file_is_large():
    """No file has more than 1 MiB."""
    assert [name_of(path) for path in tracked() if path.stat().st_size > LARGEST] == []


# --- lock files -----------------------------------------------------------------------------------------------


def lock_faults(text: str) -> list[str]:
    """The lines of a lock file that are not a requirement with one version and at least one SHA-256."""
    logical = text.replace("\\\n", " ").splitlines()
    lines = [line.partition(" #")[0].strip() for line in logical if line.strip() and not line.startswith("#")]
    pinned = re.compile(r"[A-Za-z0-9._-]+(\[[a-z,]+\])?==[^\s;]+( ?;.*?)?(\s+--hash=sha256:[0-9a-f]{64})+")
    return [line for line in lines if not pinned.fullmatch(line) or "://" in line]


@pytest.mark.parametrize("path", tracked("runtime.txt", "dev.txt", "build.txt", "beside.txt"), ids=name_of)
def test_every_requirement_is_pinned_by_hash(path):
    """Each line of a lock file is a version with its hashes; where it comes from is the user's own configuration."""
    assert lock_faults(path.read_text()) == []


def test_there_are_lock_files():
    """What a user runs, what the tests need and what builds the package are locked."""
    names = {path.name for path in tracked(".txt") if path.parent == ROOT / "requirements"}
    assert {"runtime.txt", "dev.txt", "build.txt"} <= names


@pytest.mark.parametrize(
    ("name", "text", "bad"),
    [
        ("no hash", "uvicorn==0.54.0", 1),
        ("no version", f"uvicorn --hash=sha256:{'0' * 64}", 1),
        ("a range", f"uvicorn>=0.54.0 --hash=sha256:{'0' * 64}", 1),
        ("another hash", f"uvicorn==0.54.0 --hash=md5:{'0' * 32}", 1),
        ("an index", "--index-url https://packages.example/simple", 1),
        ("an address", f"uvicorn @ https://packages.example/u.whl --hash=sha256:{'0' * 64}", 1),
        ("fine", f"# made by hand\nuvicorn==0.54.0 ; python_version > '3' \\\n    --hash=sha256:{'0' * 64}\n", 0),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 20 else "",
)
def test_the_check_sees_a_loose_requirement(name, text, bad):
    """The check itself is checked: a requirement that could be anything is found."""
    assert len(lock_faults(text)) == bad


# --- modules --------------------------------------------------------------------------------------------------


def module_faults(name: str, source: str) -> list[str]:
    """What a module of the package lacks, or has and must not have."""
    if not source.strip():
        return []  # the mark of a package
    tree = ast.parse(source)
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    prints = any(isinstance(function, ast.Name) and function.id == "print" for function in calls)
    found = {
        "no docstring": ast.get_docstring(tree) is None,
        "too long": len(source.splitlines()) > LONGEST_OF.get(name, LONGEST),
        # What is printed beside the process log is lost in a container, and is not guarded against secrets.
        "prints": prints and not name.startswith("gateway/cli/"),
    }
    return [fault for fault, holds in found.items() if holds]


def test_every_module_says_what_it_is_and_is_not_too_long():
    """Each module of the package has a docstring, has at most 400 lines, and prints nothing unless it is a command."""
    modules = {name_of(path): path for path in tracked(".py") if path.is_relative_to(ROOT / "gateway")}
    found = {name: module_faults(name, path.read_text("utf-8")) for name, path in modules.items()}
    assert modules
    assert {name: what for name, what in found.items() if what} == {}


@pytest.mark.parametrize(
    ("name", "source", "expected"),
    [
        ("gateway/x.py", "x = 1\n", ["no docstring"]),
        ("gateway/x.py", '"""X."""\n' + "x = 1\n" * 400, ["too long"]),
        ("gateway/x.py", '"""X."""\nprint(1)\n', ["prints"]),
        ("gateway/cli/x.py", '"""X."""\nprint(1)\n', []),
        ("gateway/x.py", '"""X."""\nconsole.print(1)\n', []),
    ],
    ids=["no docstring", "too long", "prints", "a command may print", "a method of that name"],
)
def test_the_check_sees_a_bad_module(name, source, expected):
    """The check itself is checked: each fault is found."""
    assert module_faults(name, source) == expected
