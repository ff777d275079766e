"""The site as a WSGI application. Importing it starts nothing: `tria_site.server` does that."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tria_site.settings")
application = get_wsgi_application()
