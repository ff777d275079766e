"""What the web server runs: the application, and the threads of a server process."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tria_site.settings")
application = get_wsgi_application()


def become_server() -> None:
    """Make this process one that answers customers."""
    from django.conf import settings

    from cachemgmt import background
    from chat import warming

    settings.IS_SERVER = True
    background.start()
    warming.prepare_in_background()


become_server()
