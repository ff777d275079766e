"""How long an entry stays fresh."""

import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachemgmt.engine.entry import Entry
from cachemgmt.engine.reuse.freshness import JITTER, RETENTION_S, age_s, is_within, retention_s, ttl_left_s
from cachemgmt.engine.reuse.knowledge import Rule
from tests.cachemgmt.engine.fakes import make_key
from tests.cachemgmt.engine.test_entry import ENTRY

NOW = 1_700_000_000.0
NO_JITTER = "0" * 16
MADE_NOW = replace(ENTRY, entry_id=NO_JITTER, made_at=NOW, valid_until=None, max_ttl_s=None)


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


# Jitter -------------------------------------------------------------------------------------------------

entry_ids = st.integers(0, 2**64 - 1).map("{:016x}".format)


def jittered(entry_id: str) -> Entry:
    return replace(MADE_NOW, entry_id=entry_id)


@given(entry_ids, st.floats(1, 1e7))
def test_jitter_never_lengthens_and_shortens_by_a_twentieth_at_most(entry_id: str, ttl_s: float) -> None:
    left_s = ttl_left_s(jittered(entry_id), Rule(ttl_s=ttl_s), NOW)
    assert ttl_s * (1 - JITTER) - 1e-6 <= left_s <= ttl_s


@pytest.mark.parametrize(
    ("entry_id", "left"),
    [("0" * 16, 100), ("f" * 16, 95), ("8000" + "f" * 12, pytest.approx(97.5, abs=0.01))],
)
def test_jitter_uses_the_whole_twentieth(entry_id: str, left: float) -> None:
    assert ttl_left_s(jittered(entry_id), Rule(ttl_s=100), NOW) == pytest.approx(left)


def test_what_was_warmed_together_does_not_expire_together() -> None:
    lefts = sorted(
        ttl_left_s(jittered(make_key(f"question {number}").entry_id), Rule(ttl_s=1800), NOW)
        for number in range(200)
    )
    assert len(set(lefts)) > 190
    assert lefts[-1] - lefts[0] > 1800 * JITTER * 0.9
    # In no second more than a few of them.
    assert max(sum(left <= other < left + 1 for other in lefts) for left in lefts) < 15


def test_jitter_is_the_same_in_every_process() -> None:
    """Else one would throw away what another still gives."""
    program = (
        "from tests.cachemgmt.engine.reuse.test_freshness import *\n"
        "print([ttl_left_s(jittered(make_key(word).entry_id), Rule(ttl_s=1800), NOW) for word in 'abc'])"
    )
    here = [ttl_left_s(jittered(make_key(word).entry_id), Rule(ttl_s=1800), NOW) for word in "abc"]
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == str(here)


def test_jitter_moves_no_time_at_which_a_policy_changes() -> None:
    entry = replace(jittered("f" * 16), valid_until=NOW + 50)
    assert ttl_left_s(entry, Rule(ttl_s=100), NOW) == 50


def test_a_marker_has_its_jitter_off_its_own_ttl() -> None:
    entry = replace(jittered("f" * 16), max_ttl_s=10)
    assert ttl_left_s(entry, Rule(ttl_s=100), NOW) == pytest.approx(9.5)


# Past the TTL -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "window", "is_reused"),
    [(-1, 0, False), (0, 0, False), (-1, 2, True), (-1, 1, False), (-0.999, 1, True), (5, 0, True)],
)
def test_a_window_counts_from_the_ttl(left: float, window: float, is_reused: bool) -> None:
    assert is_within(MADE_NOW, window, left, NOW) is is_reused


@pytest.mark.parametrize(("valid_until", "is_reused"), [(NOW + 0.1, True), (NOW, False), (NOW - 1, False)])
def test_no_window_reaches_past_the_validity(valid_until: float, is_reused: bool) -> None:
    assert is_within(replace(MADE_NOW, valid_until=valid_until), 1e6, -1, NOW) is is_reused


def test_what_has_a_ttl_of_its_own_has_no_window() -> None:
    assert not is_within(replace(MADE_NOW, max_ttl_s=300), 1e6, -1, NOW)


@pytest.mark.parametrize(
    ("rule", "stays_s"),
    [
        (Rule(ttl_s=60), 10 + RETENTION_S),
        (Rule(ttl_s=60, stale_if_error_s=0), 10 + RETENTION_S),
        (Rule(ttl_s=60, stale_if_error_s=RETENTION_S + 5), 10 + RETENTION_S + 5),
        (Rule(ttl_s=60, stale_while_revalidate_s=RETENTION_S + 7), 10 + RETENTION_S + 7),
    ],
)
def test_the_store_keeps_an_entry_through_its_windows(rule: Rule, stays_s: float) -> None:
    assert retention_s(10, rule) == stays_s
