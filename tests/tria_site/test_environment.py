"""The environment is checked at the start, and messages name the variable."""

import os
import re
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from tria_site.environment import BASE_DIR, Environment, default_workers, read_environment

PACKAGES = ("tria_site", "chat", "access", "cachemgmt", "adminkit")
PRODUCTION = {
    "TRIA_ENV": "production",
    "SECRET_KEY": "k" * 50,
    "ALLOWED_HOSTS": "tria.example",
    "DATABASE_URL": "postgres://tria:secret@db/tria",
    "DEFAULT_COLLECTION": "policies",
    "OPENAI_API_KEY": "sk-abc",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without any of our variables, and no .env file."""
    for name in Environment.model_fields:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(Environment.model_config, "env_file", None)
    return monkeypatch


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("TRIA_ENV", "prod", "'development' or 'production'"),
        ("PORT", "80a", "integer"),
        ("PORT", "70000", "less than or equal to 65535"),
        ("REDIS_PORT", "tcp://10.0.0.1:6379", "integer"),
        ("REDIS_URL", "localhost:6379", "redis|rediss|unix"),
        ("DATABASE_URL", "mysql://x", "sqlite|postgres|postgresql"),
        ("LLM_PROVIDER", "claude", "'auto', 'openai' or 'extractive'"),
        ("EMBEDDER", "bert", "'auto', 'minilm', 'openai' or 'hashed'"),
        ("CACHE_ENABLED", "maybe", "boolean"),
        ("WEB_WORKERS", "0", "greater than or equal to 1"),
        ("SECRET_KEY", "short", "at least 32 characters"),
        ("DEFAULT_COLLECTION", "My Policies", "[a-z0-9]"),
        ("LOG_LEVEL", "verbose", "'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
        ("CHROMA_URL", "chroma:8000", "https?"),
        ("OPENAI_TIMEOUT_S", "-1", "greater than 0"),
        ("REDIS_SENTINELS", "one:26379,two", "host:port for each Sentinel"),
        ("REDIS_SENTINELS", "redis://one:26379", "host:port for each Sentinel"),
        ("REDIS_SENTINEL_MASTER", "my master", "[A-Za-z0-9._-]"),
    ],
)
def test_a_wrong_value_stops_the_start_with_its_name_and_what_is_allowed(
    environment: pytest.MonkeyPatch, name: str, value: str, allowed: str
) -> None:
    environment.setenv(name, value)
    with pytest.raises(ImproperlyConfigured, match=rf"{name}: .*{re.escape(allowed)}"):
        read_environment()


def test_every_wrong_variable_is_named_at_once(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("PORT", "x")
    environment.setenv("LLM_PROVIDER", "y")
    with pytest.raises(ImproperlyConfigured, match=r"(?s)LLM_PROVIDER.*PORT|PORT.*LLM_PROVIDER"):
        read_environment()


@pytest.mark.parametrize("name", ["REDIS_URL", "DATABASE_URL", "SECRET_KEY"])
def test_a_value_that_may_hold_a_secret_is_not_repeated(environment: pytest.MonkeyPatch, name: str) -> None:
    environment.setenv(name, "x:hunter2")
    with pytest.raises(ImproperlyConfigured) as caught:
        read_environment()
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("mistyped", "meant"), [("CACHE_ENABELD", "CACHE_ENABLED"), ("REDIS_ULR", "REDIS_URL")]
)
@pytest.mark.parametrize("where", ["environment", "file"])
def test_a_mistyped_name_is_caught(
    environment: pytest.MonkeyPatch, tmp_path: Path, mistyped: str, meant: str, where: str
) -> None:
    if where == "environment":
        environment.setenv(mistyped, "0")
    else:
        use_file(environment, tmp_path, f"{mistyped}=0\n")
    with pytest.raises(ImproperlyConfigured, match=f"{mistyped} is not a setting; did you mean {meant}"):
        read_environment()


def use_file(environment: pytest.MonkeyPatch, folder: Path, text: str) -> None:
    """Have this text as the .env file."""
    (folder / ".env").write_text(text)
    environment.setitem(Environment.model_config, "env_file", folder / ".env")


def test_what_the_compose_file_reads_besides_may_stand_in_the_file(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    example = (BASE_DIR / ".env.example").read_text()
    names = re.findall(r"^#? ?([A-Z_]+)=", example, flags=re.MULTILINE)
    assert "POSTGRES_PASSWORD" in names
    theirs = [name for name in names if name not in Environment.model_fields]
    use_file(environment, tmp_path, "".join(f"{name}=something\n" for name in theirs))
    read_environment()


def test_other_programs_variables_are_let_be(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("REDIS_PORT_6379_TCP_ADDR", "10.0.0.1")
    environment.setenv("OPENAI_ORG_ID", "org")
    assert read_environment().REDIS_PORT == 6379


def test_empty_means_not_set(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("REDIS_URL", "")
    environment.setenv("PORT", "")
    assert read_environment().PORT == 8003


def test_more_than_one_worker_needs_redis(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("WEB_WORKERS", "2")
    with pytest.raises(ImproperlyConfigured, match="WEB_WORKERS is more than 1 without Redis"):
        read_environment()
    environment.setenv("REDIS_HOST", "localhost")
    assert read_environment().WEB_WORKERS == 2


def test_with_redis_there_are_as_many_workers_as_processors_and_no_more_than_four(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert (default_workers(has_redis=True), default_workers(has_redis=False)) == (2, 1)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert default_workers(has_redis=True) == 4
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert default_workers(has_redis=True) == 1


def test_sentinels_are_addresses_and_stand_for_redis(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("REDIS_SENTINELS", "one:26379, 10.0.0.2:26380")
    environment.setenv("WEB_WORKERS", "2")
    assert read_environment().REDIS_SENTINELS == [("one", 26379), ("10.0.0.2", 26380)]


def test_only_one_way_to_redis_is_taken(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("REDIS_SENTINELS", "one:26379")
    environment.setenv("REDIS_URL", "redis://localhost/0")
    with pytest.raises(ImproperlyConfigured, match="REDIS_URL and REDIS_SENTINELS are set together"):
        read_environment()


def test_a_password_for_sentinels_needs_sentinels(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("REDIS_SENTINEL_PASSWORD", "secret")
    with pytest.raises(ImproperlyConfigured, match="REDIS_SENTINEL_PASSWORD is set without REDIS_SENTINELS"):
        read_environment()


@pytest.mark.parametrize("name", ["LLM_PROVIDER", "EMBEDDER"])
def test_openai_needs_a_key(environment: pytest.MonkeyPatch, name: str) -> None:
    environment.setenv(name, "openai")
    with pytest.raises(ImproperlyConfigured, match=f"OPENAI_API_KEY is missing: {name}=openai"):
        read_environment()


def test_production_starts_with_everything_set(environment: pytest.MonkeyPatch) -> None:
    for name, value in PRODUCTION.items():
        environment.setenv(name, value)
    assert read_environment().TRIA_ENV == "production"


@pytest.mark.parametrize("missing", sorted(set(PRODUCTION) - {"TRIA_ENV"}))
def test_production_refuses_each_unsafe_default(environment: pytest.MonkeyPatch, missing: str) -> None:
    for name, value in PRODUCTION.items():
        if name != missing:
            environment.setenv(name, value)
    with pytest.raises(ImproperlyConfigured, match=f"{missing} is missing"):
        read_environment()


@pytest.mark.parametrize(
    ("name", "value"), [("ALLOWED_HOSTS", "*"), ("DEFAULT_COLLECTION", "sample"), ("WARM_ON_START", "1")]
)
def test_production_refuses_what_is_for_development(
    environment: pytest.MonkeyPatch, name: str, value: str
) -> None:
    for key, safe in {**PRODUCTION, name: value}.items():
        environment.setenv(key, safe)
    with pytest.raises(ImproperlyConfigured, match=name):
        read_environment()


def test_the_example_file_lists_exactly_what_is_read() -> None:
    lines = Path(BASE_DIR / ".env.example").read_text(encoding="utf-8").splitlines()
    listed = [line.partition("=")[0] for line in lines if line and not line.startswith("#")]
    composed = re.findall(r"(?<!\$)\$\{([A-Z_]+)", (BASE_DIR / "docker-compose.yml").read_text("utf-8"))
    assert sorted(listed) == sorted({*Environment.model_fields, *composed})


def test_the_example_file_can_be_used_as_it_is(environment: pytest.MonkeyPatch) -> None:
    environment.setitem(Environment.model_config, "env_file", BASE_DIR / ".env.example")
    assert read_environment().PORT == 8003


def test_one_module_reads_the_environment() -> None:
    sources = [path for folder in PACKAGES for path in (BASE_DIR / folder).rglob("*.py")]
    readers = {
        path.name
        for path in sources
        if re.search(r"os\.environ\b(?!\.setdefault)|os\.getenv", path.read_text("utf-8"))
    }
    assert readers == {"environment.py"}
