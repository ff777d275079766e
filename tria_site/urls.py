"""Every URL of the site."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("chat.urls")),
    path("", include("cachemgmt.urls")),
    path("admin/", admin.site.urls),
]
handler404 = "chat.problems.not_found"
handler500 = "chat.problems.server_error"
