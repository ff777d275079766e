"""Django's settings, made of what `environment` has read and checked."""

import os
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import dj_database_url
import django_stubs_ext
from django.core.exceptions import ImproperlyConfigured
from django.templatetags.static import static

from tria_site.environment import BASE_DIR, default_workers, read_environment
from tria_site.redis_cache import redis_cache, sentinel_cache

# Before NumPy is loaded. Its OpenBLAS has threads of its own, and breaks where hundreds of ours multiply.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
django_stubs_ext.monkeypatch()  # forms and admin classes can be subscripted with their model


ENV = read_environment()
IS_PRODUCTION = ENV.TRIA_ENV == "production"
DATA_DIR = ENV.TRIA_DATA_DIR
try:
    DATA_DIR.mkdir(parents=True, exist_ok=True)
except OSError as error:
    raise ImproperlyConfigured(f"TRIA_DATA_DIR: cannot be made: {error}") from None
PORT = ENV.PORT
WEB_THREADS = ENV.WEB_THREADS
FILL_TIMEOUT_S = ENV.FILL_TIMEOUT_S
REQUIRE_API_KEY = IS_PRODUCTION if ENV.REQUIRE_API_KEY is None else ENV.REQUIRE_API_KEY
CHAT_PAGE = not IS_PRODUCTION if ENV.CHAT_PAGE is None else ENV.CHAT_PAGE
SESSION_TTL_S = ENV.SESSION_TTL_S
ASKS_PER_MINUTE_PER_KEY = ENV.ASKS_PER_MINUTE_PER_KEY
ASKS_PER_MINUTE_PER_ADDRESS = ENV.ASKS_PER_MINUTE_PER_ADDRESS
CALLS_PER_HOUR_PER_KEY = ENV.CALLS_PER_HOUR_PER_KEY
TRUSTED_PROXIES = ENV.TRUSTED_PROXIES
WARM_ON_START = ENV.WARM_ON_START
IS_SERVER = False
"""Whether this process answers customers: tria_site.server says so. Commands do not."""
CACHE_ENABLED = ENV.CACHE_ENABLED
DEFAULT_COLLECTION = ENV.DEFAULT_COLLECTION or "sample"

LLM_PROVIDER = ENV.LLM_PROVIDER
if LLM_PROVIDER == "auto":
    LLM_PROVIDER = "openai" if ENV.OPENAI_API_KEY else "extractive"
# What computes here needs processors, not patience: more threads would only take the hits' time.
LLM_SLOTS = ENV.LLM_SLOTS or (32 if LLM_PROVIDER == "openai" else max(2, os.cpu_count() or 2))
OPENAI: dict[str, Any] = {
    "api_key": ENV.OPENAI_API_KEY,
    "base_url": ENV.OPENAI_BASE_URL,
    "timeout_s": ENV.OPENAI_TIMEOUT_S,
    "models": {
        "classify": ENV.OPENAI_MODEL_CLASSIFY,
        "generate": ENV.OPENAI_MODEL_GENERATE,
        "validate": ENV.OPENAI_MODEL_VALIDATE,
        "embed": ENV.OPENAI_MODEL_EMBED,
    },
}
EMBEDDER = ENV.EMBEDDER
CHROMA_URL = ENV.CHROMA_URL
CHROMA_DIR = DATA_DIR / "chroma"

# Django ------------------------------------------------------------------------------------------------
SECRET_KEY = ENV.SECRET_KEY or "for-development-on-this-machine-only-production-refuses-it"
DEBUG = False
ALLOWED_HOSTS = ENV.ALLOWED_HOSTS or ["localhost", "127.0.0.1", "[::1]", "testserver"]
CSRF_TRUSTED_ORIGINS = ENV.CSRF_TRUSTED_ORIGINS or []
ROOT_URLCONF = "tria_site.urls"
WSGI_APPLICATION = "tria_site.wsgi.application"
APPEND_SLASH = True
LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "axes",
    "rest_framework",
    "corsheaders",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "cachemgmt",
    "access",
    "chat",
    "tria_site",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "tria_site.csp.ContentSecurityPolicyMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]
# What the API passes instead: it has no sessions, forms, messages, log-ins or files.
API_PATHS = r"/api/(?!docs$|schema$)|/(?:metrics|livez|readyz)$"
API_MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "tria_site.csp.ContentSecurityPolicyMiddleware",
    "tria_site.handlers.CorsWithOrigin",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
# Static files are served from where they are: there is nothing to collect, and no STATIC_ROOT.
WHITENOISE_USE_FINDERS = True

