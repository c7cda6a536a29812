"""Every reason is told: one outcome, one heading in the manual, the statuses and close codes that were promised."""

import re
from pathlib import Path

import pytest

from gateway.model import Reason
from gateway.reasons import OUTCOMES

MANUAL = Path(__file__).parents[2] / "docs" / "reasons.md"

# RFC 9110 §15 and RFC 6585 for the statuses, RFC 6455 §7.4 and its registry for the close codes below 4000.
CASES = [
    ("allowed-by-rule", 200, None),
    ("denied-by-rule", 403, 4403),
    ("no-rule-matched", 403, 4403),
    ("sign-in-required", 401, 4401),
    ("session-ended", 401, 4401),
    ("step-up-required", 401, 4401),
    ("host-missing", 400, 4403),
    ("host-malformed", 400, 4403),
    ("host-not-allowed", 421, 4403),
    ("https-required", 403, 4403),
    ("client-address-unknown", 403, 4403),
    ("client-address-malformed", 403, 4403),
    ("client-address-all-trusted", 403, 4403),
    ("client-address-ambiguous", 403, 4403),
    ("client-address-chain-too-short", 403, 4403),
    ("origin-missing", 403, 4403),
    ("origin-not-allowed", 403, 4403),
    ("identity-header-smuggled", 400, 4403),
    ("request-malformed", 400, 1008),
    ("request-timeout", 408, 4408),
    ("target-malformed", 400, 1008),
    ("target-too-long", 414, 1008),
    ("headers-malformed", 400, 1008),
    ("headers-too-large", 431, 1008),
    ("body-too-large", 413, 1009),
    ("method-not-allowed", 405, 1008),
    ("not-found", 404, 1008),
    ("media-not-yours", 404, None),
    ("upload-not-yours", 403, None),
    ("upload-not-expected", 403, None),
    ("upload-malformed", 400, None),
    ("upload-type-not-allowed", 415, None),
    ("upload-type-mismatch", 415, None),
    ("uploads-too-many", 413, None),
    ("uploads-too-large", 413, None),
    ("message-not-allowed", 400, 1008),
    ("message-malformed", 400, 1002),
    ("message-too-large", 413, 1009),
    ("rate-limited", 429, 4429),
    ("too-many-sockets", 429, 4429),
    ("reader-too-slow", 408, 4408),
    ("too-many-connections", 503, 1013),
    ("application-refused", 403, 4403),
    ("application-error", 500, 1011),
    ("engine-error", 500, 1011),
    ("audit-unavailable", 503, 1013),
    ("not-ready", 503, 1013),
]


@pytest.mark.parametrize(("code", "status", "close_code"), CASES)
def test_status_and_close_code(code: str, status: int, close_code: int | None) -> None:
    """Each reason has one HTTP status and one close code for a WebSocket that is already open."""
    outcome = OUTCOMES[Reason(code)]
    assert (outcome.status, outcome.close_code) == (status, close_code)


def test_every_reason_has_an_outcome_and_a_row_here() -> None:
    """No reason is without words, and no words are without a reason."""
    assert set(OUTCOMES) == set(Reason)
    assert {code for code, *_ in CASES} == {reason.value for reason in Reason}


def test_who_may_come_back_is_told_when() -> None:
    """429 and 503 always say after how many seconds to try again; no other status does."""
    assert {outcome.status for outcome in OUTCOMES.values() if outcome.retry_after} == {429, 503}
    assert all(outcome.retry_after for outcome in OUTCOMES.values() if outcome.status in {429, 503})


@pytest.mark.parametrize("reason", Reason)
def test_words_are_whole_sentences_for_visitors(reason: Reason) -> None:
    """What happened and what to do next are plain sentences, without rules, limits and machinery."""
    outcome = OUTCOMES[reason]
    assert outcome.title
    assert not outcome.title.endswith(".")
    for text in (outcome.meaning, outcome.advice):
        assert re.fullmatch(r"[A-Z].*\.", text)
        assert not re.search(r"\b(rule|CIDR|regex|Streamlit|uvicorn|ASGI|exception|traceback|TOML|config\w*)\b", text)
        assert not re.search(r"[<>{}_`]", text)


def _sections() -> dict[str, str]:
    parts = re.split(r"^### `([a-z-]+)`$", MANUAL.read_text("utf-8"), flags=re.MULTILINE)
    assert len(parts[1::2]) == len(set(parts[1::2])), "a heading appears twice"
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_the_manual_has_one_heading_for_each_reason() -> None:
    """`docs/reasons.md` explains every code, and none that does not exist."""
    assert set(_sections()) == {reason.value for reason in Reason}


@pytest.mark.parametrize("reason", Reason)
def test_the_manual_says_what_the_page_says(reason: Reason) -> None:
    """Each section quotes what the visitor reads, with status and close code, and tells operators where to look."""
    section = " ".join(_sections()[reason.value].replace("\n> ", " ").split())
    outcome = OUTCOMES[reason]
    assert f"Status {outcome.status}" in section
    assert outcome.close_code is None or f"close code {outcome.close_code}" in section
    assert outcome.retry_after is None or f"retry after {outcome.retry_after} s" in section
    assert f"**{outcome.title}.** {outcome.meaning} {outcome.advice}" in section
    assert re.search(r"For operators: .{40,}", section)
