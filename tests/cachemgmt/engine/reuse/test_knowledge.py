"""What is known: rules, switches, and which entries a flush concerns."""

from dataclasses import replace
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachemgmt.engine.entry import Entry
from cachemgmt.engine.keys import normalise_message
from cachemgmt.engine.reuse.knowledge import (
    DEFAULT_TTL_S,
    STALE_IF_ERROR_S,
    Flush,
    Flushes,
    FlushKind,
    Knowledge,
    Rule,
)
from tests.cachemgmt.engine.test_entry import ENTRY

AT_5: Entry = replace(
    ENTRY, clock=5, made_at=100.0, question="refund fee", tags=("level:reply", "doc:returns")
)


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
        (flush(6, "pattern", "reply:shop:refund"), False),
        (flush(6, "age", "100.001"), True),
        (flush(5, "age", "100.001"), False),
        (flush(6, "age", "100.0"), False),
        (flush(6, "age", "99"), False),
    ],
)
def test_a_flush_concerns_older_entries_that_it_matches(flushed: Flush, is_concerned: bool) -> None:
    assert Flushes([flushed]).concern(AT_5, "shop") is is_concerned
    assert Knowledge(clock=9, flushes=Flushes([flushed])).is_flushed(AT_5, "shop") is is_concerned


def test_a_pattern_may_be_typed_in_any_case() -> None:
    assert Flushes([flush(6, "pattern", "*Refund*")]).concern(AT_5, "shop")


@pytest.mark.parametrize("typed", ["*don't*", "*don\u2019t*", "*Z\u00fcrich*", "*zu\u0308rich*"])
def test_a_pattern_may_be_typed_in_any_characters_that_a_message_may_be(typed: str) -> None:
    asked = normalise_message("Why don\u2019t you ship to Zu\u0308rich?")
    assert Flushes([flush(6, "pattern", typed)]).concern(replace(AT_5, question=asked), "shop")


def test_any_of_several_flushes_counts() -> None:
    other = flush(8, "tag", "doc:other")
    mine = flush(7, "tag", "doc:returns")
    assert Knowledge(clock=9, flushes=Flushes([flush(3), mine, other])).is_flushed(AT_5, "shop")
    assert not Knowledge(clock=9, flushes=Flushes([flush(3), other])).is_flushed(AT_5, "shop")


@pytest.mark.parametrize(("floor", "is_flushed"), [(4, False), (5, False), (6, True)])
def test_entries_older_than_the_floor_are_not_reused(floor: int, is_flushed: bool) -> None:
    assert Knowledge(clock=9, floor=floor).is_flushed(AT_5, "shop") is is_flushed


def test_no_flush_concerns_anything_where_there_was_none() -> None:
    assert not Flushes().concern(AT_5, "shop")
    assert not Flushes([]).concern(replace(AT_5, clock=0), "shop")


def test_an_entry_is_judged_by_its_tags_however_many_flushes_there_were() -> None:
    looked_up = 0

    class Counted(str):
        def __hash__(self) -> int:
            nonlocal looked_up
            looked_up += 1
            return super().__hash__()

    flushes = Flushes(flush(6, "tag", f"doc:{number}") for number in range(5000))
    entry = replace(AT_5, tags=(Counted("level:reply"), Counted("doc:other")))
    assert not flushes.concern(entry, "shop")
    assert looked_up == len(entry.tags)


# Against a simple reference -----------------------------------------------------------------------------


def concerns(flushed: Flush, entry: Entry, collection: str) -> bool:
    """Whether one flush removes the entry, told without any arrangement."""
    if entry.clock >= flushed.clock:
        return False
    match flushed.kind:
        case "all":
            return True
        case "tag":
            return flushed.match in entry.tags
        case "age":
            return entry.made_at < float(flushed.match)
        case "pattern":
            return fnmatchcase(f"{entry.level}:{collection}:{entry.question}", flushed.match.casefold())


