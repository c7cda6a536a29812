"""A list of checks, each PASS, FAIL or SKIP with what was seen."""

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


class Skipped(Exception):  # noqa: N818 - not an error
    """The machine cannot do the check; carries the reason."""


def require(holds: object, seen: object) -> None:
    """Ends the check when the condition does not hold, and shows what was seen instead.

    Raises:
        AssertionError: it does not hold.
    """
    if not holds:
        raise AssertionError(f"seen: {seen}")


@dataclass(slots=True)
class Report:
    """What has been checked so far. Every line is printed at once, and again at the end when it is not a PASS."""

    counts: dict[str, int] = field(default_factory=lambda: {"PASS": 0, "FAIL": 0, "SKIP": 0})
    bad: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @contextmanager
    def check(self, sentence: str) -> Iterator[None]:
        """Runs a check. Whatever it raises is a FAIL, and the next check goes on."""
        try:
            yield
        except Skipped as reason:
            self._line("SKIP", f"{sentence}: {reason}")
        except Exception as error:
            self._failed(sentence, error)
        else:
            self._line("PASS", sentence)

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Runs several checks and what lies between them. A FAIL when that breaks; nothing to say otherwise."""
        try:
            yield
        except Exception as error:
            self._failed(f"{what} could not go on", error)

    def note(self, text: str) -> None:
        """A figure for the reader; judges nothing."""
        self.notes.append(text)

    def end(self) -> int:
        """Prints the sum; the exit code."""
        lines = ["", *self.bad, *(f"note  {note}" for note in self.notes)]
        lines.append(", ".join(f"{count} {outcome}" for outcome, count in self.counts.items()))
        sys.stdout.write("\n".join(lines) + "\n")
        return 1 if self.counts["FAIL"] or not self.counts["PASS"] else 0

    def _failed(self, sentence: str, error: Exception) -> None:
        # The last frame is `require`; the one before it says which condition.
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.name != "require"]
        self._line(
            "FAIL", f"{sentence}\n      {type(error).__name__}: {error} ({frames[-1].name}, line {frames[-1].lineno})"
        )

    def _line(self, outcome: str, text: str) -> None:
        self.counts[outcome] += 1
        line = f"{outcome}  {text}"
        if outcome != "PASS":
            self.bad.append(line)
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
