"""What Prometheus and Grafana are given: valid, and about metrics that there are."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from cachemgmt.models import LlmCall, MetricBucket
from tests.deploy.conftest import ROOT, text_of

PROMETHEUS = ROOT / "deploy/prometheus"
DASHBOARD = "deploy/grafana/dashboards/tria.json"


def check(promtool: str, *arguments: str, folder: Path = PROMETHEUS) -> None:
    done = subprocess.run(
        [promtool, *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_configuration_is_valid(promtool: str, tmp_path: Path) -> None:
    shutil.copytree(PROMETHEUS, tmp_path, dirs_exist_ok=True)
    (tmp_path / "key").write_text("tria_key")
    configured = (tmp_path / "prometheus.yml").read_text()
    (tmp_path / "prometheus.yml").write_text(
        configured.replace("/run/secrets/metrics_key", str(tmp_path / "key"))
    )
    check(promtool, "check", "config", "prometheus.yml", folder=tmp_path)


def test_the_alerts_fire_when_they_should(promtool: str) -> None:
    check(promtool, "test", "rules", "rules_test.yml")


@pytest.fixture
def told(client: Client, db: None) -> set[str]:
    """The names of a scrape, of series and of their families."""
    now = timezone.now()
    for level in ("answer", "reply"):
        MetricBucket.objects.create(minute=now, level=level, outcome="hit", collection="shop", count=1)
    LlmCall.objects.create(stage="generate", model="m", outcome="ok", purpose="customer", seconds=1)
    text = client.get("/metrics").content.decode()
    return set(re.findall(r"^(?:# TYPE )?(tria_\w+)", text, re.MULTILINE))


@pytest.mark.parametrize("file", ["deploy/prometheus/rules.yml", DASHBOARD, "docs/deploy.md"])
def test_every_metric_that_is_spoken_of_is_told(file: str, told: set[str]) -> None:
    assert set(re.findall(r"\btria_\w*[a-z]\b", text_of(file))) <= told


def test_every_metric_is_documented(told: set[str]) -> None:
    documented = set(re.findall(r"\btria_\w+", text_of("docs/deploy.md")))
    assert {re.sub(r"_(sum|count)$", "", name) for name in told} <= documented


def test_the_scrape_goes_to_the_server_under_a_name_it_answers_to(compose: dict[str, Any]) -> None:
    [job] = yaml.safe_load(text_of("deploy/prometheus/prometheus.yml"))["scrape_configs"]
    [target] = job["static_configs"][0]["targets"]
    host = target.partition(":")[0]
    assert host in compose["services"]
    assert compose["services"]["web"]["environment"]["ALLOWED_HOSTS"].endswith(f",{host}")
    key = job["authorization"]["credentials_file"]
    assert key.removeprefix("/run/secrets/") in compose["services"]["prometheus"]["secrets"]


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/metrics", "/api/health"])
def test_inside_the_network_it_is_asked_by_plain_http(client: Client, settings: Settings, path: str) -> None:
    settings.SECURE_SSL_REDIRECT = True
    assert client.get(path).status_code == 200
    assert client.get("/admin/login/").status_code == 301


def test_grafana_finds_its_dashboard_and_its_data(compose: dict[str, Any]) -> None:
    [provider] = yaml.safe_load(text_of("deploy/grafana/provisioning/dashboards/tria.yml"))["providers"]
    volumes = compose["services"]["grafana"]["volumes"]
    assert f"./deploy/grafana/dashboards:{provider['options']['path']}:ro" in volumes
    [source] = yaml.safe_load(text_of("deploy/grafana/provisioning/datasources/prometheus.yml"))[
        "datasources"
    ]
    panels = json.loads(text_of(DASHBOARD))["panels"]
    assert {panel["datasource"]["uid"] for panel in panels} == {source["uid"]}
    assert all(target["expr"] for panel in panels for target in panel["targets"])


def test_every_expression_of_the_dashboard_can_be_read(promtool: str, tmp_path: Path) -> None:
    panels = json.loads(text_of(DASHBOARD))["panels"]
    rules = [
        {"record": f"panel:{number}", "expr": re.sub(r"\$__\w+", "5m", target["expr"])}
        for number, target in enumerate(target for panel in panels for target in panel["targets"])
    ]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    check(promtool, "check", "rules", "rules.yml", folder=tmp_path)
