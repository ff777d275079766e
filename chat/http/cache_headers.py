"""The cache in HTTP's words: request directives in (RFC 9111), Cache-Status out (RFC 9211)."""

from cachemgmt.api import Directives
from chat.types import CacheReport

FORWARDED = {"expired": "stale", "no-cache": "request", "max-age": "request"}
"""RFC 9211's reasons for having gone on, by ours; anything else is a plain miss or a bypass."""


class BadDirective(ValueError):
    """A Cache-Control directive has no usable value."""


def read_directives(header: str) -> Directives:
    """Return what a request's Cache-Control asks for; directives we do not know are ignored, as RFC 9111
    says. Raises BadDirective for a max-age that is not a whole number of seconds."""
    names: dict[str, str] = {}
    for part in header.lower().split(","):
        name, _, value = part.strip().partition("=")
        names[name.strip()] = value.strip().strip('"')
    max_age_s = None
    if "max-age" in names:
        if not (names["max-age"].isascii() and names["max-age"].isdigit()) or len(names["max-age"]) > 10:
            raise BadDirective("max-age must be a whole number of seconds")
        max_age_s = float(names["max-age"])
    return Directives(
        no_cache="no-cache" in names,
        no_store="no-store" in names,
        max_age_s=max_age_s,
        only_if_cached="only-if-cached" in names,
    )


def cache_headers(report: CacheReport) -> dict[str, str]:
    """Return the response's headers that tell caches and people how the answer came about."""
    if report.status in {"hit", "stale"}:
        parts = ["hit", f"ttl={report.ttl_s}", f"detail={report.level}"]
    else:
        plain = "bypass" if report.status == "bypass" else "miss"
        parts = [f"fwd={FORWARDED.get(report.reason or '', plain)}"]
        if report.status == "collapsed":
            parts.append("collapsed")
        if report.is_stored:
            parts.append("stored")
        if report.reason:
            parts.append(f"detail={report.reason}")
    headers = {"Cache-Status": "; ".join(["tria", *parts]), "Cache-Control": "private, no-store"}
    if report.age_s is not None and report.status in {"hit", "stale", "collapsed"}:
        headers["Age"] = str(report.age_s)
    return headers
