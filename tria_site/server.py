"""What makes a worker process a server: it loads its code, starts its threads, and gets ready."""

import os
import signal
import time
from contextlib import suppress
from threading import Thread

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.template import engines
from django.urls import resolve, reverse

from tria_site.handlers import Application

PARENT_SEEN_EVERY_S = 0.5


def application() -> Application:
    """Return the WSGI application of a process that answers customers.

    granian calls this in each worker, in the worker's only thread, before the worker opens the port.
    """
    from tria_site.wsgi import application  # sets Django up, which all that follows needs

    become_server()
    return application


def become_server() -> None:
    """Make this process, in which Django is set up, one that answers customers."""
    settings.IS_SERVER = True
    load_code()
    start_threads()


def load_code() -> None:
    """Import what the configured provider, embedder and index need, and build what all threads share.

    Must run before any other thread does. Python lets one thread see a module that another is still
    importing: openai, for one, looks into a half imported httpx (`sys.modules`), and fails.
    """
    from access.limits import address_rates, key_rates, wrong_rates
    from cachemgmt.books.prometheus import registry
    from chat.assembly import pipeline
    from chat.errors import ChatError

    resolve(reverse("chat"))  # imports every view and admin page
    engines.all()
    for build in (key_rates, address_rates, wrong_rates, registry):
        build()
    with suppress(ChatError, ImproperlyConfigured):  # `readiness` says so in the log, and tries again
        pipeline()


def start_threads() -> None:
    """Start the threads of a server process. They end with it."""
    from cachemgmt.server import threads
    from chat.readiness import readiness

    Thread(target=end_with, args=[os.getppid()], name="tria-parent", daemon=True).start()
    threads.start()
    Thread(target=readiness().get_ready, name="tria-ready", daemon=True).start()


def end_with(parent: int) -> None:
    """End this process once its parent is gone. A worker whose server was killed would go on answering, with
    settings of before, on the port that the next server needs."""
    while os.getppid() == parent:
        time.sleep(PARENT_SEEN_EVERY_S)
    os.kill(os.getpid(), signal.SIGTERM)
