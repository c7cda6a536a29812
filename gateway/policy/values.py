"""Single values of the policy language: text, names, counts, durations, sizes, rates, paths.

Each function takes what TOML gave and returns the value, or raises `InvalidValueError`. None of them trusts its
input: a value may be of any type, of any length, and hold any character.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from difflib import get_close_matches
from enum import StrEnum
from typing import TypeVar

Member = TypeVar("Member", bound=StrEnum)

TEXT_LENGTH = 500
PATTERN_STARS = 4  # each one multiplies the work of a match
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_RATE_PERIODS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
_BYTES = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})  # control, format (also bidirectional), surrogate, separators


class InvalidValueError(ValueError):
    """A value that the language does not have; the message reads on after the place of the value."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        self.message = message
        self.hint = hint
        super().__init__(message)


# --- how values are shown, and names suggested ----------------------------------------------------------------


def shown(value: object) -> str:
    """A value in a message: text in quotes, at most 60 visible characters, anything else by its type."""
    if isinstance(value, str):
        return repr(value if len(value) <= 60 else value[:57] + "...")
    return _KINDS.get(type(value), "a value of another type")


_KINDS: dict[type, str] = {
    bool: "true or false",
    int: "a number",
    float: "a fraction",
    list: "an array",
    dict: "a table",
    date: "a date",
    datetime: "a date with a time",
    time: "a time",
}


def suggestion(word: str, choices: Sequence[str]) -> str:
    """A hint for a name that is not among the choices: the nearest one, or all of them."""
    near = get_close_matches(word.lower(), choices, n=1) if len(word) <= 64 else []
    if near:
        return f"did you mean {near[0]!r}?"
    return f"known are {', '.join(choices[:40])}" if choices else "none is defined"


# --- text and names -------------------------------------------------------------------------------------------


def text(value: object) -> str:
    """Visible text of 1 to 500 characters, without blanks around it."""
    if not isinstance(value, str):
        raise InvalidValueError(f"must be text, not {shown(value)}", "put it in quotes")
    if not value.strip():
        raise InvalidValueError("must not be empty")
    if value != value.strip():
        raise InvalidValueError(f"has blanks around it: {shown(value)}")
    if len(value) > TEXT_LENGTH:
        raise InvalidValueError(f"has {len(value)} characters, more than {TEXT_LENGTH}")
    if any(unicodedata.category(char) in _HIDDEN for char in value):
        raise InvalidValueError(f"holds a control or invisible character: {shown(value)}")
    return value


def name(value: object) -> str:
    """A kebab-case name of at most 64 characters, such as `finance-only`."""
    word = text(value)
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", word) or len(word) > 64:
        raise InvalidValueError(
            f"{shown(word)} is not a kebab-case name", "use a-z, 0-9 and single dashes, at most 64 characters"
        )
    return word


def one_of(choices: Sequence[str], what: str) -> Callable[[object], str]:
    """A reader of one name out of the choices."""

    def read(value: object) -> str:
        word = text(value)
        if word not in choices:
            raise InvalidValueError(f"there is no {what} {shown(word)}", suggestion(word, choices))
        return word

    return read


def member(kind: type[Member], what: str) -> Callable[[object], Member]:
    """A reader of one member of the enumeration, by its value."""
    read = one_of([item.value for item in kind], what)
    return lambda value: kind(read(value))


def flag(value: object) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise InvalidValueError(f"must be true or false, not {shown(value)}")
    return value


def whole(least: int, most: int) -> Callable[[object], int]:
    """A reader of a whole number between the two, both included."""

    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise InvalidValueError(f"must be a whole number, not {shown(value)}")
        if not least <= value <= most:
            raise InvalidValueError(f"must be from {least} to {most}")
        return value

    return read


# --- quantities with a unit -----------------------------------------------------------------------------------


def duration(least: timedelta, most: timedelta) -> Callable[[object], timedelta]:
    """A reader of a duration between the two: a whole number and one unit of s, m, h, d, w, as in `30m`."""

    def read(value: object) -> timedelta:
        seconds = _quantity(value, _SECONDS, "a duration", "30m, 12h or 730d")
        if not least.total_seconds() <= seconds <= most.total_seconds():
            raise InvalidValueError(f"{shown(value)} is not between {_spell(least)} and {_spell(most)}")
        return timedelta(seconds=seconds)

    return read


