"""The cache's addresses."""

from django.urls import path

from cachemgmt.views import CacheHealthView, MetricsView

urlpatterns = [
    path("api/cache/metrics", MetricsView.as_view(), name="cache-metrics"),
    path("api/cache/health", CacheHealthView.as_view(), name="cache-health"),
]
