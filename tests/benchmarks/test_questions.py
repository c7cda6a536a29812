"""The benchmark of the questions makes a record of the size that is asked for, and asks all of them."""

from benchmarks import questions
from gateway.audit.questions.builtin import QUESTIONS
from gateway.audit.questions.engine import Engine


def test_the_record_of_the_benchmark_has_what_the_questions_are_about(tmp_path, monkeypatch):
    """A small record made in the same way has something for every question of the list, and each one answers."""
    monkeypatch.setattr(questions, "PER_SEGMENT", 1000)
    made = questions.generate(tmp_path, 3000)
    with Engine.of([tmp_path]) as engine:
        assert list(engine.ask("SELECT count(*), count(DISTINCT sequence) FROM events").rows) == [(made, made)]
        for question in QUESTIONS:
            asked = questions.prepared(engine, question.name, "user:*" if question.needs else "")
            assert list(engine.ask(asked.sql, asked.parameters).rows), question.name
    assert set(questions.measured(tmp_path, 1)["took"]) >= {question.name for question in QUESTIONS}
