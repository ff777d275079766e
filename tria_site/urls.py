"""Every URL of the site."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from tria_site import openapi

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("chat.urls")),
    path("", include("cachemgmt.urls")),
    path("api/schema", openapi.schema, name="api-schema"),
    path("api/docs", openapi.docs, name="api-docs"),
    path("admin/", admin.site.urls),
]
handler400 = "chat.http.problems.bad_request"
handler404 = "chat.http.problems.not_found"
handler500 = "chat.http.problems.server_error"
