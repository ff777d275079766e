"""What Django promises of every cache backend. Each set-up says only how its cache is made."""

import asyncio
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, ClassVar

import pytest
from django.core.cache.backends.base import CacheKeyWarning

from cachemgmt.django_cache.failover_cache import FailoverCache

MakeCache = Callable[..., FailoverCache]
LetPass = Callable[[float], None]


def key_with_star(key: object, prefix: str, version: int) -> str:
    """A KEY_FUNCTION of an application's own."""
    return f"*{key}|{version}|{prefix}"


class DjangoCacheContract:
    """A set-up has a fixture `make`, which returns a cache with Django's settings for it, all over the same
    values; and one `let_pass`, which lets so many seconds pass for them."""

    @pytest.fixture
    def cache(self, make: MakeCache) -> FailoverCache:
        return make()

    # Values ---------------------------------------------------------------------------------------------

    values: ClassVar[dict[str, Any]] = {
        "none": None,
        "true": True,
        "false": False,
        "zero": 0,
        "negative": -5,
        "large": 2**70,
        "float": 0.1,
        "empty": "",
        "digits": "42",
        "unicode": "ǝbɐɯ \N{SNOWMAN} \U0001f600",
        "null": "a\x00b",
        "bytes": bytes(range(256)),
        "list": [1, "a", None, []],
        "tuple": (1, (2.5,)),
        "dict": {"a": {"b": [Decimal("0.10"), (1,)]}, "$tuple": 1},
        "decimal": Decimal("1.10"),
        "date": date(2024, 2, 29),
        "datetime": datetime(2024, 2, 29, 12, 30, 1, 5, tzinfo=UTC),
    }

    @pytest.mark.parametrize("name", list(values))
    def test_a_value_comes_back_with_its_type(self, cache: FailoverCache, name: str) -> None:
        value = self.values[name]
        cache.set("k", value)
        back = cache.get("k", "absent")
        assert back == value
        assert type(back) is type(value)
        assert "k" in cache

    def test_many_values_come_back_with_their_types(self, cache: FailoverCache) -> None:
        assert cache.set_many(self.values) == []
        back = cache.get_many([*self.values, "absent"])
        assert back == self.values
        assert list(map(type, back.values())) == list(map(type, self.values.values()))

    def test_none_is_a_value(self, cache: FailoverCache) -> None:
        cache.set("k", None)
        assert cache.get("k", "default") is None
        assert cache.has_key("k")
        assert cache.get_many(["k"]) == {"k": None}
        assert not cache.add("k", 1)
        assert cache.get_or_set("k", 1) is None
        assert cache.incr_version("k") == 2
        assert cache.get("k", "default", version=2) is None

    @pytest.mark.parametrize("value", [{1}, object(), {1: "a"}])
    def test_a_value_of_another_type_is_refused(self, cache: FailoverCache, value: object) -> None:
        cache.set("k", 1)
        with pytest.raises(TypeError):
            cache.set("k", value)
        with pytest.raises(TypeError):
            cache.add("other", value)
        with pytest.raises(TypeError):
            cache.set_many({"fine": 1, "k": value})
        with pytest.raises(TypeError):
            cache.get_or_set("other", value)
        assert cache.get_many(["k", "other", "fine"]) == {"k": 1}

    def test_changing_a_value_afterwards_does_not_change_what_is_cached(self, cache: FailoverCache) -> None:
        value = [1]
        cache.set("k", value)
        value.append(2)
        cache.get("k").append(3)
        assert cache.get("k") == [1]

    # Getting and setting --------------------------------------------------------------------------------

    def test_what_is_absent_is_the_default(self, cache: FailoverCache) -> None:
        assert cache.get("absent") is None
        assert cache.get("absent", "default") == "default"
        assert not cache.has_key("absent")
        assert "absent" not in cache
        assert cache.get_many(["absent"]) == {}

    def test_set_replaces(self, cache: FailoverCache) -> None:
        cache.set("k", "one")
        cache.set("k", 2)
        assert cache.get("k") == 2

    def test_add_keeps_only_what_is_not_there(self, cache: FailoverCache) -> None:
        assert cache.add("k", "one") is True
        assert cache.add("k", "two") is False
        assert cache.get("k") == "one"

    def test_get_many_takes_any_iterable_and_returns_the_keys_it_was_given(
        self, cache: FailoverCache
    ) -> None:
        cache.set_many({"a": 1, 2: "b"})
        assert cache.get_many(iter(["a", 2, "c"])) == {"a": 1, 2: "b"}
        assert cache.get_many(["a", "a"]) == {"a": 1}
        assert cache.get_many([]) == {}
        assert cache.get_many(()) == {}

    def test_set_many_of_nothing(self, cache: FailoverCache) -> None:
        assert cache.set_many({}) == []

    def test_get_or_set(self, cache: FailoverCache) -> None:
        assert cache.get_or_set("k", "made") == "made"
        assert cache.get_or_set("k", "other") == "made"
        assert cache.get_or_set("called", lambda: "result") == "result"
        assert cache.get_or_set("none", None, 60) is None
        assert cache.get("none", "default") is None

    def test_delete(self, cache: FailoverCache) -> None:
        cache.set_many({"a": 1, "b": 2})
        assert cache.delete("a") is True
        assert cache.delete("a") is False
        assert cache.get_many(["a", "b"]) == {"b": 2}

    def test_delete_many(self, cache: FailoverCache) -> None:
        cache.set_many({"a": 1, "b": 2, "c": 3})
        cache.delete_many(iter(["a", "b", "absent"]))
        cache.delete_many([])
        assert cache.get_many(["a", "b", "c"]) == {"c": 3}

    def test_clear(self, cache: FailoverCache, make: MakeCache) -> None:
        cache.set_many({"a": 1, "b": 2})
        cache.set("a", 1, version=2)
        make(KEY_PREFIX="other").set("a", 1)
        cache.clear()
        assert cache.get_many(["a", "b"]) == {}
        assert cache.get("a", version=2) is None
        assert make(KEY_PREFIX="other").get("a") is None
        cache.set("a", 3)
        assert cache.get("a") == 3

    # Counting -------------------------------------------------------------------------------------------

    def test_incr_and_decr(self, cache: FailoverCache) -> None:
        cache.set("n", 41)
        assert cache.incr("n") == 42
        assert cache.incr("n", 10) == 52
        assert cache.incr("n", -60) == -8
        assert cache.decr("n") == -9
        assert cache.decr("n", -19) == 10
        assert cache.incr("n", 0) == 10
        assert cache.get("n") == 10

    def test_counting_what_is_absent_is_a_value_error(self, cache: FailoverCache) -> None:
        for count in (cache.incr, cache.decr):
            with pytest.raises(ValueError, match="'absent' not found"):
                count("absent")
            with pytest.raises(ValueError, match="'absent' not found"):
                count("absent", -1)
        assert not cache.has_key("absent")

    @pytest.mark.parametrize("value", ["a", "5", 1.5, None, True, [1], 2**63])
    def test_counting_what_is_no_number_is_a_value_error(self, cache: FailoverCache, value: object) -> None:
        cache.set("k", value)
        with pytest.raises(ValueError, match="integer"):
            cache.incr("k")
        assert cache.get("k") == value

    def test_counting_past_64_bits_is_a_value_error(self, cache: FailoverCache) -> None:
        cache.set("n", 2**63 - 2)
        assert cache.incr("n") == 2**63 - 1
        with pytest.raises(ValueError, match="integer"):
            cache.incr("n")
        assert cache.get("n") == 2**63 - 1

    def test_counting_by_a_fraction_is_a_type_error(self, cache: FailoverCache) -> None:
        cache.set("n", 1)
        with pytest.raises(TypeError):
            cache.incr("n", 1.5)  # type: ignore[arg-type]

    def test_counting_does_not_lengthen_a_life(self, cache: FailoverCache, let_pass: LetPass) -> None:
        cache.set("n", 1, 40)
        let_pass(20)
        cache.incr("n")
        let_pass(20)
        assert not cache.has_key("n")

    # Time -----------------------------------------------------------------------------------------------

    def test_a_value_lives_as_long_as_told(self, cache: FailoverCache, let_pass: LetPass) -> None:
        cache.set("k", 1, 30)
        cache.set_many({"a": 1}, 30)
        cache.add("b", 1, timeout=30)
        let_pass(10)
        assert cache.get_many(["k", "a", "b"]) == {"k": 1, "a": 1, "b": 1}
        let_pass(20)
        assert cache.get_many(["k", "a", "b"]) == {}
        assert cache.get("k") is None
        assert not cache.has_key("k")
        assert cache.add("k", 2)
        assert cache.touch("a") is False
        assert cache.delete("b") is False
        with pytest.raises(ValueError, match="not found"):
            cache.incr("a")

    def test_a_value_lives_as_long_as_the_setting_says(self, make: MakeCache, let_pass: LetPass) -> None:
        cache = make(TIMEOUT=30)
        cache.set("k", 1)
        cache.add("a", 1)
        let_pass(10)
        assert cache.get_many(["k", "a"]) == {"k": 1, "a": 1}
        let_pass(20)
        assert cache.get_many(["k", "a"]) == {}

    @pytest.mark.parametrize("is_setting", [True, False])
    def test_none_lives_on(self, make: MakeCache, let_pass: LetPass, is_setting: bool) -> None:
        cache = make(TIMEOUT=None if is_setting else 10)
        how: dict[str, Any] = {} if is_setting else {"timeout": None}
        cache.set("k", 1, **how)
        cache.set_many({"a": 1}, **how)
        cache.add("b", 1, **how)
        let_pass(50)
        assert cache.get_many(["k", "a", "b"]) == {"k": 1, "a": 1, "b": 1}
        assert cache.touch("k", **how) is True

    @pytest.mark.parametrize("timeout", [0, -1, -0.5])
    def test_no_time_is_not_kept(self, cache: FailoverCache, timeout: float) -> None:
        cache.set_many({"k": 1, "a": 1, "b": 1})
        cache.set("k", 2, timeout)
        cache.set_many({"a": 2, "new": 2}, timeout)
        assert cache.get_many(["k", "a", "new", "b"]) == {"b": 1}
        assert cache.add("k", 3, timeout) is True
        assert cache.add("b", 3, timeout) is False
        assert cache.get_many(["k", "b"]) == {"b": 1}
        assert cache.touch("b", timeout) is True
        assert cache.touch("b", timeout) is False
        assert not cache.has_key("b")

    def test_a_time_can_be_a_fraction(self, cache: FailoverCache, let_pass: LetPass) -> None:
        cache.set_many({"k": 1}, 20.5)
        cache.set("brief", 1, 1e-9)
        let_pass(0.5)
        assert cache.get_many(["k", "brief"]) == {"k": 1}
        let_pass(20)
        assert cache.get("k") is None

    def test_touch(self, cache: FailoverCache, let_pass: LetPass) -> None:
        cache.set("k", 1, 20)
        let_pass(8)
        assert cache.touch("k", 30) is True
        let_pass(18)
        assert cache.get("k") == 1
        assert cache.touch("k", None) is True
        assert cache.touch("k", None) is True
        let_pass(14)
        assert cache.touch("k", 15) is True
        let_pass(15)
        assert cache.get("k") is None
        assert cache.touch("k") is False
        assert cache.touch("k", None) is False

    def test_touch_without_a_time_takes_the_settings(self, make: MakeCache, let_pass: LetPass) -> None:
        cache = make(TIMEOUT=30)
        cache.set("k", 1, 20)
        cache.touch("k")
        let_pass(21)
        assert cache.get("k") == 1
        let_pass(9)
        assert cache.get("k") is None

    # Versions, prefixes, keys ---------------------------------------------------------------------------

    def test_versions_are_apart(self, cache: FailoverCache, make: MakeCache) -> None:
        second = make(VERSION=2)
        cache.set("k", 1)
        cache.set("k", 2, version=2)
        assert (cache.get("k"), cache.get("k", version=1), cache.get("k", version=2)) == (1, 1, 2)
        assert (second.get("k"), second.get("k", version=1)) == (2, 1)
        assert cache.get_many(["k"], version=2) == {"k": 2}
        assert not cache.add("k", 3, version=2)
        assert cache.add("k", 3, version=3)
        assert cache.incr("k", version=2) == 3
        assert cache.decr("k", version=1) == 0
        assert cache.has_key("k", version=3)
        assert not cache.has_key("k", version=4)
        assert cache.touch("k", version=4) is False
        assert cache.delete("k", version=2) is True
        cache.delete_many(["k"], version=3)
        cache.set_many({"a": 4}, version=4)
        assert cache.get_or_set("b", 5, version=4) == 5
        assert cache.get_many(["k", "a", "b"], version=4) == {"a": 4, "b": 5}
        assert [cache.get("k", version=version) for version in (1, 2, 3)] == [0, None, None]

    def test_incr_version_and_decr_version(self, cache: FailoverCache) -> None:
        cache.set("k", "v", version=2)
        assert cache.incr_version("k", version=2) == 3
        assert [cache.get("k", version=version) for version in (1, 2, 3)] == [None, None, "v"]
        assert cache.incr_version("k", delta=4, version=3) == 7
        assert cache.decr_version("k", version=7) == 6
        assert cache.decr_version("k", delta=5, version=6) == 1
        assert cache.get("k") == "v"
        assert cache.incr_version("k") == 2
        assert cache.get("k") is None
        with pytest.raises(ValueError, match="not found"):
            cache.incr_version("absent")
        with pytest.raises(ValueError, match="not found"):
            cache.decr_version("absent")

    def test_prefixes_are_apart(self, cache: FailoverCache, make: MakeCache) -> None:
        other = make(KEY_PREFIX="other")
        cache.set("k", 1)
        assert other.get("k") is None
        other.set("k", 2)
        assert (cache.get("k"), other.get("k")) == (1, 2)
        assert other.delete("k") is True
        assert cache.get("k") == 1

    @pytest.mark.parametrize("function", [key_with_star, f"{__name__}.key_with_star"])
    def test_an_applications_own_keys(self, make: MakeCache, function: object) -> None:
        cache = make(KEY_FUNCTION=function, KEY_PREFIX="p")
        assert cache.make_key("k") == "*k|1|p"
        cache.set_many({"k": 1, "a": 2})
        assert cache.get("k") == 1
        assert cache.get_many(["k", "a"]) == {"k": 1, "a": 2}
        assert make().get("k") is None
        cache.clear()
        assert cache.get("k") is None

    @pytest.mark.parametrize("key", ["ключ", "\U0001f600", "a*b?[c]", "a:b", "%s", 5, None, ("t",), "\ud800"])
    def test_any_key_will_do(self, cache: FailoverCache, key: object) -> None:
        cache.set(key, 1)
        assert cache.get(key) == 1
        assert cache.incr(key) == 2
        assert cache.get_many([key]) == {key: 2}
        cache.delete_many([key])
        assert not cache.has_key(key)

    @pytest.mark.parametrize("key", ["with space", "new\nline", "\x7f", "k" * 250])
    def test_keys_that_memcached_could_not_take_are_taken_with_a_warning(
        self, cache: FailoverCache, key: str
    ) -> None:
        calls: list[Callable[[], object]] = [
            lambda: cache.set(key, 1),
            lambda: cache.set_many({key: 1}),
            lambda: cache.add(key, 1),
            lambda: cache.get(key),
            lambda: cache.get_many([key]),
            lambda: cache.incr(key),
            lambda: cache.decr(key),
            lambda: cache.touch(key),
            lambda: cache.has_key(key),
            lambda: cache.delete(key),
            lambda: cache.delete_many([key]),
        ]
        for call in calls:
            with pytest.warns(CacheKeyWarning, match="errors if used with memcached"):
                call()

    # The asynchronous forms -----------------------------------------------------------------------------

    def test_the_asynchronous_forms_do_the_same(self, cache: FailoverCache) -> None:
        async def use() -> None:
            await cache.aset("n", 1)
            assert await cache.aincr("n") == 2
            assert await cache.adecr("n", 3) == -1
            assert await cache.aget("n") == -1
            assert await cache.aadd("n", 0) is False
            assert await cache.aset_many({"a": None}) == []
            assert await cache.aget_many(["a", "n", "absent"]) == {"a": None, "n": -1}
            assert await cache.aget_or_set("b", 5) == 5
            assert await cache.ahas_key("b")
            assert await cache.atouch("b", 60)
            assert await cache.aincr_version("b") == 2
            assert await cache.adecr_version("b", version=2) == 1
            assert await cache.adelete("b")
            await cache.adelete_many(["a"])
            await cache.aclear()
            assert await cache.aget_many(["a", "b", "n"]) == {}
            await cache.aclose()

        asyncio.run(use())

    def test_closing_it_closes_nothing(self, cache: FailoverCache) -> None:
        cache.set("k", 1)
        cache.close()
        assert cache.get("k") == 1
