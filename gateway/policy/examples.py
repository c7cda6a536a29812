"""The tests that a policy carries, run through the same `decide` as live traffic."""

from dataclasses import dataclass

from gateway.model import Allow, Challenge, Decision, Deny, Policy, PolicyTest, Redirect
from gateway.policy.decide import decide


@dataclass(frozen=True, slots=True)
class TestOutcome:
    """One test, what was decided, and how that differs from what the test expects (nothing: it passed)."""

    __test__ = False  # not a test of pytest, whatever its name

    test: PolicyTest
    decision: Decision
    differences: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether everything is as the test expects."""
        return not self.differences


def run_tests(policy: Policy) -> tuple[TestOutcome, ...]:
    """The outcome of each test of the policy, in the order of the file."""
    return tuple(_run(policy, test) for test in policy.tests)


def _run(policy: Policy, test: PolicyTest) -> TestOutcome:
    decision = decide(policy, test.request)
    return TestOutcome(test, decision, tuple(_differences(test, decision)))


def _differences(test: PolicyTest, decision: Decision) -> list[str]:
    wanted = (
        ("outcome", test.expect, outcome_of(decision)),
        ("reason", test.reason and test.reason.value, decision.reason.value),
        ("rule", test.rule, decision.rule),
    )
    return [
        f"expected {name} {expected}, got {actual or 'none'}"
        for name, expected, actual in wanted
        if expected is not None and expected != actual
    ]


def outcome_of(decision: Decision) -> str:
    """The word for a decision: allow, deny, challenge or redirect."""
    match decision:
        case Allow():
            return "allow"
        case Deny():
            return "deny"
        case Challenge():
            return "challenge"
        case Redirect():
            return "redirect"
