"""From environment variables and flags to checked values, for any frozen dataclass of settings.

What the settings are stands in `settings.py`; here is only how they are named, read and converted, and how we tell
what is wrong with them.
"""

import dataclasses
import difflib
import os
import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec

from gateway.errors import Problem
from gateway.state.secrets import MAKE_KEY, Secret, parse_keys, read_secret_file

PREFIX = "GATEWAY_"
_KEYS = (
    f"keys parted by commas or line ends, newest first, each made with `{MAKE_KEY}`; "
    "a file with them is closed to other users (chmod 600)"
)
SecretList = Annotated[tuple[Secret, ...], msgspec.Meta(description=_KEYS)]

# Kubernetes sets these for every Service in the namespace; one that is named `gateway` meets our prefix.
_SERVICE_LINK = re.compile(r"GATEWAY_(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT(_\d+_(TCP|UDP|SCTP)(_.+)?)?)")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting by its names: `key` in overrides (`server__port`), environment `variable`, command-line `flag`."""

    section: str
    name: str
    type: object
    default: object

    @property
    def key(self) -> str:
        return f"{self.section}__{self.name}" if self.section else self.name

    @property
    def variable(self) -> str:
        return PREFIX + self.key.upper()

    @property
    def file_variable(self) -> str:
        """The variable that names the file with the value. Only secrets have one."""
        return f"{self.variable}_FILE"

    @property
    def flag(self) -> str:
        # The server is what `gateway serve` is about: its flags carry no section.
        return "--" + self.key.removeprefix("server__").replace("_", "-").replace("--", "-")

    @property
    def hint(self) -> str:
        """What to write, from the description of the type."""
        return f"write {_description(self.type)}"

    @property
    def secret(self) -> bool:
        return self.type == SecretList


def settings_of(holder: type, section: str = "") -> Iterator[Setting]:
    """Every setting of a dataclass: its fields, and those of the dataclasses that its fields hold, one level deep."""
    for each in dataclasses.fields(holder):
        if _is_section(each.type):
            yield from settings_of(typing.cast("type", each.type), each.name)
        else:
            yield Setting(section, each.name, each.type, each.default)


@dataclass(frozen=True, slots=True)
class Reading:
    """What was given: converted values by key, the place each setting was looked for, and what is wrong."""

    values: Mapping[str, object]
    places: Mapping[str, str]
    problems: tuple[Problem, ...]


def read(settings: Sequence[Setting], environ: Mapping[str, str], overrides: Mapping[str, object]) -> Reading:
    """The values that the environment and the overrides give. An override that is not None wins.

    Raises:
        TypeError: an override that is not a setting.
    """
    if unknown := overrides.keys() - {each.key for each in settings}:
        raise TypeError(f"not a setting: {', '.join(sorted(unknown))}")
    values: dict[str, object] = {}
    problems = _unknown_variables(settings, environ)
    places = {each.key: _place(each, environ, overrides) for each in settings}
    for each in settings:
        try:
            raw = _given(each, environ, overrides)
            if raw is not None:
                values[each.key] = _convert(each, raw)
        except ValueError as error:
            problems.append(Problem(places[each.key], _sentence(error), each.hint))
    return Reading(values, places, tuple(problems))


def build(kind: type[T], values: Mapping[str, object], section: str = "") -> T:
    """The dataclass with the values of its section; what is not among them keeps its default."""
    given: dict[str, object] = {}
    for each in dataclasses.fields(kind):  # type: ignore[arg-type]
        key = f"{section}__{each.name}" if section else each.name
        if _is_section(each.type):
            given[each.name] = build(typing.cast("type", each.type), values, each.name)
        elif key in values:
            given[each.name] = values[key]
    return kind(**given)


def _description(kind: object) -> str | None:
    """The description that the type carries, alone or as a part of a union."""
    found = (part.description for part in getattr(kind, "__metadata__", ()) if isinstance(part, msgspec.Meta))
    parts = (_description(part) for part in typing.get_args(kind))
    return next((text for text in (*found, *parts) if text), None)


def _is_section(kind: object) -> bool:
    return isinstance(kind, type) and dataclasses.is_dataclass(kind)


def _place(each: Setting, environ: Mapping[str, str], overrides: Mapping[str, object]) -> str:
    if overrides.get(each.key) is not None:
        return each.flag
    return each.file_variable if each.secret and each.file_variable in environ else each.variable


def _given(each: Setting, environ: Mapping[str, str], overrides: Mapping[str, object]) -> object:
    """The value as written, None when there is none."""
    override = overrides.get(each.key)
    raw = environ.get(each.variable) if override is None else override
    if not each.secret or each.file_variable not in environ:
        return raw
    if raw is not None:
        raise ValueError(
            f"set together with {each.flag if override is not None else each.variable}: keep one of the two"
        )
    return _secret_from(environ[each.file_variable])


def _secret_from(path: str) -> str:
    try:
        return read_secret_file(Path(path))
    except ValueError as error:
        raise ValueError(f"the file {path!r} {error}") from None


def _convert(each: Setting, raw: object) -> object:
    if each.secret:
        return parse_keys(str(raw))
    if isinstance(raw, str) and _is_list(each.type):
        raw = list(dict.fromkeys(raw.replace(",", " ").split()))
    return msgspec.convert(raw, each.type, strict=False, dec_hook=_path)


def _is_list(kind: object) -> bool:
    plain = typing.get_args(kind)[0] if typing.get_origin(kind) is Annotated else kind
    return typing.get_origin(plain) is tuple


def _path(kind: type, raw: object) -> object:
    if kind is not Path:
        raise NotImplementedError(kind)  # how msgspec wants a hook to say that a type is not its own
    text = os.fspath(typing.cast("str", raw))
    if not text or "\0" in text:
        raise ValueError("not a path")
    return Path(text)


def _sentence(error: ValueError) -> str:
    # What was expected is in the hint, in words; the pattern would only frighten.
    text = str(error).partition(" matching regex")[0]
    return text[:1].lower() + text[1:]


def _unknown_variables(settings: Sequence[Setting], environ: Mapping[str, str]) -> list[Problem]:
    known = [each.variable for each in settings] + [each.file_variable for each in settings if each.secret]
    unknown = sorted(name for name in environ if name.startswith(PREFIX) and name not in known)
    return [Problem(name, "unknown setting", _suggestion(name, known)) for name in unknown]


def _suggestion(name: str, known: list[str]) -> str:
    if _SERVICE_LINK.fullmatch(name):
        return "kubernetes sets it for a service named gateway: set enableServiceLinks to false, or rename the service"
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
    return f"did you mean {near[0]}?" if near else "docs/settings.md lists every setting; unset what is not among them"
