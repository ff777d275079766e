"""The cache's pages in the admin, for people who lead support and are no engineers."""

from cachemgmt.admin import books, clock, flushes, rules, runs, warming_lists

__all__ = ["books", "clock", "flushes", "rules", "runs", "warming_lists"]
