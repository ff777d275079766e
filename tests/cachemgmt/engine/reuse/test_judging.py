"""May an entry be reused: every objection, and which goes before which."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachemgmt.engine.entry import Entry
from cachemgmt.engine.reuse.freshness import Directives, age_s
from cachemgmt.engine.reuse.judging import judge
from cachemgmt.engine.reuse.knowledge import Flush, Flushes, Knowledge, Rule
from tests.cachemgmt.engine.fakes import KEY, make_key

NOW = 1_700_000_000.0
RULE = Rule(ttl_s=100, stale_while_revalidate_s=50, stale_if_error_s=200)
KNOWN = Knowledge(clock=9, rules={("reply", ""): RULE, ("response", ""): RULE})
ENTRY = Entry(
    key_parts=KEY.parts,
    entry_id="0" * 16,
    level="reply",
    made_at=NOW,
    fill_s=1.0,
    cost_usd=None,
    clock=5,
    tags=("level:reply", "intent:fees"),
    question="fee",
    value="made",
)


def judged(entry: Entry = ENTRY, known: Knowledge = KNOWN, **options: Any) -> tuple[str, str | None]:
    given: dict[str, Any] = {"now": NOW, "directives": Directives(), **options}
    return judge(
        entry, options.pop("key", KEY), known=known, **{k: v for k, v in given.items() if k != "key"}
    )


def test_a_fresh_entry_may_be_reused_by_anyone() -> None:
    assert judged() == ("fresh", None)


@pytest.mark.parametrize(
    ("age", "use"),
    [
        (0, "fresh"),
        (99.9, "fresh"),
        (100, "stale"),
        (149.9, "stale"),
        (150, "if-error"),
        (299.9, "if-error"),
        (300, "no"),
        (1e9, "no"),
    ],
)
def test_an_entry_passes_from_fresh_over_stale_to_nothing(age: float, use: str) -> None:
    assert judged(now=NOW + age) == (use, None if use == "fresh" else "expired")


def test_where_the_windows_lie_otherwise_an_entry_passes_over_none_twice() -> None:
    rule = replace(RULE, stale_while_revalidate_s=200, stale_if_error_s=50)
    known = replace(KNOWN, rules={("reply", ""): rule, ("response", ""): rule})
    uses = [judged(known=known, now=NOW + age)[0] for age in (99, 149, 299, 301)]
    assert uses == ["fresh", "stale", "stale", "no"]


OBJECTIONS: list[tuple[dict[str, Any], str]] = [
    ({"entry": replace(ENTRY, key_parts=make_key("another").parts)}, "mixed-up"),
    ({"entry": replace(ENTRY, clock=10)}, "other-history"),
    ({"known": replace(KNOWN, flushes=Flushes([Flush(clock=6, kind="all")]))}, "flushed"),
    ({"known": replace(KNOWN, floor=6)}, "flushed"),
    ({"known": replace(KNOWN, rules={("reply", "fees"): replace(RULE, is_enabled=False)})}, "level-off"),
    ({"accept": lambda _entry, _known: False}, "policies-changed"),
    ({"directives": Directives(max_age_s=5), "now": NOW + 6}, "max-age"),
]


@pytest.mark.parametrize(("options", "objection"), OBJECTIONS)
@pytest.mark.parametrize("age", [10, 120, 250])
def test_an_objection_holds_for_fresh_and_stale_alike(
    options: dict[str, Any], objection: str, age: float
) -> None:
    assert judged(**{"now": NOW + age, **options}) == ("no", objection)


@pytest.mark.parametrize("first", range(len(OBJECTIONS)))
def test_what_is_graver_is_told_first(first: int) -> None:
    """Whatever else could be said: the reason is counted, and somebody acts on it."""
    together: dict[str, Any] = {}
    for options, _ in reversed(OBJECTIONS[first:]):
        together |= options
    assert judged(**together)[1] == OBJECTIONS[first][1]


def test_the_callers_objection_sees_entry_and_knowledge() -> None:
    seen: list[object] = []

    def accept(entry: Entry, known: Knowledge) -> bool:
        seen.extend((entry, known))
        return True

    assert judged(accept=accept) == ("fresh", None)
    assert seen == [ENTRY, KNOWN]


times = st.floats(-1000, 1000)
windows = st.floats(0, 500)


@given(
    st.builds(Rule, ttl_s=st.floats(1, 500), stale_while_revalidate_s=windows, stale_if_error_s=windows),
    times,
    st.none() | times,
    st.none() | st.floats(0, 500),
    st.none() | st.floats(0, 500),
)
def test_nothing_is_reused_past_its_validity_its_windows_or_what_was_asked(
    rule: Rule, age: float, valid_for: float | None, max_ttl_s: float | None, max_age_s: float | None
) -> None:
    known = replace(KNOWN, rules={("reply", ""): rule, ("response", ""): rule})
    valid_until = None if valid_for is None else NOW + valid_for
    entry = replace(ENTRY, valid_until=valid_until, max_ttl_s=max_ttl_s)
    now = NOW + age
    use, objection = judged(entry, known, now=now, directives=Directives(max_age_s=max_age_s))
    assert (use == "fresh") == (objection is None)
    if use == "no":
        return
    old_s = age_s(entry, now)
    assert valid_until is None or now < valid_until
    assert max_age_s is None or old_s <= max_age_s
    if use == "fresh":
        assert old_s < (rule.ttl_s if max_ttl_s is None else min(rule.ttl_s, max_ttl_s))
    else:
        assert max_ttl_s is None
        window_s = rule.stale_while_revalidate_s if use == "stale" else rule.stale_if_error_s
        assert old_s < rule.ttl_s + window_s
