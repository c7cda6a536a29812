"""The record in other schemas: pure functions of one stored event and its line.

Every schema is a view. The record itself stays OCSF, signed, and the evidence.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.audit.formats.cef import cef
from gateway.audit.formats.csv import HEADER, csv_row
from gateway.audit.formats.ecs import ecs
from gateway.audit.formats.ocsf import ocsf


@dataclass(frozen=True, slots=True)
class Format:
    """One schema as text. `line` makes one event of it, without its newline, out of what it says and how it stands in
    the record; `header` comes first in a file; `ending` is that of a file's name.
    """

    name: str
    media_type: str
    ending: str
    line: Callable[[Mapping[str, Any], bytes], bytes]
    header: bytes = b""


FORMATS: Final[Mapping[str, Format]] = {
    each.name: each
    for each in (
        Format("ocsf", "application/x-ndjson", ".jsonl", ocsf),
        Format("ecs", "application/x-ndjson", ".jsonl", ecs),
        Format("cef", "text/plain; charset=utf-8", ".cef", cef),
        Format("csv", "text/csv; charset=utf-8; header=present", ".csv", csv_row, HEADER),
    )
}
"""Every schema that can be written to a file. OTLP is no file: see `gateway.audit.formats.otlp`."""

__all__ = ["FORMATS", "Format"]
