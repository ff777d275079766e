"""`cachemgmt.api` holds what other packages use, and nothing that none does."""

import ast
from pathlib import Path

from django.conf import settings

from cachemgmt import api

PACKAGES = ("access", "chat", "tria_site")


def imported_from_api(source: str) -> set[str]:
    """Return the names that a module imports from the API."""
    imports = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom))
    return {alias.name for node in imports if node.module == "cachemgmt.api" for alias in node.names}


def test_every_export_is_used_by_another_package() -> None:
    used: set[str] = set()
    for package in PACKAGES:
        for file in (Path(settings.BASE_DIR) / package).rglob("*.py"):
            used |= imported_from_api(file.read_text(encoding="utf-8"))
    assert used == set(api.__all__)
