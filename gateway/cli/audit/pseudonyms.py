"""The keys of the record's pseudonyms, as far as these state directories have them and let us read them."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from gateway.audit.mask_keys import live_keys
from gateway.audit.masks import Kind, MaskKey, canonical, is_pseudonym
from gateway.cli.terminal import print_warning
from gateway.errors import StartupError


def mask_keys(states: Sequence[Path]) -> list[MaskKey]:
    """Every key that is left, oldest first of each. One that cannot be read is told on stderr."""
    found: list[MaskKey] = []
    for state in states:
        try:
            found += live_keys(state)
        except StartupError as error:
            print_warning(f"{error}: what is masked with it is not found", "run this as the gateway's user")
    return found


class Pseudonyms:
    """All pseudonyms of a value, under every key that is left. The keys are read once, when they are first needed."""

    def __init__(self, states: Sequence[Path]) -> None:
        self._states = tuple(states)
        self._keys: list[MaskKey] | None = None

    @property
    def keys(self) -> list[MaskKey]:
        """The keys that are left."""
        if self._keys is None:
            self._keys = mask_keys(self._states)
        return self._keys

    def __call__(self, column: str, value: str) -> list[str]:
        """Those of a value of a column: `user`, `client` or `session`."""
        kind = cast("Kind", column)
        try:
            known = canonical(kind, value)
        except ValueError:
            return []  # the host of a command
        return [key.pseudonym(kind, known) for key in self.keys]

    def newest(self, column: str, value: str) -> str:
        """The value as it may be written down: its pseudonym under the newest key, itself where nothing is masked."""
        found = [] if is_pseudonym(value) else self(column, value)
        return found[-1] if found else value