clocks = st.integers(0, 8)
tags = st.sampled_from(["level:reply", "level:intent", "collection:shop", "doc:a", "doc:b", "customer:1", ""])
patterns = st.sampled_from(
    ["*", "reply:*", "intent:*", "*:shop:*", "*:bank:*", "*fee*", "*FEE*", "reply:shop:fee?", "[r]eply:*:re*"]
)
flushes = st.one_of(
    st.builds(Flush, clock=clocks, kind=st.just("all")),
    st.builds(Flush, clock=clocks, kind=st.just("tag"), match=tags),
    st.builds(
        Flush, clock=clocks, kind=st.just("age"), match=st.sampled_from(["9", "10", "10.5", "20", "30"])
    ),
    st.builds(Flush, clock=clocks, kind=st.just("pattern"), match=patterns),
)
entries = st.builds(
    lambda clock, made_at, tagged, level, question: replace(
        ENTRY, clock=clock, made_at=made_at, tags=tuple(tagged), level=level, question=question
    ),
    clocks,
    st.sampled_from([9.0, 10.0, 10.25, 20.0, 29.0]),
    st.lists(tags, max_size=4),
    st.sampled_from(["reply", "intent"]),
    st.sampled_from(["", "fee", "fees", "refund fee", "returns"]),
)


@given(
    st.lists(flushes, max_size=12),
    st.lists(entries, min_size=1, max_size=6),
    st.sampled_from(["shop", "bank"]),
)
def test_arranged_flushes_concern_exactly_what_they_concern_one_by_one(
    happened: list[Flush], stored: list[Entry], collection: str
) -> None:
    arranged = Flushes(happened)
    for entry in stored:
        expected = any(concerns(one, entry, collection) for one in happened)
        assert arranged.concern(entry, collection) is expected


def test_what_a_later_flush_by_age_implies_costs_nothing() -> None:
    """Each names a time of its own, so that they would add up: one an hour, say, of what is a day old."""
    each = [flush(number, "age", f"{1e9 + 600 * number:.3f}") for number in range(1, 1001)]
    assert Flushes(each)._ages == [(1000, 1e9 + 600_000)]
    first = flush(1001, "age", "1000000000")  # of older entries alone, but of newer ones by the clock
    assert Flushes([first, *each])._ages == [(1001, 1e9), (1000, 1e9 + 600_000)]


@given(st.lists(flushes, max_size=12), entries, st.randoms(use_true_random=False))
def test_neither_order_nor_repetition_of_flushes_matters(
    happened: list[Flush], entry: Entry, random: st.DataObject
) -> None:
    shuffled = [*happened, *happened]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert Flushes(shuffled).concern(entry, "shop") is Flushes(happened).concern(entry, "shop")


@given(st.lists(flushes, max_size=12), flushes, entries)
def test_another_flush_brings_nothing_back(happened: list[Flush], another: Flush, entry: Entry) -> None:
    if Flushes(happened).concern(entry, "shop"):
        assert Flushes([*happened, another]).concern(entry, "shop")


# Rules --------------------------------------------------------------------------------------------------


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


WINDOWS = Rule(ttl_s=100, stale_while_revalidate_s=50, stale_if_error_s=200)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Rule(ttl_s=60, stale_while_revalidate_s=70, stale_if_error_s=300), (60, 50, 200)),
        (Rule(ttl_s=900, stale_while_revalidate_s=10, stale_if_error_s=20), (100, 10, 20)),
    ],
)
def test_a_reply_outlives_no_answer(answer: Rule, expected: tuple[float, float, float]) -> None:
    """Neither in its TTL nor in its windows: it becomes an answer again."""
    rule = Knowledge(rules={("reply", ""): WINDOWS, ("response", ""): answer}).rule("reply", None)
    assert (rule.ttl_s, rule.stale_while_revalidate_s, rule.stale_if_error_s) == expected


def test_an_answers_rule_leaves_other_levels_alone() -> None:
    answer = Rule(ttl_s=1)
    known = Knowledge(rules={("intent", ""): WINDOWS, ("response", ""): answer})
    assert known.rule("intent", None) == WINDOWS


def test_by_default_a_result_is_given_for_a_day_while_the_provider_fails_and_else_never_stale() -> None:
    rule = Knowledge().rule("reply", None)
    assert (rule.stale_while_revalidate_s, rule.stale_if_error_s) == (0, STALE_IF_ERROR_S)
    assert STALE_IF_ERROR_S == 24 * 3600
