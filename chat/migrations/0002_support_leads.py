"""What those who lead support may do with policies: read them all, and edit documents."""

from django.contrib.auth.management import create_permissions
from django.db import migrations

GROUP = "Support leads"
ALLOWED = ("view_collection", "view_document", "change_document")


def allow(apps, schema_editor):
    # On a new database permissions are made after the last migration: too late for this one.
    config = apps.get_app_config("chat")
    config.models_module = True
    create_permissions(config, apps=apps, verbosity=0, using=schema_editor.connection.alias)
    config.models_module = None

    group, _ = apps.get_model("auth", "Group").objects.get_or_create(name=GROUP)
    permissions = apps.get_model("auth", "Permission").objects.filter(
        content_type__app_label="chat", codename__in=ALLOWED
    )
    group.permissions.add(*permissions)


class Migration(migrations.Migration):
    dependencies = [("chat", "0001_initial"), ("cachemgmt", "0003_support_leads")]
    operations = [migrations.RunPython(allow, migrations.RunPython.noop)]
