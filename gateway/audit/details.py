"""Facts that callers attach to rarer events: scalars and lists of them, bounded, none with a secret's name."""

import re
from collections.abc import Mapping

from gateway.audit.redact import NORMAL, Caps, cut_mark, text, valid

SECRET_NAME = re.compile(
    r"pass(word|wd|phrase)|secret|token|cookie|authorization|credential|api[-_]?key|private[-_]?key|protocol|\bsid\b",
    re.IGNORECASE,
)
Scalar = str | int | float | bool | None
Details = Mapping[str, Scalar | list[Scalar]]


def details(
    values: Mapping[str, object], caps: Caps = NORMAL
) -> tuple[dict[str, Scalar | list[Scalar]], tuple[str, ...]]:
    """Facts that a caller attaches to a rarer event: scalars and lists of them, bounded; and pointers to the erased.

    Anything else (an object, bytes, an exception) is erased: what its text would show is not known here.
    """
    kept: dict[str, Scalar | list[Scalar]] = {}
    erased: list[str] = []
    for name, value in list(values.items())[: caps.details]:
        key = _detail_text(str(name), caps)
        if SECRET_NAME.search(key) or not _is_detail(value):
            erased.append(f"/unmapped/gateway/details/{key.replace('~', '~0').replace('/', '~1')}")
        elif isinstance(value, (list, tuple)):
            kept[key] = [_detail(item, caps) for item in value[: caps.items]]
        else:
            kept[key] = _detail(value, caps)
    if len(values) > caps.details:
        erased.append("/unmapped/gateway/details")
    return kept, tuple(erased)


def _is_detail(value: object) -> bool:
    if isinstance(value, (list, tuple)):
        return all(item is None or isinstance(item, (str, int, float)) for item in value)
    return value is None or isinstance(value, (str, int, float))


def _detail(value: object, caps: Caps) -> Scalar:
    match value:
        case None | bool() | float():
            return value
        case int() if abs(value) < 2**63:  # what every reader of JSON can hold
            return value
        case _:
            return _detail_text(str(value), caps)


def _detail_text(value: str, caps: Caps) -> str:
    clean = text(valid(value[: 16 * caps.text], caps))
    return clean if len(clean) <= caps.text else clean[: caps.text - 1] + cut_mark(caps)
