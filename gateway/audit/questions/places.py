"""Where in the record the events are that a query asks for: whoever needs the lines themselves reads them there."""

from array import array
from collections.abc import Mapping, Sequence
from typing import Final

from gateway.audit.questions.conditions import Pseudonyms, condition, no_pseudonyms, times
from gateway.audit.questions.engine import Engine
from gateway.audit.questions.terms import Query

# Sorted by the engine: rows that came while the files are read would keep the buffers of all of them.
_PLACES: Final = (
    "SELECT log, sequence FROM events WHERE time >= $since AND time < $until AND ({}) ORDER BY log, sequence"
)


def places(engine: Engine, query: Query, pseudonyms: Pseudonyms = no_pseudonyms) -> Mapping[str, Sequence[int]]:
    """The sequences of each log, by its origin, ascending: 8 bytes an event.

    Raises:
        QuestionError: the engine cannot answer within its limits.
    """
    where = condition(query, engine.clients, pseudonyms)
    found: dict[str, array[int]] = {}
    for log, sequence in engine.ask(_PLACES.format(where.sql), {**where.parameters, **times(query)}).rows:
        found.setdefault(str(log), array("Q")).append(int(sequence))
    return found
