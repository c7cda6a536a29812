"""The tests inside a policy: they pass, or say what is different."""

import pytest

from gateway.policy.examples import run_tests
from tests.policy.sources import SMALL, parse


def outcome(expectation: str, request: str = 'client = "203.0.113.7", host = "tools.corp.example"'):
    text = f'{SMALL}[[tests]]\nname = "n"\nrequest = {{ {request} }}\n{expectation}'
    (result,) = run_tests(parse(text))
    return result


@pytest.mark.parametrize(
    ("name", "expectation", "differences"),
    [
        ("as expected", 'expect = "allow"\nreason = "allowed-by-rule"\nrule = "staff"', ()),
        ("less is asked", 'expect = "allow"', ()),
        ("another outcome", 'expect = "deny"', ("expected outcome deny, got allow",)),
        (
            "another reason",
            'expect = "allow"\nreason = "no-rule-matched"',
            ("expected reason no-rule-matched, got allowed-by-rule",),
        ),
    ],
)
def test_differences(name, expectation, differences):
    """A test fails when the outcome, the reason or the rule is another one, and each difference is told."""
    result = outcome(expectation)
    assert result.differences == differences
    assert result.passed is not bool(differences)


def test_rule_that_did_not_decide():
    """A test that names a rule fails when no rule decided."""
    result = outcome('expect = "deny"\nrule = "staff"', 'client = "192.0.2.1", host = "tools.corp.example"')
    assert result.differences == ("expected rule staff, got none",)


def test_plain_http_is_sent_on():
    """An example can expect the redirect to https."""
    request = 'client = "203.0.113.7", host = "tools.corp.example", scheme = "http"'
    assert outcome('expect = "redirect"\nreason = "https-required"', request).passed
