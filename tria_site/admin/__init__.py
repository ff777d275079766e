"""The admin's pages that belong to no app: who may log in."""

from tria_site.admin import people

__all__ = ["people"]