def size(least: int, most: int) -> Callable[[object], int]:
    """A reader of a size in bytes between the two: `50MB` (powers of 1000) or `8KiB` (powers of 1024)."""

    def read(value: object) -> int:
        count = _quantity(value, _BYTES, "a size", "8KB, 50MB or 25MiB")
        if not least <= count <= most:
            raise InvalidValueError(f"{shown(value)} is not between {least} and {most} bytes")
        return count

    return read


def rate(value: object) -> tuple[int, float]:
    """How many in how many seconds: a whole number, `/`, and one of s, min, h, d, as in `600/min`."""
    found = re.fullmatch(r"([1-9][0-9]{0,6})/(s|min|h|d)", text(value))
    if found is None:
        raise InvalidValueError(f"{shown(value)} is not a rate", "write it like 10/s, 600/min, 5000/h or 20000/d")
    return int(found[1]), _RATE_PERIODS[found[2]]


def _quantity(value: object, units: dict[str, int], what: str, examples: str) -> int:
    found = re.fullmatch(r"(0|[1-9][0-9]{0,9})([A-Za-z]{1,3})", text(value)) if isinstance(value, str) else None
    if found is None or found[2] not in units:
        raise InvalidValueError(
            f"{shown(value)} is not {what}", f"write it in quotes like {examples}; units are {', '.join(units)}"
        )
    return int(found[1]) * units[found[2]]


def _spell(length: timedelta) -> str:
    seconds = int(length.total_seconds())
    unit = next(unit for unit in ("d", "h", "m", "s") if seconds % _SECONDS[unit] == 0)
    return f"{seconds // _SECONDS[unit]}{unit}"


# --- paths ----------------------------------------------------------------------------------------------------


def pattern(value: object) -> str:
    """A path pattern: it starts with `/`, and `*` stands for any run of characters, `/` included."""
    word = path(value)
    if word.count("*") > PATTERN_STARS:
        raise InvalidValueError(f"{shown(word)} has more than {PATTERN_STARS} wildcards")
    return word


def path(value: object) -> str:
    """A decoded path from `/` on, without a query, dot segments and empty segments: what a request can really have."""
    word = text(value)
    if not word.startswith("/"):
        raise InvalidValueError(f"{shown(word)} does not start with '/'")
    if any(char in word for char in "?#%\\"):
        hint = "patterns are compared with the decoded path, without query; the only wildcard is *"
        raise InvalidValueError(f"{shown(word)} holds one of ? # % \\", hint)
    if "//" in word or {".", ".."} & set(word.split("/")):
        raise InvalidValueError(f"{shown(word)} has an empty or dot segment, which no request has")
    return word


def page(value: object) -> str:
    """The path of one page, such as `/ledger`; no wildcard, no slash at the end."""
    word = path(value)
    if "*" in word or (word != "/" and word.endswith("/")):
        raise InvalidValueError(
            f"{shown(word)} is not the path of one page", "write it like /ledger, or / for the default page"
        )
    return word


def extension(value: object) -> str:
    """The end of a file name in lower case, such as `.csv` or `.tar.gz`."""
    word = text(value)
    if not re.fullmatch(r"(\.[a-z0-9]{1,10}){1,2}", word):
        raise InvalidValueError(f"{shown(word)} is not a file extension", "write it in lower case, like .csv")
    return word


def component(value: object) -> str:
    """The name under which a component is declared, as in its URL: `package.name`, such as `st_aggrid.agGrid`."""
    word = text(value)
    if not re.fullmatch(r"[A-Za-z_]\w*(\.[\w-]+)+", word, re.ASCII):
        raise InvalidValueError(
            f"{shown(word)} is not the name of a component", "write it as in its URL, like st_aggrid.agGrid"
        )
    return word


def network_file(value: object) -> str:
    """The path of a network file relative to the directory of the policies, such as `networks/vpn.txt`."""
    word = text(value)
    if not re.fullmatch(r"networks(/[A-Za-z0-9_][A-Za-z0-9._-]*)+\.txt", word) or len(word) > 200:
        raise InvalidValueError(
            f"{shown(word)} is not the path of a network file",
            "write a relative path like networks/vpn.txt, below the directory of the policies",
        )
    return word
