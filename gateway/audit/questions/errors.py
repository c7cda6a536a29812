"""What is wrong with a question, or with asking it now."""

from gateway.errors import ConfigurationError, Problem


class QuestionError(ConfigurationError):
    """A question that cannot be answered as it is: where in it, what is wrong, what to write instead."""

    def __init__(self, message: str, hint: str | None = None, *, place: str = "the question") -> None:
        super().__init__([Problem(place, message, hint)])
