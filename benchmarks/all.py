"""Runs the benchmarks and gathers their numbers: ``python benchmarks/all.py [--gpu]``.

Writes ``bench.json``, or ``bench_gpu.json``; a part that fails or takes too long is said, and what
it had found until then is kept. What they print goes to the screen as it comes.
"""

import json
import platform
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from training_step import CUDA as NETWORKS

HERE = Path(__file__).parent
CPU = {
    "input.py": 240,
    "training_step.py resnext3d:16x10x112": 300,
    "index.py": 150,
    "overhead.py": 90,
    "workers.py 2": 500,
}
"""Program and arguments -> seconds that it may take."""
VIDEO, IMAGES, *OTHERS = NETWORKS
GPU = {
    f"training_step.py {VIDEO} {IMAGES}": 100,
    f"training_step.py --compile blocks {VIDEO}": 85,
    "end_to_end.py": 90,
    f"training_step.py {' '.join(OTHERS)}": 90,
    f"training_step.py --compile whole {IMAGES}": 75,
    "decoders.py": 40,
}


def run(words: str, limit: int) -> dict[str, Any]:
    """The JSON object that a program printed last."""
    name, *arguments = words.split()
    found: dict[str, Any] = {}
    command = [sys.executable, "-u", str(HERE / name), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        timer = threading.Timer(limit, process.kill)
        timer.start()
        for line in process.stdout:
            print(line, end="", flush=True)
            with suppress(ValueError):
                found = json.loads(line) if line.startswith("{") else found
        is_late = not timer.is_alive()
        timer.cancel()
    if is_late:
        print(f"{words} takes more than {limit} s: stopped")
    elif process.returncode or not found:
        print(f"{words} failed, or found nothing (exit code {process.returncode})")
    return found


def merge(facts: dict[str, Any], found: dict[str, Any]) -> None:
    """Adds what a program found to what others did; lists and tables of one name are joined."""
    for key, value in found.items():
        before = facts.get(key)
        if isinstance(value, list):
            facts[key] = (before or []) + value
        elif isinstance(value, dict):
            facts[key] = (before or {}) | value
        else:
            facts.setdefault(key, value)


def main() -> int:
    gpu = "--gpu" in sys.argv
    if gpu and not torch.cuda.is_available():
        print("error: --gpu needs a CUDA device", file=sys.stderr)
        return 2
    facts: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if gpu else platform.processor() or "CPU",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    path = Path("bench_gpu.json" if gpu else "bench.json")
    for words, limit in (GPU if gpu else CPU).items():
        print(f"--- {words}", flush=True)
        merge(facts, run(words, limit))
        path.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    print(f"{path}: {json.dumps(facts)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
