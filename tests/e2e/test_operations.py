"""Every command and the metrics, used by an operator: on the full topology, and in the embedded default."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import INHERITED, ROOT, Product
from tests.e2e.fleet import wait_until
from tests.e2e.grounds import LayGround

REFUND = "What's your refund policy?"
COUNTED_WITHIN_S = 10.0
"""A process writes what it counted every 5 s."""


@pytest.fixture(params=["memory", "redis"])
def store(request: pytest.FixtureRequest) -> str:
    """What the server caches in: memory where all is embedded, Redis in the full topology."""
    return str(request.param)


@pytest.fixture
def running(store: str, request: pytest.FixtureRequest) -> Iterator[Product]:
    """A product of this test alone, nothing answered yet: embedded, or the full topology with two workers."""
    lay: LayGround = request.getfixturevalue("lay_embedded" if store == "memory" else "lay_full")
    ground = lay()
    environment = {**ground.environment, "WARM_ON_START": "0"}
    with Product(data_dir=ground.data_dir, environment=environment, arguments=()) as product:
        yield product


def manage(product: Product, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command beside the server, with its environment."""
    environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
    environment |= {
        "TRIA_DATA_DIR": str(product.data_dir),
        "PORT": str(product.port),
        "LLM_PROVIDER": "extractive",
    }
    command = [sys.executable, "manage.py", *arguments]
    env = {**environment, **product.environment}
    return subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=100
    )


def get(product: Product, path: str) -> Any:
    with urllib.request.urlopen(f"{product.url}{path}", timeout=30) as response:
        return json.load(response)


def ask(product: Product, message: str = REFUND) -> dict[str, Any]:
    """Ask; return the answer's body."""
    request = urllib.request.Request(
        f"{product.url}/api/chat",
        json.dumps({"message": message}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        body: dict[str, Any] = json.load(response)
        return body


def test_a_flush_by_command_acts_on_the_next_question(running: Product, store: str) -> None:
    assert ask(running)["cache"]["status"] == "miss"
    assert ask(running)["cache"]["level"] == "response"

    dry = manage(running, "flush_cache", "--level", "response", "--dry-run")
    assert "Nothing was changed" in dry.stdout
    expected = "1 entries" if store == "redis" else "cannot be counted from here"
    assert expected in dry.stdout
    assert ask(running)["cache"]["level"] == "response"

    done = manage(running, "flush_cache", "--level", "response", "--reason", "trial")
    assert done.returncode == 0, done.stderr
    again = ask(running)["cache"]
    assert (again["status"], again["level"]) == ("hit", "reply")

    assert manage(running, "flush_cache", "--all").returncode == 0
    assert ask(running)["cache"]["status"] == "miss"


def test_the_switch_acts_on_the_next_question(running: Product) -> None:
    ask(running)
    assert manage(running, "cache_switch", "off").stdout.strip() == "The cache is off."
    assert ask(running)["cache"] | {"entry_id": None} == {
        "status": "bypass",
        "level": None,
        "reason": "switched-off",
        "age_s": None,
        "ttl_s": None,
        "entry_id": None,
    }
    assert get(running, "/api/health")["cache"]["is_on"] is False
    manage(running, "cache_switch", "on")
    assert ask(running)["cache"]["status"] == "hit"


def test_a_warmed_list_is_a_hit_for_the_first_customer(running: Product) -> None:
    done = manage(running, "warm_cache", "sample", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert (told["state"], told["filled"], told["failed"]) == ("done", 20, 0)
    assert ask(running)["cache"]["level"] == "response"
    again = json.loads(manage(running, "warm_cache", "sample", "--json").stdout)
    assert (again["reused"], again["filled"]) == (20, 0)


def test_metrics_and_info_tell_what_happened(running: Product, store: str) -> None:
    ask(running)
    ask(running)
    ask(running, "how long does shipping take")
    # One worker does not know what the other has counted, until that writes it down.
    wait_until(lambda: get(running, "/api/cache/metrics")["total"]["misses"] == 2, COUNTED_WITHIN_S)
    wait_until(lambda: get(running, "/api/cache/metrics")["total"]["hits"] == 1, COUNTED_WITHIN_S)
    found = get(running, "/api/cache/metrics")
    assert found["total"]["hit_rate"] == 0.3333
    assert found["levels"]["response"]["hits"] == 1
    assert found["calls"] == 6
    assert (found["spent_usd"], found["unpriced_calls"]) == ("0", 0)
    health = get(running, "/api/cache/health")
    assert (health["status"], health["store"]) == ("ok", store)
    assert health["info"]["used_bytes"] > 0
    info = json.loads(manage(running, "cache_info", "--json").stdout)
    assert info["last_24_hours"]["total"]["hits"] == 1
    assert info["ttl_s"]["response"] == 1800


def test_bad_metric_parameters_are_named(running: Product) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        get(running, "/api/cache/metrics?hours=soon")
    assert caught.value.code == 400
    assert json.load(caught.value)["errors"][0]["field"] == "hours"


def test_an_edited_policy_is_answered_from_within_a_second(running: Product, tmp_path: Path) -> None:
    policy = tmp_path / "opening.md"
    policy.write_text("# Opening\n\n## Opening hours\n\nThe Zurich showroom opens at 9 in the morning.\n")
    done = manage(running, "ingest_policies", str(policy), "--collection", "zurich")
    assert done.returncode == 0, done.stdout + done.stderr
    question = {"message": "When does the Zurich showroom open?", "collection": "zurich"}

    def told() -> str:
        request = urllib.request.Request(
            f"{running.url}/api/chat", json.dumps(question).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            return str(json.load(response)["answer"])

    assert "9 in the morning" in told()
    policy.write_text(policy.read_text().replace("9 in", "10 in"))
    manage(running, "ingest_policies", str(policy), "--collection", "zurich")
    assert "10 in the morning" in told()


def test_workers_end_with_a_server_that_was_killed(own_product: Product) -> None:
    assert own_product.process
    os.kill(own_product.process.pid, signal.SIGKILL)

    def is_free() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", own_product.port)) != 0

    wait_until(is_free, 20)
    own_product.process.wait(20)
    own_product.process = None
    own_product.start()  # on the same port


def test_what_was_edited_survives_a_restart_that_prepares(own_product: Product) -> None:
    edit = (
        "from chat.knowledge.publishing import publish; from chat.models import Collection;"
        "from chat.source_document import SourceDocument;"
        "publish(Collection.objects.get(), [SourceDocument(key='edited', title='Edited', text='# Edited')])"
    )
    own_product.manage("shell", "-c", edit)
    own_product.manage("load_sample", "--keep-edits")
    count = "from chat.models import Document; print('left:', Document.objects.filter(key='edited').count())"
    assert "left: 1" in own_product.manage("shell", "-c", count)
    own_product.manage("load_sample")
    assert "left: 0" in own_product.manage("shell", "-c", count)
