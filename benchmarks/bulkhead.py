"""Do hits notice those who wait? A hit's throughput and p99 while 300 and 600 questions wait on a slow model.

    python benchmarks/bulkhead.py [--seconds 4] [--rounds 3] [--json]

Needs `wrk` and `redis-server` on the PATH. One server with its default threads; the model takes 10 s a call.
In each round hits are measured alone, beside 300 waiting questions, and beside 600: the ratios count.
"""

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.hit_path import POST, Measured, load  # noqa: E402
from tests.e2e.conftest import Product  # noqa: E402
from tests.e2e.fleet import Asking, ask, health, send_at_once, wait_until  # noqa: E402
from tests.fakes.llm_script import Slow  # noqa: E402
from tests.fakes.llm_server import LlmServer  # noqa: E402
from tests.fakes.redis_server import RedisServer, find_redis_server  # noqa: E402

HOT = "What's your refund policy?"
CALL_S = 10.0
WAITING = (300, 600)


def questions(product: Product, count: int, round_number: int) -> list[Asking]:
    """Send so many different questions at once; return them on their way."""
    return send_at_once(
        Asking(product, f"How long does delivery number {round_number}x{number} take?")
        for number in range(count)
    )


def settled(product: Product, wanted: int) -> bool:
    """Whether as many as may wait do."""
    facts = health(product)["bulkhead"]
    return bool(facts["admitted"] >= min(wanted, facts["most_admitted"]))


def measure(
    product: Product, llm: LlmServer, script: Path, *, seconds: int, rounds: int
) -> dict[int, Measured]:
    """Measure hits alone (0) and beside each number of waiting questions, in turn."""
    found = {count: Measured() for count in (0, *WAITING)}
    url = f"{product.url}/api/chat"
    for round_number in range(rounds):
        for count, measured in found.items():
            llm.always("classify", Slow(CALL_S))
            waiting = questions(product, count, round_number * 10 + count)
            if count:
                wait_until(partial(settled, product, count), within_s=60)
            load(url, script, seconds, measured)
            if count:
                print(f"  {count} sent: {dict(health(product)['bulkhead'])}", file=sys.stderr)
            llm.always("classify", None)
            for asking in waiting:
                asking.give_up()
            wait_until(lambda: not health(product)["bulkhead"]["admitted"], within_s=120)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    executable = find_redis_server()
    if not shutil.which("wrk") or executable is None:
        sys.exit("wrk and redis-server must be on the PATH (both are in Debian)")
    with tempfile.TemporaryDirectory() as folder, LlmServer() as llm:
        server = RedisServer(executable, Path(folder))
        server.start()
        environment = {
            "LLM_PROVIDER": "openai",
            "OPENAI_API_KEY": llm.api_key,
            "OPENAI_BASE_URL": llm.base_url,
            "OPENAI_TIMEOUT_S": "60",
            "EMBEDDER": "hashed",
            "REDIS_URL": server.url,
        }
        script = Path(folder) / "post.lua"
        script.write_text(POST)
        data_dir = Path(folder) / "data"
        data_dir.mkdir()
        with Product(data_dir=data_dir, environment=environment) as product:
            ask(product, HOT)
            assert ask(product, HOT).outcome == "hit"
            found = measure(product, llm, script, seconds=options.seconds, rounds=options.rounds)
        server.stop()
    report(found, as_json=options.json)


def report(found: dict[int, Measured], *, as_json: bool) -> None:
    """Print the medians, and what they are of those alone."""
    alone = found[0]
    rows = [
        {
            "waiting": count,
            "per_s": round(statistics.median(measured.per_s)),
            "p99_ms": round(statistics.median(measured.p99_ms), 1),
            "throughput": round(statistics.median(measured.per_s) / statistics.median(alone.per_s), 2),
            "p99": round(statistics.median(measured.p99_ms) / statistics.median(alone.p99_ms), 2),
            "errors": measured.errors,
        }
        for count, measured in found.items()
    ]
    if as_json:
        print(json.dumps(rows))
        return
    for row in rows:
        print("  ".join(f"{name} {value}" for name, value in row.items()))


if __name__ == "__main__":
    main()
