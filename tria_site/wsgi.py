"""What the web server runs: the application, and the threads of a server process."""

import os
import signal
import time
from threading import Thread

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tria_site.settings")
_pages = get_wsgi_application()

from tria_site.handlers import ApiHandler, application_of  # noqa: E402

application = application_of(api=ApiHandler(), pages=_pages)


PARENT_SEEN_EVERY_S = 0.5


def end_with(parent: int) -> None:
    """End this process once its parent is gone. A worker whose server was killed would go on answering, with
    settings of before, on the port that the next server needs."""
    while os.getppid() == parent:
        time.sleep(PARENT_SEEN_EVERY_S)
    os.kill(os.getpid(), signal.SIGTERM)


def become_server() -> None:
    """Make this process one that answers customers."""
    from django.conf import settings

    from cachemgmt import background
    from chat import warming

    settings.IS_SERVER = True
    Thread(target=end_with, args=[os.getppid()], name="tria-parent", daemon=True).start()
    background.start()
    warming.prepare_in_background()


become_server()
