"""Named networks: entries written in the policy, or lists in files beside it."""

from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import PurePosixPath

from gateway.model import NetworkEntry
from gateway.policy.dates import last_day
from gateway.policy.hosts import network
from gateway.policy.language import KEYS, NETWORK_BYTES
from gateway.policy.reader import Report, Table
from gateway.policy.values import InvalidValueError, name, network_file, shown, text

PROBLEMS_PER_FILE = 20


class NetworkReader:
    """Reads the networks of one policy. A file that two networks name is read once."""

    __slots__ = ("_files", "_lists", "_report", "_today")

    def __init__(self, report: Report, files: Mapping[str, bytes | None], today: date) -> None:
        self._report = report
        self._files = files
        self._today = today
        self._lists: dict[str, tuple[NetworkEntry, ...]] = {}

    def read(self, networks: Table) -> dict[str, tuple[NetworkEntry, ...]]:
        """The entries of each network. Every name that is written is a key, also when its entries are wrong."""
        return {key: self._network(networks, key) for key in networks.names}

    def _network(self, networks: Table, key: str) -> tuple[NetworkEntry, ...]:
        try:
            name(key)
        except InvalidValueError as error:
            networks.problem("", error.message, error.hint)
            return ()
        match networks.raw(key):
            case list():
                return self._written(networks, key)
            case dict():
                return self._listed(networks.table(key, KEYS["networks.NAME"]))
            case other:
                message = f"must be a list of networks or a file, not {shown(other)}"
                networks.problem(key, message, 'write ["192.0.2.0/24"] or { file = "networks/name.txt" }')
                return ()

    def _written(self, networks: Table, key: str) -> tuple[NetworkEntry, ...]:
        entries = networks.items_at(key, self._entry) or ()
        seen: set[str] = set()
        for entry in entries:
            if entry.cidr and entry.cidr in seen:
                networks.problem(key, f"{entry.cidr} is listed twice")
            seen.add(entry.cidr)
        return entries

    def _entry(self, where: str, value: object) -> NetworkEntry:
        if not isinstance(value, dict):
            return NetworkEntry(network(value))
        entry = Table(self._report, where, value, KEYS["networks.NAME[]"])
        return NetworkEntry(
            cidr=entry.need("cidr", network, ""),
            owner=entry.get("owner", text, None),
            ticket=entry.get("ticket", text, None),
            expires=entry.get("expires", last_day(self._today), None),
        )

    def _listed(self, table: Table) -> tuple[NetworkEntry, ...]:
        file = table.need("file", network_file, "")
        if file and file not in self._lists:
            place = str(PurePosixPath(self._report.file).parent / file)
            self._lists[file] = _read_file(place, self._files.get(file), self._report)
        return self._lists.get(file, ())


def _read_file(place: str, data: bytes | None, report: Report) -> tuple[NetworkEntry, ...]:
    """One CIDR a line; `#` starts a comment."""
    if data is None:
        report.add_in(place, "", "cannot be read", "a network file lies below the directory of the policies")
        return ()
    if len(data) > NETWORK_BYTES:
        report.add_in(place, "", f"is larger than {NETWORK_BYTES} bytes", "split it over several networks")
        return ()
    entries: dict[str, NetworkEntry] = {}
    problems = 0
    for number, word in _lines(data):
        try:
            cidr = _new(word, entries)
            entries[cidr] = NetworkEntry(cidr)
        except InvalidValueError as error:
            problems += 1
            if problems <= PROBLEMS_PER_FILE:
                report.add_in(place, f"line {number}", error.message, error.hint)
    if problems > PROBLEMS_PER_FILE:
        report.add_in(place, "", f"has {problems - PROBLEMS_PER_FILE} more lines that are wrong")
    if not entries and not problems:
        report.add_in(place, "", "holds no network", "remove a network that is meant to be empty from the policy")
    return tuple(entries.values())


def _new(word: str, known: Mapping[str, NetworkEntry]) -> str:
    cidr = network(word)
    if cidr in known:
        raise InvalidValueError(f"{cidr} is listed twice")
    return cidr


def _lines(data: bytes) -> Iterator[tuple[int, str]]:
    # Bytes that are no UTF-8 become marks that no CIDR has, so the line is reported rather than the file.
    for number, line in enumerate(data.decode("utf-8", "replace").split("\n"), start=1):
        word = line.partition("#")[0].strip(" \t\r")
        if word:
            yield number, word
