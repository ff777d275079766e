"""What can be set from outside, read from the environment and .env, and checked. Nothing else reads it."""

import difflib
import os
import re
from pathlib import Path
from typing import Annotated, Literal

from django.core.exceptions import ImproperlyConfigured
from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, DotEnvSettingsSource, NoDecode, SettingsConfigDict

BASE_DIR = Path(__file__).resolve().parent.parent
MOST_WORKERS = 4
"""The most that are started unasked. Each takes 300 MB, mostly for the embedding model's weights."""


class Environment(BaseSettings):
    """What can be set from outside, with its type, range and default. Empty means not set."""

    model_config = SettingsConfigDict(
        env_file=BASE_DIR / ".env", extra="ignore", env_ignore_empty=True, case_sensitive=True
    )

    TRIA_ENV: Literal["development", "production"] = "development"
    TRIA_DATA_DIR: Path = BASE_DIR / "var"
    SECRET_KEY: str | None = Field(default=None, min_length=32)
    ALLOWED_HOSTS: Annotated[list[str], NoDecode] | None = None
    CSRF_TRUSTED_ORIGINS: Annotated[list[str], NoDecode] | None = None
    DATABASE_URL: str | None = Field(default=None, pattern=r"^(sqlite|postgres|postgresql)://")
    DATABASE_TIMEOUT_S: float = Field(default=15.0, ge=1, le=600)
    REDIS_URL: str | None = Field(default=None, pattern=r"^(redis|rediss|unix)://")
    REDIS_HOST: str | None = None
    REDIS_PORT: int = Field(default=6379, ge=1, le=65535)
    REDIS_PASSWORD: str | None = None
    REDIS_DB: int = Field(default=0, ge=0)
    REDIS_SENTINELS: Annotated[list[tuple[str, int]], NoDecode] | None = None
    REDIS_SENTINEL_MASTER: str = Field(default="mymaster", pattern=r"^[A-Za-z0-9._-]+$")
    REDIS_SENTINEL_PASSWORD: str | None = None
    CHROMA_URL: str | None = Field(default=None, pattern=r"^https?://")
    LLM_PROVIDER: Literal["auto", "openai", "extractive"] = "auto"
    OPENAI_API_KEY: str | None = None
    OPENAI_BASE_URL: str = Field(default="https://api.openai.com/v1", pattern=r"^https?://")
    OPENAI_MODEL_CLASSIFY: str = "gpt-4.1-mini"
    OPENAI_MODEL_GENERATE: str = "gpt-4.1"
    OPENAI_MODEL_VALIDATE: str = "gpt-4.1-mini"
    OPENAI_MODEL_EMBED: str = "text-embedding-3-small"
    OPENAI_TIMEOUT_S: float = Field(default=30.0, gt=0, le=600)
    EMBEDDER: Literal["auto", "minilm", "openai", "hashed"] = "auto"
    DEFAULT_COLLECTION: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9-]{0,49}$")
    CACHE_ENABLED: bool = True
    REQUIRE_API_KEY: bool | None = None
    CHAT_PAGE: bool | None = None
    SESSION_TTL_S: int = Field(default=900, ge=60, le=86_400)
    ASKS_PER_MINUTE_PER_KEY: int = Field(default=3000, ge=0)
    ASKS_PER_MINUTE_PER_ADDRESS: int = Field(default=30, ge=0)
    CALLS_PER_HOUR_PER_KEY: int = Field(default=5000, ge=0)
    TRUSTED_PROXIES: int = Field(default=0, ge=0, le=10)
    WARM_ON_START: bool = False
    LLM_SLOTS: int | None = Field(default=None, ge=2, le=1024)
    FILL_TIMEOUT_S: float = Field(default=60.0, ge=1, le=600)
    WEB_WORKERS: int | None = Field(default=None, ge=1, le=64)
    WEB_THREADS: int = Field(default=512, ge=8, le=4096)
    PORT: int = Field(default=8003, ge=1, le=65535)
    LOG_LEVEL: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @field_validator("ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS", mode="before")
    @classmethod
    def split_commas(cls, value: object) -> object:
        return (
            [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
        )

    @field_validator("REDIS_SENTINELS", mode="before")
    @classmethod
    def split_addresses(cls, value: object) -> object:
        parts = cls.split_commas(value)
        if not isinstance(parts, list):
            return value
        addresses = [re.fullmatch(r"([^\s@/]+):([0-9]{1,5})", str(part)) for part in parts]
        if not parts or not all(addresses):
            raise ValueError("give host:port for each Sentinel, comma-separated")
        return [(address[1], int(address[2])) for address in addresses if address]


def read_environment() -> Environment:
    """Return the checked environment; raise ImproperlyConfigured naming every variable that is wrong."""
    known = Environment.model_fields
    complaints = []
    for name in sorted({*DotEnvSettingsSource(Environment).env_vars, *os.environ} - known.keys()):
        near = [one for one in known if sorted(one) == sorted(name)]  # letters have changed places
        near += difflib.get_close_matches(name, known, n=1, cutoff=0.9)
        if near:
            complaints.append(f"{name} is not a setting; did you mean {near[0]}?")
    try:
        found = Environment()
    except ValidationError as error:
        for item in error.errors():
            name = str(item["loc"][0])
            is_secret = any(word in name for word in ("KEY", "PASSWORD", "URL"))
            shown = "" if is_secret else f" (got {item['input']!r})"
            complaints.append(f"{name}: {item['msg']}{shown}")
        raise ImproperlyConfigured("; ".join(complaints)) from None
    complaints += unsafe_in_production(found) if found.TRIA_ENV == "production" else []
    ways = [name for name in ("REDIS_URL", "REDIS_HOST", "REDIS_SENTINELS") if getattr(found, name)]
    if len(ways) > 1:
        complaints.append(f"{' and '.join(ways)} are set together: set one of them")
    if found.REDIS_SENTINEL_PASSWORD and not found.REDIS_SENTINELS:
        complaints.append("REDIS_SENTINEL_PASSWORD is set without REDIS_SENTINELS: set both or neither")
    if (found.WEB_WORKERS or 1) > 1 and not ways:
        complaints.append(
            "WEB_WORKERS is more than 1 without Redis: set REDIS_URL, or leave WEB_WORKERS at 1"
        )
    if found.REQUIRE_API_KEY and not found.SECRET_KEY:
        complaints.append("SECRET_KEY is missing: with REQUIRE_API_KEY=1 it signs sessions")
    if found.LLM_PROVIDER == "openai" and not found.OPENAI_API_KEY:
        complaints.append("OPENAI_API_KEY is missing: LLM_PROVIDER=openai needs it")
    if found.EMBEDDER == "openai" and not found.OPENAI_API_KEY:
        complaints.append("OPENAI_API_KEY is missing: EMBEDDER=openai needs it")
    if complaints:
        raise ImproperlyConfigured("; ".join(complaints))
    return found


def unsafe_in_production(found: Environment) -> list[str]:
    """Return a complaint for each development default that must not reach production."""
    rules = [
        (not found.SECRET_KEY, "SECRET_KEY is missing: production needs one of at least 32 characters"),
        (
            not found.ALLOWED_HOSTS,
            "ALLOWED_HOSTS is missing: name the hosts that serve this, comma-separated",
        ),
        ("*" in (found.ALLOWED_HOSTS or []), "ALLOWED_HOSTS is '*': name the hosts that serve this"),
        (
            not found.DATABASE_URL,
            "DATABASE_URL is missing: production does not use the development's SQLite file",
        ),
        (
            found.DEFAULT_COLLECTION in {None, "sample"},
            "DEFAULT_COLLECTION is missing or 'sample': production needs a collection of your own policies",
        ),
        (
            found.LLM_PROVIDER == "auto" and not found.OPENAI_API_KEY,
            "OPENAI_API_KEY is missing: set it, or LLM_PROVIDER=extractive to quote policies without an LLM",
        ),
        (
            found.REQUIRE_API_KEY is False,
            "REQUIRE_API_KEY=0 is for development: in production whoever reaches the port could ask, and pay",
        ),
        (found.WARM_ON_START, "WARM_ON_START is for development: warm production with manage.py warm_cache"),
    ]
    return [message for is_wrong, message in rules if is_wrong]


def default_workers(*, has_redis: bool) -> int:
    """Return how many processes answer. Threads share one interpreter, processes do not; but processes need a
    cache in common."""
    return min(os.cpu_count() or 1, MOST_WORKERS) if has_redis else 1
