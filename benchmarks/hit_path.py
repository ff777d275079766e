"""How fast is a hit? Throughput and latency of /api/chat beside bare views, on one server, in one run.

    python benchmarks/hit_path.py [--seconds 3] [--rounds 5] [--json]

Needs `wrk` and, for the Redis part, `redis-server` on the PATH (both in Debian). Rounds go through all
targets in turn, so that a slow minute of the machine meets all alike; the medians' ratios are what counts.
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
QUESTION = {"message": "What's your refund policy?"}
POST = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer KEY"
wrk.body = '{"message": "What\\'s your refund policy?"}'
"""
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


def load(url: str, script: Path, seconds: int, into: Measured) -> None:
    """Run wrk once, and add what it measured."""
    command = ["wrk", "-t1", "-c16", f"-d{seconds}s", "--latency", "-s", str(script), url]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    into.per_s.append(float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]))  # type: ignore[index]
    for percent, values in (("50%", into.p50_ms), ("99%", into.p99_ms)):
        value, unit = re.search(rf"{percent}\s+([\d.]+)(us|ms|s)", out).groups()  # type: ignore[union-attr]
        values.append(float(value) * TO_MS[unit])
    if "Non-2xx" in out:
        into.errors += int(re.search(r"Non-2xx or 3xx responses: (\d+)", out)[1])  # type: ignore[index]


def measure(redis_url: str | None, *, seconds: int, rounds: int) -> dict[str, Measured]:
    """Serve the product once, and load its targets in turn."""
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
        command = [granian, *options, "--log-level", "error", "benchmarks.hit_path_site:application"]
        script = Path(folder) / "post.lua"
        script.write_text(POST.replace("KEY", key))
        targets = ["bare-django", "bare-drf", *(["drf-one-get"] if redis_url else []), "api/chat"]
        found = {target: Measured() for target in targets}
        with running(command, env=env, ready=f"{base}/readyz", port=port):
            ask(base, key)
            assert ask(base, key) == "hit", "the second time must be a hit"
            if redis_url:
                import redis

                redis.Redis.from_url(redis_url).set("benchmark:get", b"z" * 2500)
            for _ in range(rounds):
                for target in targets:
                    load(f"{base}/{target}", script, seconds, found[target])
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
    results = {"memory": measure(None, seconds=options.seconds, rounds=options.rounds)}
    if shutil.which("redis-server"):
        port = free_port()
        command = ["redis-server", "--port", str(port), "--save", "", "--appendonly", "no"]
        with running(command, env=dict(os.environ), ready=None, port=port):
            url = f"redis://127.0.0.1:{port}/0"
            results["redis"] = measure(url, seconds=options.seconds, rounds=options.rounds)
    report(results, as_json=options.json)


def report(results: dict[str, dict[str, Measured]], *, as_json: bool) -> None:
    """Print the medians, and /api/chat's share of each target's throughput."""
    rows = []
    for store, found in results.items():
        chat = statistics.median(found["api/chat"].per_s)
        for target, measured in found.items():
            per_s = statistics.median(measured.per_s)
            row = {
                "store": store,
                "target": target,
                "per_s": round(per_s),
                "p50_ms": round(statistics.median(measured.p50_ms), 2),
                "p99_ms": round(statistics.median(measured.p99_ms), 2),
                "hit_is": round(chat / per_s, 2),
                "errors": measured.errors,
            }
            rows.append(row)
    if as_json:
        print(json.dumps(rows))
        return
    print(f"{'store':8} {'target':12} {'req/s':>8} {'p50 ms':>8} {'p99 ms':>8}  a hit's throughput is")
    for row in rows:
        share = "" if row["target"] == "api/chat" else f"{row['hit_is']:.2f} of it"
        numbers = f"{row['per_s']:>8} {row['p50_ms']:>8} {row['p99_ms']:>8}"
        print(f"{row['store']:8} {row['target']:12} {numbers}  {share}")
        if row["errors"]:
            print(f"  {row['errors']} responses were errors")


if __name__ == "__main__":
    main()
