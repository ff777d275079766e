"""People who log in to the admin, and stored results for them to act on."""

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client

from cachemgmt.api import CacheRequest, Directives, FillResult, Key, cache_engine

Store = Callable[..., Key]


@pytest.fixture(autouse=True)
def is_server(db: None, settings: Any) -> None:
    """This process answers customers: it sees what is stored."""
    settings.IS_SERVER = True


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def lead(db: None) -> Client:
    """Somebody of the group that the migrations made."""
    user = User.objects.create_user("lena", is_staff=True)
    user.groups.add(Group.objects.get(name="Support leads"))
    return logged_in(user)


@pytest.fixture
def viewer(db: None) -> Client:
    """Somebody who may see everything and change nothing."""
    user = User.objects.create_user("vera", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    return logged_in(user)


@pytest.fixture
def boss(db: None) -> Client:
    """A superuser."""
    return logged_in(User.objects.create_superuser("boss"))


@pytest.fixture
def store() -> Store:
    """Stores a result and returns its key."""

    def stored(
        question: str = "how long do refunds take",
        *,
        level: str = "response",
        collection: str = "sample",
        intent: str = "refund_policy",
        document: str = "refunds",
        tags: tuple[str, ...] = (),
        age_s: float = 0.0,
    ) -> Key:
        key = Key(level, collection, {"message": question}, "v1")
        made = FillResult(
            value={"text": "5 days"},
            cost_usd=Decimal("0.06"),
            question=question,
            keep_under=key,
            tags=(f"intent:{intent}", f"doc:{document}", *tags),
            made_at=time.time() - age_s,
        )
        _, is_stored = cache_engine().keep(key, made, CacheRequest(Directives()))
        assert is_stored
        return key

    return stored


def is_reused(key: Key) -> bool:
    """Whether the next question would be answered with what is stored under the key."""
    return bool(cache_engine().lookup([key], CacheRequest(Directives())))
