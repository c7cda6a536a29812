"""TOML from hands that are not trusted: a document, or a problem with its line. Never a traceback, never minutes."""

import re
import tomllib

from gateway.errors import PolicyError, Problem
from gateway.policy.language import DOTS_PER_LINE, POLICY_BYTES


def load_toml(file: str, data: bytes) -> dict[str, object]:
    """The document in these bytes; `file` is its name for messages.

    Raises:
        PolicyError: it is no TOML, or made to exhaust the reader.
    """
    content = _decode(file, data)
    try:
        return tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        found = re.fullmatch(r"(.*) \(at (line \d+, column \d+|end of document)\)", str(error), re.DOTALL)
        message, where = (found[1], found[2]) if found else (str(error), "")
        hint = "save the file without a byte order mark" if content.startswith("\ufeff") else None
        raise _broken(file, where, f"is not TOML: {message[:1].lower()}{message[1:200]}", hint) from error
    except RecursionError as error:
        raise _broken(file, "", "is nested too deeply") from error
    except ValueError as error:  # numbers and dates that Python cannot hold
        raise _broken(file, "", "holds a number or a date that is out of range") from error


def _decode(file: str, data: bytes) -> str:
    if len(data) > POLICY_BYTES:
        raise _broken(file, "", f"is larger than {POLICY_BYTES} bytes", "move long lists into network files")
    try:
        content = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _broken(file, f"line {line}", "is not UTF-8", "save the file as UTF-8") from error
    for number, line_text in enumerate(content.split("\n"), start=1):
        if line_text.count(".") > DOTS_PER_LINE:
            hint = "write one entry a line, or move the list into a network file"
            raise _broken(file, f"line {number}", f"has more than {DOTS_PER_LINE} dots", hint)
    return content


def _broken(file: str, where: str, message: str, hint: str | None = None) -> PolicyError:
    return PolicyError([Problem(f"{file}: {where}" if where else file, message, hint)])
