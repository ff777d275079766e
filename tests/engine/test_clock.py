"""What is known: rules, switches, and which entries a flush concerns."""

from dataclasses import replace

import pytest

from cachemgmt.engine.clock import DEFAULT_TTL_S, Flush, FlushKind, Knowledge, Rule
from cachemgmt.engine.entry import Entry
from tests.engine.test_entry import ENTRY

AT_5: Entry = replace(ENTRY, clock=5, question="refund fee", tags=("level:reply", "doc:returns"))


def flush(clock: int, kind: FlushKind = "all", match: str = "") -> Flush:
    return Flush(clock=clock, kind=kind, match=match)


@pytest.mark.parametrize(
    ("flushed", "is_concerned"),
    [
        (flush(6), True),
        (flush(5), False),
        (flush(4), False),
        (flush(6, "tag", "doc:returns"), True),
        (flush(5, "tag", "doc:returns"), False),
        (flush(6, "tag", "doc:return"), False),
        (flush(6, "tag", ""), False),
        (flush(6, "pattern", "reply:shop:refund*"), True),
        (flush(5, "pattern", "reply:shop:refund*"), False),
        (flush(6, "pattern", "*refund*"), True),
        (flush(6, "pattern", "refund*"), False),
        (flush(6, "pattern", "reply:bank:*"), False),
        (flush(6, "pattern", "intent:*"), False),
        (flush(6, "pattern", "reply:shop:refund fe?"), True),
    ],
)
def test_a_flush_concerns_older_entries_that_it_matches(flushed: Flush, is_concerned: bool) -> None:
    assert flushed.concerns(AT_5, "shop") is is_concerned
    assert Knowledge(clock=9, flushes=(flushed,)).is_flushed(AT_5, "shop") is is_concerned


def test_a_pattern_may_be_typed_in_any_case() -> None:
    assert flush(6, "pattern", "*Refund*").concerns(AT_5, "shop")


def test_any_of_several_flushes_counts() -> None:
    other = flush(8, "tag", "doc:other")
    mine = flush(7, "tag", "doc:returns")
    assert Knowledge(clock=9, flushes=(flush(3), mine, other)).is_flushed(AT_5, "shop")
    assert not Knowledge(clock=9, flushes=(flush(3), other)).is_flushed(AT_5, "shop")


@pytest.mark.parametrize(("floor", "is_flushed"), [(4, False), (5, False), (6, True)])
def test_entries_older_than_the_floor_are_not_reused(floor: int, is_flushed: bool) -> None:
    assert Knowledge(clock=9, floor=floor).is_flushed(AT_5, "shop") is is_flushed


def test_flushes_older_than_the_entry_are_not_even_looked_at() -> None:
    class Untouchable(tuple[str, ...]):
        def __contains__(self, _: object) -> bool:
            raise AssertionError("looked at")

    flushes = tuple(flush(clock, "tag", "doc:returns") for clock in range(1, 6))
    entry = replace(AT_5, tags=Untouchable())
    assert not Knowledge(clock=9, flushes=flushes).is_flushed(entry, "shop")


def test_the_rule_of_an_intent_wins_over_its_levels() -> None:
    known = Knowledge(
        rules={("reply", ""): Rule(ttl_s=10), ("reply", "refund"): Rule(ttl_s=20, is_enabled=False)}
    )
    assert known.rule("reply", "refund").ttl_s == 20
    assert known.rule("reply", "fees").ttl_s == 10
    assert known.rule("reply", None).ttl_s == 10
    assert known.rule("reply", "").ttl_s == 10


@pytest.mark.parametrize("level", DEFAULT_TTL_S)
def test_without_a_rule_a_level_has_its_default(level: str) -> None:
    rule = Knowledge().rule(level, "refund")
    assert rule == Rule(ttl_s=DEFAULT_TTL_S[level])
    assert Knowledge().is_enabled(level)


def test_the_levels_keep_for_as_long_as_promised() -> None:
    hours = {level: ttl_s / 3600 for level, ttl_s in DEFAULT_TTL_S.items()}
    assert hours == {"response": 0.5, "intent": 1, "policy": 24, "reply": 0.5, "vector": 24}


def test_a_level_is_off_by_its_own_rule_or_with_the_whole_cache() -> None:
    off = Rule(ttl_s=10, is_enabled=False)
    assert not Knowledge(rules={("reply", ""): off}).is_enabled("reply")
    assert Knowledge(rules={("reply", ""): off}).is_enabled("intent")
    assert Knowledge(rules={("reply", "refund"): off}).is_enabled("reply")
    assert not Knowledge(is_on=False).is_enabled("reply")
