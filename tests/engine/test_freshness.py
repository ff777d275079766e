"""How long an entry stays fresh."""

from dataclasses import replace

import pytest

from cachemgmt.engine.clock import Rule
from cachemgmt.engine.freshness import age_s, ttl_left_s
from tests.engine.test_entry import ENTRY

NOW = 1_700_000_000.0
MADE_NOW = replace(ENTRY, made_at=NOW, valid_until=None, max_ttl_s=None)


@pytest.mark.parametrize(("age", "left"), [(0, 60), (59, 1), (60, 0), (61, -1)])
def test_the_ttl_counts_from_the_making(age: float, left: float) -> None:
    assert ttl_left_s(MADE_NOW, Rule(ttl_s=60), NOW + age) == left


def test_the_rule_as_it_stands_now_counts() -> None:
    assert ttl_left_s(MADE_NOW, Rule(ttl_s=60), NOW + 50) == 10
    assert ttl_left_s(MADE_NOW, Rule(ttl_s=600), NOW + 50) == 550
    assert ttl_left_s(MADE_NOW, Rule(ttl_s=30), NOW + 50) == -20


@pytest.mark.parametrize(("max_ttl_s", "left"), [(10, 10), (60, 60), (600, 60), (0, 0)])
def test_an_entrys_own_maximum_caps_the_rule(max_ttl_s: float, left: float) -> None:
    assert ttl_left_s(replace(MADE_NOW, max_ttl_s=max_ttl_s), Rule(ttl_s=60), NOW) == left


@pytest.mark.parametrize(("valid_until", "left"), [(NOW + 5, 5), (NOW, 0), (NOW - 1, -1), (NOW + 90, 60)])
def test_no_entry_outlives_its_validity(valid_until: float, left: float) -> None:
    assert ttl_left_s(replace(MADE_NOW, valid_until=valid_until), Rule(ttl_s=60), NOW) == left


def test_an_entry_from_the_future_counts_as_made_now() -> None:
    assert age_s(MADE_NOW, NOW - 1000) == 0
    assert ttl_left_s(MADE_NOW, Rule(ttl_s=60), NOW - 1000) == 60


def test_age_is_in_seconds() -> None:
    assert age_s(MADE_NOW, NOW + 12.5) == 12.5
