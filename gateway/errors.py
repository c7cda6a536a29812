"""What can go wrong before and beside a request. Refusing a request is not an error: it is a `Decision`.

GatewayError
├── ConfigurationError      what somebody wrote is wrong; every problem at once, with its place
│   ├── SettingsError       environment variables, command line, files they name
│   └── PolicyError         a policy file, a network file, the lock
├── StartupError            the configuration is right, but the machine does not let us start
│   └── LedgerError         the record cannot be opened: damaged, locked by another process, not writable
└── AuditUnavailable        the record cannot take an event now
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where (`policies/0001-initial.toml: rules[2].networks`), what, and what to do."""

    place: str
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


class GatewayError(Exception):
    """Anything this package raises on purpose."""


class ConfigurationError(GatewayError):
    """The configuration is invalid. `problems` lists all of it, in the order of the files; never a secret's value."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class SettingsError(ConfigurationError):
    """An environment variable, a flag, or a file that one of them names."""


class PolicyError(ConfigurationError):
    """A policy file, a network file beside it, or the lock."""


class StartupError(GatewayError):
    """We cannot start here and now."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        self.hint = hint
        super().__init__(message)


class LedgerError(StartupError):
    """The record cannot be opened."""


class AuditUnavailable(GatewayError):  # noqa: N818  a state of the record, which is waited for, not a fault
    """The record cannot take this event: disk full, disk hung, queue full, or closed. `cause` is a stable word."""

    def __init__(self, cause: str) -> None:
        self.cause = cause
        super().__init__(f"the audit log cannot be written: {cause}")
