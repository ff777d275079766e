"""The admin's menu, in words of people who lead support."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse

Entry = tuple[str, str, str, str]
"""Title, icon, name of the address, permission it needs."""

MENU: dict[str, tuple[Entry, ...]] = {
    "Cache": (
        ("Flush…", "mop", "cachemgmt_flushrecord_flush", "cachemgmt.flush_cache"),
        ("Flushes so far", "history", "cachemgmt_flushrecord_changelist", "cachemgmt.view_flushrecord"),
        ("How long answers last", "timer", "cachemgmt_ttlrule_changelist", "cachemgmt.view_ttlrule"),
        ("On or off", "power_settings_new", "cachemgmt_clock_changelist", "cachemgmt.view_clock"),
    ),
    "Answering ahead": (
        (
            "Warming lists",
            "local_fire_department",
            "cachemgmt_warminglist_changelist",
            "cachemgmt.view_warminglist",
        ),
        ("Warming runs", "fact_check", "cachemgmt_warmingrun_changelist", "cachemgmt.view_warmingrun"),
    ),
    "Policies": (
        ("Documents", "description", "chat_document_changelist", "chat.view_document"),
        ("Collections", "folder_open", "chat_collection_changelist", "chat.view_collection"),
    ),
    "Books": (
        ("Counts by minute", "bar_chart", "cachemgmt_metricbucket_changelist", "cachemgmt.view_metricbucket"),
        ("Model calls", "receipt_long", "cachemgmt_llmcall_changelist", "cachemgmt.view_llmcall"),
        ("Model prices", "sell", "cachemgmt_modelprice_changelist", "cachemgmt.view_modelprice"),
    ),
    "People": (
        ("API keys", "key", "access_apikey_changelist", "access.view_apikey"),
        ("Users", "person", "auth_user_changelist", "auth.view_user"),
        ("Groups", "group", "auth_group_changelist", "auth.view_group"),
    ),
}


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the menu for unfold: only what this person may open, one entry marked as the current one."""
    entries = [
        {
            "title": title,
            "separator": True,
            "items": [item(request, *entry) for entry in items if request.user.has_perm(entry[3])],
        }
        for title, items in MENU.items()
    ]
    first = {"title": "Dashboard", "icon": "dashboard", "link": reverse("admin:index")}
    return [{"items": [first]}, *(group for group in entries if group["items"])]


def item(request: HttpRequest, title: str, icon: str, address: str, _permission: str) -> dict[str, Any]:
    """Return one entry. The page that flushes stands below the list of flushes, and is its own entry."""
    link = reverse(f"admin:{address}")
    flush_link = reverse("admin:cachemgmt_flushrecord_flush")
    is_elsewhere = request.path.startswith(flush_link) and link != flush_link
    return {
        "title": title,
        "icon": icon,
        "link": link,
        "active": request.path.startswith(link) and not is_elsewhere,
    }
