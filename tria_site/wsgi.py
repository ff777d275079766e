"""The site as a WSGI application. Importing it starts nothing: `tria_site.server` does that."""

import os

from django.core.wsgi import get_wsgi_application

from tria_site.handlers import ApiHandler, application_of

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tria_site.settings")
application = application_of(api=ApiHandler(), pages=get_wsgi_application())
