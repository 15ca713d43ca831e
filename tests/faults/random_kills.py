"""Kills runs at random moments of their whole life, until each has ended; compares what is left.

    python random_kills.py CONFIG FOLDER KILLS SEED

Prints, as JSON, how many kills there were, how many runs, in which stage of a run the kills came,
and which runs did not end with the weights, log and difficulties of a run that nobody touched.
"""

import json
import os
import shutil
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))
from kill_points import forked, result, train_forked


def stage(folder):
    """Where a run is, by what it has written."""
    log = folder / "log.jsonl"
    if not log.exists():
        return "before the first line"
    if list(folder.rglob("*.partial")):
        return "while writing a file"
    lines = log.read_bytes().splitlines()
    return f"after {json.loads(lines[-1])['kind']}" if lines else "before the first line"


def main(config_file, root, kills, seed):
    torch.set_num_threads(1)
    rng = np.random.default_rng(seed)
    begun = time.monotonic()
    assert forked(config_file, root / "whole") == 0
    length = time.monotonic() - begun
    right, done, runs, wrong, stages = result(root / "whole"), 0, 0, [], Counter()
    while done < kills:
        cut = root / "cut"
        shutil.rmtree(cut, ignore_errors=True)
        runs += 1
        while True:
            child = train_forked(config_file, cut)
            deadline = time.monotonic() + rng.uniform(0, length)
            ended = (0, 0)
            while time.monotonic() < deadline and ended == (0, 0):
                time.sleep(0.001)
                ended = os.waitpid(child, os.WNOHANG)
            if ended != (0, 0):
                code = os.waitstatus_to_exitcode(ended[1])
                break
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            done += 1
            stages[stage(cut)] += 1
        if code != 0 or result(cut) != right:
            wrong.append(runs)
    print(json.dumps({"kills": done, "runs": runs, "stages": stages, "wrong": wrong}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
