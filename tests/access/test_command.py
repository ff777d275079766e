"""`manage.py api_key`."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from access.keys import SHAPE
from access.models import ApiKey
from tests.access.conftest import ask, problem

pytestmark = pytest.mark.usefixtures("shop")


def run(*arguments: str) -> tuple[str, str]:
    """Return what the command prints, and what it tells beside it."""
    out, err = StringIO(), StringIO()
    call_command("api_key", *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_a_key_is_made_used_listed_and_revoked() -> None:
    out, err = run("create", "help desk", "--right", "ask", "--collection", "shop", "--days", "30")
    key = out.strip()
    assert SHAPE.fullmatch(key)
    assert "not shown again" in err
    assert "signing" in err
    assert ask(key).status_code == 200
    row = ApiKey.objects.get()
    listed, _ = run("list")
    assert row.key_id in listed
    assert "in force" in listed
    assert key.rpartition("_")[2] not in listed
    run("revoke", row.key_id)
    assert problem(ask(key)) == (401, "key-unknown", None)
    assert "revoked" in run("list")[0]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("create", "x", "--collection", "nowhere"), "nowhere"),
        (("create", "x", "--right", "rule"), "rule"),
        (("create", "x", "--days", "0"), "0"),
        (("revoke", "000000000000"), "000000000000"),
    ],
)
def test_what_is_wrong_is_named(arguments: tuple[str, ...], named: str) -> None:
    with pytest.raises(CommandError, match=named):
        run(*arguments)
    assert not ApiKey.objects.exists()
