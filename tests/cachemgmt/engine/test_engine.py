"""The engine as a whole."""

import subprocess
import sys
from pathlib import Path

import cachemgmt.engine

FRAMEWORKS = ("django", "rest_framework", "django_redis")


def test_the_engine_loads_no_framework() -> None:
    folder = Path(cachemgmt.engine.__path__[0])
    modules = sorted(
        ".".join(file.relative_to(folder.parents[1]).with_suffix("").parts) for file in folder.rglob("*.py")
    )
    assert len(modules) > 5
    program = f"import sys, {', '.join(modules)}; print(*[n for n in {FRAMEWORKS} if n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder.parents[1], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []
