"""The rows a new database starts with: the clock, the levels' TTLs, and public list prices.

Prices are USD per million tokens as their maker published them, valid from the model's release.
"""

from django.db import migrations

TTL_S = {"response": 1800, "intent": 3600, "policy": 86400, "reply": 1800}

# model, valid from, input, cached input, output
PRICES = [
    ("gpt-4", "2023-06-13", "30", None, "60"),
    ("gpt-4-turbo", "2024-04-09", "10", None, "30"),
    ("gpt-4o", "2024-08-06", "2.5", "1.25", "10"),
    ("gpt-4o-mini", "2024-07-18", "0.15", "0.075", "0.6"),
    ("gpt-4.1", "2025-04-14", "2", "0.5", "8"),
    ("gpt-4.1-mini", "2025-04-14", "0.4", "0.1", "1.6"),
    ("gpt-4.1-nano", "2025-04-14", "0.1", "0.025", "0.4"),
    ("gpt-5", "2025-08-07", "1.25", "0.125", "10"),
    ("gpt-5-mini", "2025-08-07", "0.25", "0.025", "2"),
    ("gpt-5-nano", "2025-08-07", "0.05", "0.005", "0.4"),
    ("text-embedding-3-small", "2024-01-25", "0.02", None, "0"),
    ("text-embedding-3-large", "2024-01-25", "0.13", None, "0"),
]


def add_defaults(apps, schema_editor):
    apps.get_model("cachemgmt", "Clock").objects.get_or_create(pk=1)
    rules = apps.get_model("cachemgmt", "TtlRule").objects
    for level, ttl_s in TTL_S.items():
        rules.get_or_create(level=level, intent="", defaults={"ttl_s": ttl_s})
    prices = apps.get_model("cachemgmt", "ModelPrice").objects
    for model, valid_from, input_usd, cached_usd, output_usd in PRICES:
        for pattern in (model, f"{model}-2*"):  # the name itself, and its dated versions
            prices.get_or_create(
                model_pattern=pattern,
                valid_from=valid_from,
                defaults={
                    "input_usd": input_usd,
                    "cached_input_usd": cached_usd,
                    "output_usd": output_usd,
                },
            )


class Migration(migrations.Migration):
    dependencies = [("cachemgmt", "0001_initial")]
    operations = [migrations.RunPython(add_defaults, migrations.RunPython.noop)]
