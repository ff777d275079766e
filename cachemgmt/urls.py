"""The cache's addresses."""

from django.urls import path

from cachemgmt.books.prometheus import PrometheusView
from cachemgmt.http.views import CacheHealthView, MetricsView

urlpatterns = [
    path("api/cache/metrics", MetricsView.as_view(), name="cache-metrics"),
    path("api/cache/health", CacheHealthView.as_view(), name="cache-health"),
    path("metrics", PrometheusView.as_view(), name="prometheus"),
]
