"""docker-compose.yml: who waits for whom, who reaches whom, and that nothing starts half configured."""

import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.parts import free_port
from tests.deploy.conftest import REQUIRED, ROOT, text_of
from tria_site.environment import Environment, read_environment

STORES = ("postgres", "redis", "chroma")
NOT_FOR_COMPOSE = {
    *("REDIS_URL", "REDIS_PORT", "REDIS_DB", "REDIS_SENTINELS", "REDIS_SENTINEL_MASTER"),
    *("REDIS_SENTINEL_PASSWORD", "WARM_ON_START", "PORT"),
}
"""Settings that compose decides otherwise. PORT is the port on this machine there, not the server's."""


def config(
    command: list[str], environment: Mapping[str, str], folder: Path
) -> "subprocess.CompletedProcess[str]":
    """Have compose read the file with nothing but these variables."""
    (folder / "environment").write_text("".join(f"{name}={value}\n" for name, value in environment.items()))
    return subprocess.run(
        [*command, "--env-file", str(folder / "environment"), "config"],
        cwd=ROOT,
        env={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def configured(compose_command: list[str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The file as compose understands it, with what is required and a provider."""
    chosen = {**REQUIRED, "LLM_PROVIDER": "extractive"}
    done = config(compose_command, chosen, tmp_path_factory.mktemp("compose"))
    assert done.returncode == 0, done.stderr
    assert "not set" not in done.stderr
    found: dict[str, Any] = yaml.safe_load(done.stdout)
    return found


@pytest.mark.parametrize("missing", REQUIRED)
def test_what_is_left_empty_is_named(missing: str, compose_command: list[str], tmp_path: Path) -> None:
    done = config(compose_command, {**REQUIRED, missing: ""}, tmp_path)
    assert done.returncode != 0
    assert missing in done.stderr
    assert "set it to" in done.stderr or "name the" in done.stderr, done.stderr


def test_the_example_file_with_the_required_filled_in_will_do(
    compose_command: list[str], tmp_path: Path
) -> None:
    pairs = (line.partition("=") for line in text_of(".env.example").splitlines() if line[:1].isupper())
    example = {name: value for name, _, value in pairs}
    assert config(compose_command, {**example, **REQUIRED}, tmp_path).returncode == 0


@pytest.mark.parametrize("service", ["web", "release"])
def test_the_product_accepts_the_settings_that_compose_gives_it(
    service: str, configured: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, str | None] = configured["services"][service]["environment"]
    for name in Environment.model_fields:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(Environment.model_config, "env_file", None)
    for name, value in given.items():
        if value is not None:
            monkeypatch.setenv(name, value)
    found = read_environment()
    assert (found.TRIA_ENV, found.LLM_PROVIDER, found.WEB_WORKERS) == ("production", "extractive", 2)
    assert "web" in (found.ALLOWED_HOSTS or []), "the name that Prometheus and the health check use"


def test_every_setting_reaches_the_product(compose: dict[str, Any]) -> None:
    given = set(compose["services"]["web"]["environment"])
    assert set(Environment.model_fields) - NOT_FOR_COMPOSE <= given
    assert compose["services"]["release"]["environment"] == compose["services"]["web"]["environment"]


def test_nothing_is_published_beyond_this_machine(compose: dict[str, Any]) -> None:
    published = {name: service.get("ports", []) for name, service in compose["services"].items()}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)
    assert {name for name, ports in published.items() if ports} == {"web", "prometheus", "grafana"}


def test_the_stores_are_reached_by_the_product_alone(compose: dict[str, Any]) -> None:
    assert compose["networks"]["stores"] == {"internal": True}
    assert all(compose["services"][name]["networks"] == ["stores"] for name in STORES)
    there = {name for name, service in compose["services"].items() if "stores" in service["networks"]}
    assert there == {*STORES, "web", "release"}


def test_every_container_is_read_only_and_without_privileges(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_no_image_is_whatever_is_newest(compose: dict[str, Any]) -> None:
    images = {service["image"] for service in compose["services"].values()} - {"tria"}
    assert all(":" in image and not image.endswith(":latest") for image in images)


def test_who_is_waited_for_says_when_he_is_ready(compose: dict[str, Any]) -> None:
    services = compose["services"]
    waits = [
        (name, other, how["condition"])
        for name, service in services.items()
        for other, how in service.get("depends_on", {}).items()
    ]
    assert {other for _, other, how in waits if how == "service_healthy"} <= {
        name for name, service in services.items() if "healthcheck" in service
    }
    for name in ("web", "release"):
        assert {(name, store, "service_healthy") for store in STORES} <= set(waits)
    assert ("web", "release", "service_completed_successfully") in waits
    assert services["release"]["restart"] == "no"


def test_what_lasts_is_on_volumes(compose: dict[str, Any]) -> None:
    for name in STORES:
        sources = {volume.partition(":")[0] for volume in compose["services"][name]["volumes"]}
        assert sources <= set(compose["volumes"])


def test_monitoring_is_started_only_when_asked_for(compose: dict[str, Any]) -> None:
    asked_for = {name for name, service in compose["services"].items() if "profiles" in service}
    assert asked_for == {"prometheus", "grafana"}


class ComposedRedis:
    """Redis as the file starts it, from a local program, on another port."""

    def __init__(self, service: dict[str, Any], executable: str, folder: Path) -> None:
        self.port = free_port()
        script = service["command"][2].replace("$$", "$")
        self.script = script.replace("redis-server -", f"{executable} - --port {self.port}")
        self.check = service["healthcheck"]["test"][1].replace("redis-cli", f"redis-cli -p {self.port}")
        self.folder = folder

    def is_healthy(self, password: str) -> bool:
        environment = {"PATH": os.environ["PATH"], "REDISCLI_AUTH": password}
        done = subprocess.run(
            ["/bin/sh", "-c", self.check], env=environment, capture_output=True, check=False
        )
        return done.returncode == 0

    def ask(self, *words: str) -> str:
        command = ["redis-cli", "-p", str(self.port), *words]
        environment = {"PATH": os.environ["PATH"], "REDISCLI_AUTH": "right0password"}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def test_redis_starts_with_its_password_limit_and_policy_and_only_pong_is_health(
    compose: dict[str, Any], redis_executable: str, redis_cli: str, tmp_path: Path
) -> None:
    redis = ComposedRedis(compose["services"]["redis"], redis_executable, tmp_path)
    environment = {"PATH": os.environ["PATH"], "REDISCLI_AUTH": "right0password", "MAXMEMORY": "64mb"}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            ["/bin/sh", "-c", redis.script], cwd=tmp_path, env=environment, stdout=log, stderr=log
        )
    try:
        deadline = time.monotonic() + 10
        while not redis.is_healthy("right0password"):
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
        assert not redis.is_healthy("wrong0password")
        assert redis.ask("config", "get", "maxmemory-policy").split() == ["maxmemory-policy", "volatile-lru"]
        assert redis.ask("config", "get", "maxmemory").split() == ["maxmemory", str(64 * 2**20)]
        assert "right0password" not in Path(f"/proc/{process.pid}/cmdline").read_text()
    finally:
        process.terminate()
        process.wait(timeout=10)
    assert not redis.is_healthy("right0password"), (
        "it was the process that compose stops, not a shell around it"
    )
