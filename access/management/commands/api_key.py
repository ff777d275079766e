"""`manage.py api_key create|list|revoke`: API keys on the command line, the first one above all."""

from argparse import ArgumentParser, ArgumentTypeError
from datetime import timedelta
from getpass import getuser
from typing import Any

from django.core.management import CommandError
from django.core.management.base import BaseCommand
from django.utils import timezone

from access.caller import RIGHTS
from access.identity import signing_secret
from access.keys import issue
from access.models import ApiKey
from cachemgmt.api import known, let_servers_learn


def days(text: str) -> int:
    """Return the number of days; raise ArgumentTypeError."""
    if not text.isdigit() or not 1 <= int(text) <= 36_500:
        raise ArgumentTypeError(f"{text!r} is no number of days from 1 to 36500")
    return int(text)


class Command(BaseCommand):
    help = "Make, list or revoke API keys. A key's text is told once, when it is made."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        create = actions.add_parser("create", help="make a key, and print it")
        create.add_argument("name", help="who uses it")
        create.add_argument(
            "--right",
            action="append",
            choices=list(RIGHTS),
            help="; ".join(f"{right}: {told}" for right, told in RIGHTS.items()) + ". Default: ask",
        )
        create.add_argument("--collection", action="append", default=[], help="one it may ask; default: all")
        create.add_argument("--days", type=days, help="after which it expires; default: never")
        actions.add_parser("list", help="print the keys, without what is secret")
        revoke = actions.add_parser("revoke", help="take a key out of force, for good")
        revoke.add_argument("key_id", help="the 12 letters and digits after tria_")

    def handle(self, *args: Any, **options: Any) -> None:
        getattr(self, f"_{options['action']}")(options)

    def _create(self, options: dict[str, Any]) -> None:
        unknown = sorted(set(options["collection"]) - known().revisions.keys())
        if unknown:
            raise CommandError(f"There is no collection {', '.join(unknown)}")
        rights = options["right"] or ["ask"]
        expires_at = timezone.now() + timedelta(days=options["days"]) if options["days"] else None
        row = ApiKey(
            name=options["name"],
            collections=sorted(set(options["collection"])),
            created_by=f"{getuser()} (command)",
            expires_at=expires_at,
            **{f"may_{right}": right in rights for right in RIGHTS},
        )
        issued = issue(row)
        let_servers_learn()
        self.stdout.write(issued.text)
        self.stderr.write("This key is not shown again. Send it as: Authorization: Bearer <key>")
        if "trusted" not in rights:
            secret = signing_secret(row.key_id)
            self.stderr.write(f"Its secret for signing customers' ids (HMAC-SHA256): {secret}")

    def _list(self, _options: dict[str, Any]) -> None:
        for row in ApiKey.objects.all():
            rights = ",".join(row.rights)
            collections = ",".join(row.collections) or "all collections"
            used = f"used {row.last_used_at:%F %T}" if row.last_used_at else "never used"
            self.stdout.write(f"{row.key_id}  {row.state:<8}  {row.name}  {rights}  {collections}  {used}")

    def _revoke(self, options: dict[str, Any]) -> None:
        row = ApiKey.objects.filter(key_id=options["key_id"]).first()
        if row is None:
            raise CommandError(f"There is no key {options['key_id']}")
        row.revoke()
        let_servers_learn()
        self.stdout.write(f"{row.name} ({row.key_id}) is revoked.")
