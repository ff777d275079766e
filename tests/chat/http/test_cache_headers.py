"""The cache in HTTP's words."""

import pytest

from chat.http.cache_headers import BadDirective, cache_headers, read_directives
from chat.types import CacheReport


def report(**fields: object) -> CacheReport:
    empty = {"level": None, "reason": None, "age_s": None, "ttl_s": None, "entry_id": None}
    return CacheReport(**{**empty, **fields})  # type: ignore[arg-type]


def test_directives_are_read_whatever_their_case_and_spacing() -> None:
    found = read_directives(' No-Cache ,MAX-AGE="60", only-if-cached,, no-transform')
    assert (found.no_cache, found.max_age_s, found.only_if_cached, found.no_store) == (
        True,
        60.0,
        True,
        False,
    )


@pytest.mark.parametrize(
    "header", ["max-age", "max-age=", "max-age=-1", "max-age=1.5", "max-age=²", "max-age=99999999999"]
)
def test_a_useless_max_age_is_refused(header: str) -> None:
    with pytest.raises(BadDirective):
        read_directives(header)


@pytest.mark.parametrize(
    ("fields", "status", "age"),
    [
        (
            {"status": "hit", "level": "response", "age_s": 488, "ttl_s": 1312, "is_stored": True},
            "tria; hit; ttl=1312; detail=response",
            "488",
        ),
        (
            {"status": "miss", "reason": "absent", "is_stored": True, "age_s": 0},
            "tria; fwd=miss; stored; detail=absent",
            None,
        ),
        (
            {"status": "miss", "reason": "expired", "is_stored": True},
            "tria; fwd=stale; stored; detail=expired",
            None,
        ),
        (
            {"status": "bypass", "reason": "no-cache", "is_stored": True},
            "tria; fwd=request; stored; detail=no-cache",
            None,
        ),
        ({"status": "bypass", "reason": "personal"}, "tria; fwd=bypass; detail=personal", None),
        ({"status": "collapsed", "age_s": 0, "is_stored": True}, "tria; fwd=miss; collapsed; stored", "0"),
    ],
)
def test_cache_status_says_how_the_answer_came_about(
    fields: dict[str, object], status: str, age: str | None
) -> None:
    headers = cache_headers(report(**fields))
    assert headers["Cache-Status"] == status
    assert headers.get("Age") == age
    assert headers["Cache-Control"] == "private, no-store"
