"""The group of those who lead support: they see everything of the cache, and act on it within limits."""

from django.contrib.auth.management import create_permissions
from django.db import migrations

GROUP = "Support leads"
VIEWED = (
    "clock", "ttlrule", "flushrecord", "warminglist", "warmingquery", "warmingrun", "metricbucket",
    "modelprice", "llmcall",
)
ALLOWED = (
    *(f"view_{model}" for model in VIEWED),
    "flush_cache",
    "warm_cache",
    "change_clock",  # the cache's switch; nothing else of the clock can be changed in the admin
    "add_ttlrule", "change_ttlrule", "delete_ttlrule",
    "add_warminglist", "change_warminglist", "delete_warminglist",
    "change_warmingquery", "delete_warmingquery", "add_warmingquery",
    "add_modelprice", "change_modelprice",
)


def add_group(apps, schema_editor):
    # On a new database permissions are made after the last migration: too late for this one.
    config = apps.get_app_config("cachemgmt")
    config.models_module = True
    create_permissions(config, apps=apps, verbosity=0, using=schema_editor.connection.alias)
    config.models_module = None

    group, _ = apps.get_model("auth", "Group").objects.get_or_create(name=GROUP)
    permissions = apps.get_model("auth", "Permission").objects.filter(
        content_type__app_label="cachemgmt", codename__in=ALLOWED
    )
    group.permissions.add(*permissions)


class Migration(migrations.Migration):
    dependencies = [
        ("cachemgmt", "0002_defaults"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]
    operations = [migrations.RunPython(add_group, migrations.RunPython.noop)]
