"""How fast is a hit? Throughput and latency of /api/chat beside bare views, on one server, in one run.

    python benchmarks/hit_path.py [--seconds 3] [--rounds 5] [--json]

Needs `wrk` and, for the parts with Redis, `redis-server` on the PATH (both in Debian). Each target is asked
over 1 and over 16 connections. Rounds go through all targets in turn, so that a slow minute of the machine
meets all alike; the medians' ratios are what counts. The bare views pass the whole MIDDLEWARE, as a view does
to which nobody gave less.
"""

import argparse
import json
import os
import re
import secrets
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tria_site.settings")

from tria_site.environment import default_workers  # noqa: E402

QUESTION = {"message": "What's your refund policy?"}
POST = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer KEY"
wrk.body = '{"message": "What\\'s your refund policy?"}'
"""
CONNECTIONS = (1, 16)
TO_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


@dataclass
class Measured:
    """One target's rounds."""

    per_s: list[float] = field(default_factory=list)
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    errors: int = 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(command: list[str], *, env: dict[str, str], ready: str | None, port: int) -> Iterator[None]:
    """Run a server until it answers, and stop it at the end."""
    process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                if ready:
                    urllib.request.urlopen(ready, timeout=1).close()
                else:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        else:
            sys.exit(f"{command[0]} did not start")
        yield
    finally:
        process.terminate()
        process.wait(timeout=20)


def ask(base: str, key: str) -> str:
    """Ask the question once, with an API key; return what the cache did."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    request = urllib.request.Request(f"{base}/api/chat", data=json.dumps(QUESTION).encode(), headers=headers)
    with urllib.request.urlopen(request, timeout=60) as response:
        return str(json.load(response)["cache"]["status"])


def load(url: str, script: Path, seconds: int, into: Measured, *, connections: int = 16) -> None:
    """Run wrk once over so many connections, and add what it measured."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(script), url]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    into.per_s.append(float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]))  # type: ignore[index]
    for percent, values in (("50%", into.p50_ms), ("99%", into.p99_ms)):
        value, unit = re.search(rf"{percent}\s+([\d.]+)(us|ms|s)", out).groups()  # type: ignore[union-attr]
        values.append(float(value) * TO_MS[unit])
    if "Non-2xx" in out:
        into.errors += int(re.search(r"Non-2xx or 3xx responses: (\d+)", out)[1])  # type: ignore[index]


def measure(
    redis_url: str | None, *, workers: int, seconds: int, rounds: int
) -> dict[tuple[str, int], Measured]:
    """Serve the product once, and load its targets in turn, each over 1 and 16 connections."""
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "TRIA_DATA_DIR": folder, "PORT": str(port)}
        env.update({"REDIS_URL": redis_url or "", "WARM_ON_START": "0", "LLM_PROVIDER": "extractive"})
        env.update(
            {"REQUIRE_API_KEY": "1", "SECRET_KEY": secrets.token_hex(), "ASKS_PER_MINUTE_PER_KEY": "0"}
        )
        python = [sys.executable, "manage.py"]
        subprocess.run([*python, "migrate", "-v0"], cwd=ROOT, env=env, check=True)
        subprocess.run([*python, "load_sample"], cwd=ROOT, env=env, check=True, stdout=subprocess.DEVNULL)
        made = subprocess.run(
            [*python, "api_key", "create", "benchmark"],
            cwd=ROOT,
            env=env,
            check=True,
            capture_output=True,
            text=True,
        )
        key = made.stdout.strip()
        granian = str(Path(sys.executable).parent / "granian")
        options = ["--interface", "wsgi", "--port", str(port), "--blocking-threads", "512", "--no-ws"]
        options += ["--workers", str(workers)]
        command = [granian, *options, "--log-level", "error", "benchmarks.hit_path_site:application"]
        script = Path(folder) / "post.lua"
        script.write_text(POST.replace("KEY", key))
        targets = ["bare-django", "bare-drf", *(["drf-one-get"] if redis_url else []), "api/chat"]
        found = {(target, connections): Measured() for target in targets for connections in CONNECTIONS}
        with running(command, env=env, ready=f"{base}/readyz", port=port):
            for _ in range(4 * workers):  # each worker, so that none is young
                ask(base, key)
            assert ask(base, key) == "hit", "the second time must be a hit"
            if redis_url:
                import redis

                redis.Redis.from_url(redis_url).set("benchmark:get", b"z" * 2500)
            for _ in range(rounds):
                for (target, connections), measured in found.items():
                    load(f"{base}/{target}", script, seconds, measured, connections=connections)
            assert ask(base, key) == "hit", "it must still have been a hit at the end"
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not shutil.which("wrk"):
        sys.exit("wrk is not on the PATH (Debian: apt-get install wrk)")
    often = {"seconds": options.seconds, "rounds": options.rounds}
    results = {"memory": measure(None, workers=1, **often)}
    if shutil.which("redis-server"):
        port = free_port()
        command = ["redis-server", "--port", str(port), "--save", "", "--appendonly", "no"]
        with running(command, env=dict(os.environ), ready=None, port=port):
            url = f"redis://127.0.0.1:{port}/0"
            results["Redis"] = measure(url, workers=1, **often)
            default = default_workers(has_redis=True)
            if default > 1:
                results[f"Redis, {default} workers"] = measure(url, workers=default, **often)
    report(results, as_json=options.json)


def report(results: dict[str, dict[tuple[str, int], Measured]], *, as_json: bool) -> None:
    """Print the medians; a hit's share of each target's throughput; and what 16 connections make of one."""
    rows = []
    for store, found in results.items():
        alone_ms = statistics.median(found["api/chat", 1].p50_ms)
        for (target, connections), measured in found.items():
            per_s = statistics.median(measured.per_s)
            p99_ms = statistics.median(measured.p99_ms)
            rows.append(
                {
                    "store": store,
                    "target": target,
                    "connections": connections,
                    "per_s": round(per_s),
                    "p50_ms": round(statistics.median(measured.p50_ms), 2),
                    "p99_ms": round(p99_ms, 2),
                    "hit_is": round(statistics.median(found["api/chat", connections].per_s) / per_s, 2),
                    "of_one": round(per_s / statistics.median(found[target, 1].per_s), 2),
                    "p99_of_hit_p50": round(p99_ms / alone_ms, 1),
                    "errors": measured.errors,
                }
            )
    if as_json:
        print(json.dumps(rows))
        return
    print("| store | target | connections | per second | p50 ms | p99 ms | a hit is | of one's | p99 |")
    print(f"|{9 * '---|'}")
    for row in rows:
        cells = [*list(row.values())[:6], f"{row['hit_is']:.2f}", f"{row['of_one']:.2f}"]
        print(f"| {' | '.join(map(str, cells))} | {row['p99_of_hit_p50']} times a hit's p50 at one |")
        if row["errors"]:
            print(f"  {row['errors']} responses were errors")


if __name__ == "__main__":
    main()
