"""Runs the benchmarks and gathers their numbers: ``python benchmarks/all.py [--gpu]``.

Writes ``bench.json``, or ``bench_gpu.json``; a part that fails or takes too long is left out, and
said. What they print goes to the screen as it comes.
"""

import json
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).parent
CPU = {
    "input.py": 240,
    "training_step.py resnext3d:4x10x112": 150,
    "index.py": 150,
    "overhead.py": 90,
    "workers.py 2": 500,
}
"""Program and arguments -> seconds that it may take."""
GPU = {"training_step.py": 330, "end_to_end.py": 140}


def run(words: str, limit: int) -> dict[str, Any]:
    """The JSON object that a program prints last."""
    name, *arguments = words.split()
    begin, last = time.monotonic(), ""
    command = [sys.executable, "-u", str(HERE / name), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            last = line
            if time.monotonic() - begin > limit:
                process.kill()
                print(f"{words} takes more than {limit} s: left out")
    try:
        found = json.loads(last)
    except ValueError:
        found = None
    if not isinstance(found, dict) or process.returncode:
        print(f"{words} gave no numbers (exit code {process.returncode})")
        return {}
    return found


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
        facts |= run(words, limit)
        path.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    print(f"{path}: {json.dumps(facts)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
