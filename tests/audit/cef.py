"""Reads CEF as its implementation standard defines it, and nothing that it does not. Knows nothing of the gateway."""

import ipaddress
import json
import re
from functools import cache
from pathlib import Path

DICTIONARY = Path(__file__).parents[1] / "data" / "cef" / "cef-0-dictionary.json"
KEY = re.compile(r"[A-Za-z0-9]+")
HEADER = ("version", "vendor", "product", "product_version", "signature", "name", "severity")


@cache
def dictionary():
    return json.loads(DICTIONARY.read_text())["keys"]


def parse(line):
    """Header and extension, unescaped. Raises ValueError for what the standard does not allow."""
    fields, rest = [], line
    while len(fields) < len(HEADER):
        field, rest = _until_pipe(rest)
        fields.append(field)
    if fields[0] != "CEF:0":
        raise ValueError(f"not CEF:0: {fields[0]}")
    return dict(zip(HEADER, fields, strict=True)), _extension(rest)


def _until_pipe(text):
    found, at = [], 0
    while at < len(text) and text[at] != "|":
        if text[at] == "\\":
            at += 1
            if text[at : at + 1] not in ("\\", "|"):
                raise ValueError(f"the header has no escape \\{text[at : at + 1]}")
        found.append(text[at])
        at += 1
    if at == len(text):
        raise ValueError("the header ends early")
    return "".join(found), text[at + 1 :]


def _extension(text):
    """Pairs of key and value; a value ends at the last space before the next key."""
    tokens = _tokens(text)
    found, key, value = {}, None, []
    for index, (char, is_separator) in enumerate(tokens):
        if not is_separator:
            value.append(char)
            continue
        name = "".join(value).rpartition(" ")[2]
        if not KEY.fullmatch(name):
            raise ValueError(f"no key: {name!r} before character {index}")
        if key is not None:
            _keep(found, key, "".join(value)[: -len(name) - 1])
        elif "".join(value) != name:
            raise ValueError("the extension does not begin with a key")
        key, value = name, []
    _keep(found, key, "".join(value))
    return found


def _keep(found, key, value):
    if key in found:
        raise ValueError(f"{key} twice")
    found[key] = value


def _tokens(text):
    """Characters, each with whether it is an unescaped `=`."""
    escapes, at, found = {"\\": "\\", "=": "=", "n": "\n", "r": "\r"}, 0, []
    while at < len(text):
        if text[at] in "\r\n":
            raise ValueError("a line break")
        if text[at] == "\\":
            at += 1
            if text[at : at + 1] not in escapes:
                raise ValueError(f"the extension has no escape \\{text[at : at + 1]}")
            found.append((escapes[text[at]], False))
        else:
            found.append((text[at], text[at] == "="))
        at += 1
    return found


def problems(line):
    """Where the line departs from the standard: unknown keys, types, lengths, a label without its value."""
    header, extension = parse(line)
    found = [] if header["severity"] in map(str, range(11)) else [f"severity {header['severity']}"]
    for key, value in extension.items():
        if key not in dictionary():
            found.append(f"{key}: no such key")
            continue
        kind, length = dictionary()[key]
        if length is not None and len(value) > length:
            found.append(f"{key}: longer than {length}")
        if not _is(kind, value):
            found.append(f"{key}: {value!r} is no {kind}")
        if key.endswith("Label") and key.removesuffix("Label") not in extension:
            found.append(f"{key}: a label of nothing")
    return found


def _is(kind, value):
    if kind == "string":
        return value != ""
    if kind in ("ipv4", "ipv6"):
        return ipaddress.ip_address(value).version == int(kind[-1])
    return value.isascii() and value.lstrip("-").isdigit() and (kind != "port" or 0 <= int(value) <= 65535)
