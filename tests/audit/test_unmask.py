"""Decisions on masked inputs: made again exactly, or said to be impossible."""

from dataclasses import replace
from datetime import date

import msgspec
import pytest

from gateway.audit import opened
from gateway.audit.masks import Exact, Inexact, MaskKey, Masks, unmask
from gateway.model import RequestContext
from gateway.policy.decide import decide
from gateway.policy.parse import PolicySource, parse_policy
from gateway.state.secrets import Secret
from tests.audit.samples import STAFF, STAMP, exchange
from tests.audit.test_masks import MASK_KEY, event

RULES = """
schema = 1
title = "again"
default = "deny"
[networks]
office = ["10.20.30.0/24"]
[hosts]
allowed = ["tools.example.internal"]
[[rules]]
id = "people"
effect = "allow"
because = "They may."
users = ["j.doe@example.com", "a.roe@example.com"]
"""
IN_OFFICE = RULES + 'networks = ["office"]\n'


def policy(text):
    return parse_policy(PolicySource("policies/0007-again.toml", "0007", text.encode(), {}), today=date.min)


def recorded(given, masks):
    """Inputs and pointers, as they are read from a line of the record."""
    gateway = event(opened(given, STAMP, masks))["unmapped"]["gateway"]
    return msgspec.convert(gateway["inputs"], RequestContext), gateway.get("masked", ())


USERS_ONLY = Masks(("user", "session"), lambda: MASK_KEY)


@pytest.mark.parametrize("user", ["j.doe@example.com", "m.moe@example.com"])
def test_a_decision_on_a_masked_user_is_made_again_exactly(user):
    """A masked principal whom the policy names is put back, so the decision is the one that was made."""
    rules = policy(RULES)
    given = exchange(principal=replace(STAFF, id=user))
    context, masked = recorded(given, USERS_ONLY)
    again = unmask(context, masked, rules, [MaskKey("k6", Secret(b"o" * 32)), MASK_KEY])
    assert isinstance(again, Exact)
    made = decide(rules, given.context)
    assert (decide(rules, again.context).reason, decide(rules, again.context).rule) == (made.reason, made.rule)
    assert (made.rule == "people") == (user == "j.doe@example.com")


def test_without_its_key_a_masked_user_cannot_be_put_back():
    """When the key is erased and rules name users, the decision cannot be made again, and it says so."""
    context, masked = recorded(exchange(principal=STAFF), USERS_ONLY)
    again = unmask(context, masked, policy(RULES), [MaskKey("k8", Secret(b"o" * 32))])
    assert isinstance(again, Inexact)
    assert "k7" in again.because[0]


def test_a_masked_address_is_exact_only_where_no_rule_asks_for_networks():
    """An address is not put back: where networks decide, the decision cannot be made again exactly."""
    masks = Masks(("client",), lambda: MASK_KEY)
    context, masked = recorded(exchange(principal=STAFF), masks)
    inexact = unmask(context, masked, policy(IN_OFFICE), [MASK_KEY])
    assert isinstance(inexact, Inexact) and "networks" in inexact.because[0]
    exact = unmask(context, masked, policy(RULES), [MASK_KEY])
    assert isinstance(exact, Exact)
    assert decide(policy(RULES), exact.context).rule == "people"


def test_a_path_that_quotes_a_masked_user_is_not_exact():
    """Rules look at paths: what was masked in one is missing, and it says so."""
    context, masked = recorded(exchange(principal=STAFF, path="/u/j.doe@example.com"), USERS_ONLY)
    again = unmask(context, masked, policy(RULES), [MASK_KEY])
    assert isinstance(again, Inexact) and "path" in again.because[0]


def test_what_only_looks_like_a_pseudonym_is_a_name():
    """Somebody whose name looks like a pseudonym, in a record where users stand in clear, stays who he is."""
    forged = MASK_KEY.pseudonym("user", "j.doe@example.com")
    context, masked = recorded(exchange(principal=replace(STAFF, id=forged)), Masks((), lambda: MASK_KEY))
    again = unmask(context, masked, policy(RULES), [MASK_KEY])
    assert isinstance(again, Exact) and again.context.principal.id == forged
