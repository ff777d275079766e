"""The chat's addresses. None of the API's ends with a slash."""

from django.urls import path

from chat.http.page import chat_page
from chat.http.session_views import SessionView, page_session
from chat.http.views import ChatView, HealthView, LiveView, ReadyView

urlpatterns = [
    path("", chat_page, name="chat-page"),
    path("api/chat", ChatView.as_view(), name="chat"),
    path("api/sessions", SessionView.as_view(), name="sessions"),
    path("page-session", page_session, name="page-session"),
    path("api/health", HealthView.as_view(), name="health"),
    path("livez", LiveView.as_view(), name="livez"),
    path("readyz", ReadyView.as_view(), name="readyz"),
]
