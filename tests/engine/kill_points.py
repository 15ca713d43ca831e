"""Kills a run at every change that it makes to the file system, and lets it go on.

    python kill_points.py CONFIG FOLDER EVERY

A forked process ends as by ``kill -9`` just before its k-th change; another goes on in the same
folder. So for every EVERY-th k. Prints, as JSON, how many points there are, how many were tried,
and which did not end with the weights, log and difficulties of a run that nobody touched.
"""

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

import torch

from cdb_video import options
from cdb_video.engine.train.loop import train
from cdb_video.models.weights.files import read_checkpoint
from cdb_video.output.run_folder import RunFolder

CHANGES = ("replace", "link", "unlink", "fsync", "mkdir", "rmdir")


def forked(config_file, folder, kill_at=None):
    """Exit code of a process that trains into ``folder``, and ends itself at a change."""
    child = train_forked(config_file, folder, kill_at)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def train_forked(config_file, folder, kill_at=None):
    """A process that trains into ``folder``: fast, as everything is imported already."""
    child = os.fork()
    if child:
        return child
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 2)
    if kill_at is not None:
        count = iter(range(1, 1_000_000))

        def before(original):
            def change(*words, **named):
                ours = str(folder) in str(words[0]) or isinstance(words[0], int)
                if ours and next(count) == kill_at:
                    os._exit(9)
                return original(*words, **named)

            return change

        for name in CHANGES:
            setattr(os, name, before(getattr(os, name)))
    code = 1
    try:
        train(options.load(config_file, ["OUTPUT_DIR", str(folder)]))
        code = 0
    finally:
        os._exit(code)


def result(folder):
    """A digest of what a run leaves."""
    run = RunFolder(folder)
    content = hashlib.sha256(run.log.read_bytes() + run.difficulty.read_bytes())
    for path in (run.latest, run.best):
        for name, tensor in sorted(read_checkpoint(path)["model_state"].items()):
            content.update(name.encode() + tensor.numpy().tobytes())
    return content.hexdigest()


def main(config_file, root, every):
    torch.set_num_threads(1)
    assert forked(config_file, root / "whole") == 0
    right, wrong, tried, k = result(root / "whole"), [], 0, 1 - every
    while True:
        k += every
        cut = root / "cut"
        shutil.rmtree(cut, ignore_errors=True)
        if forked(config_file, cut, kill_at=k) == 0:
            break
        tried += 1
        if forked(config_file, cut) != 0 or result(cut) != right:
            wrong.append(k)
    print(json.dumps({"points": k - 1, "tried": tried, "wrong": wrong}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