DATABASE_TIMEOUT_S = ENV.DATABASE_TIMEOUT_S
DATABASES = {"default": dj_database_url.parse(ENV.DATABASE_URL or f"sqlite:///{DATA_DIR / 'tria.sqlite3'}")}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["OPTIONS"] = {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
else:
    from tria_site.postgresql.pool import POOL  # psycopg, which SQLite need not wait for

    DATABASES["default"]["ENGINE"] = "tria_site.postgresql"
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = (
        True  # those that a restart of PostgreSQL has ended are not used
    )
    DATABASES["default"].setdefault("OPTIONS", {}).update(pool=POOL, connect_timeout=2)

REDIS_URL = ENV.REDIS_URL
"""None: no Redis. With Sentinels, its host is the name under which they know the master."""
REDIS_SENTINELS = ENV.REDIS_SENTINELS
secret = f":{quote(ENV.REDIS_PASSWORD, safe='')}@" if ENV.REDIS_PASSWORD else ""
if ENV.REDIS_HOST:
    REDIS_URL = f"redis://{secret}{ENV.REDIS_HOST}:{ENV.REDIS_PORT}/{ENV.REDIS_DB}"
if REDIS_SENTINELS:
    REDIS_URL = f"redis://{secret}{ENV.REDIS_SENTINEL_MASTER}/{ENV.REDIS_DB}"
WEB_WORKERS = ENV.WEB_WORKERS or default_workers(has_redis=REDIS_URL is not None)
CACHES: dict[str, dict[str, object]] = {
    # For throttles and sessions. LOCATION: the alias whose connections it uses; empty: this process's memory.
    "default": {
        "BACKEND": "cachemgmt.django_cache.failover_cache.FailoverCache",
        "LOCATION": "tria" if REDIS_URL else "",
        "OPTIONS": {"MAX_ENTRIES": 10_000},
    },
}
SESSION_ENGINE = "django.contrib.sessions.backends.cached_db"
if REDIS_URL and REDIS_SENTINELS:
    CACHES["tria"] = sentinel_cache(
        REDIS_URL,
        REDIS_SENTINELS,
        master=ENV.REDIS_SENTINEL_MASTER,
        password=ENV.REDIS_SENTINEL_PASSWORD,
    )
elif REDIS_URL:
    CACHES["tria"] = redis_cache(REDIS_URL)

REST_FRAMEWORK = {
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_AUTHENTICATION_CLASSES": ["access.authentication.BearerAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["access.authentication.HasRight"],
    "DEFAULT_THROTTLE_CLASSES": ["access.authentication.AskThrottle"],
    "UNAUTHENTICATED_USER": None,
    "EXCEPTION_HANDLER": "chat.http.problems.problem_response",
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "chat.http.negotiation.JsonAlone",
    "DEFAULT_METADATA_CLASS": None,  # OPTIONS tells nothing that /api/schema does not
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "TRIA",
    "DESCRIPTION": "Answers from a company's policies, with their sources, and never paid for twice.",
    "VERSION": "0.1.0",
    "OAS_VERSION": "3.1.1",
    "TAGS": [{"name": "Answers"}, {"name": "Operation"}],
    "POSTPROCESSING_HOOKS": ["tria_site.openapi.complete"],
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 256 * 1024

UNFOLD = {
    "SITE_TITLE": "TRIA",
    "SITE_HEADER": "TRIA",
    "SITE_SUBHEADER": "Answers from your policies",
    "SITE_SYMBOL": "forum",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda _request: static("chat/icon.svg")}
    ],
    "STYLES": [lambda _request: static("admin_tria/admin.css")],
    "DASHBOARD_CALLBACK": "cachemgmt.admin.dashboard.dashboard",
    "SIDEBAR": {"navigation": "tria_site.admin.navigation.navigation"},
}

# Which origins may ask is told by the collections: access.origins. No cookies: a page sends its session.
CORS_URLS_REGEX = r"^/api/chat$"
CORS_ALLOW_METHODS = ["POST", "OPTIONS"]
CORS_ALLOW_HEADERS = ["accept", "authorization", "cache-control", "content-type"]
CORS_EXPOSE_HEADERS = ["age", "cache-status", "retry-after", "www-authenticate"]
CORS_PREFLIGHT_MAX_AGE = 600

# Security ----------------------------------------------------------------------------------------------
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = IS_PRODUCTION
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if IS_PRODUCTION else None
# A probe, or Prometheus, inside the network asks by plain HTTP.
SECURE_REDIRECT_EXEMPT = [r"^livez$", r"^readyz$", r"^api/health$", r"^api/cache/health$", r"^metrics$"]
SECURE_HSTS_SECONDS = 31_536_000 if IS_PRODUCTION else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = IS_PRODUCTION
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",  # first, so that a locked out address costs no password's hashing
    "django.contrib.auth.backends.ModelBackend",
]
# Log-ins to the admin: so many failures from one address, with no longer pause between two of them than the
# cool-off, shut it out for as long. Counted in the default cache; axes' tables stay empty.
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = ["ip_address"]
AXES_HANDLER = "tria_site.login.FailureCounter"
AXES_CLIENT_IP_CALLABLE = "access.address.client_address"
AXES_LOCKOUT_CALLABLE = "tria_site.login.locked_out"
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False  # then its log names the address alone: people type passwords where the name belongs
AXES_SENSITIVE_PARAMETERS = ["username"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "tria_site.logs.LineFormatter",
            "fmt": "%(asctime)s %(levelname)s %(name)s: %(message)s",
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": ENV.LOG_LEVEL},
    "loggers": {
        # At INFO these print request bodies' sizes, URLs and retries of every provider call.
        **{
            name: {"level": "WARNING"}
            for name in ("httpx", "httpx2", "httpcore", "openai", "chromadb", "urllib3")
        },
        # At WARNING it tells of every single connection that a database refuses while it is out…
        "psycopg.pool": {"level": "ERROR"},
        # … and this of everybody who asks without leave, and of each 5xx that `problems` has told of.
        "django.request": {"level": "CRITICAL"},
    },
}
