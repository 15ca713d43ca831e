"""What a second process gives: clips a second of two against one, with the gradient exchanged.

``python benchmarks/scaling.py [NETWORK:CLIPSxFRAMESxSIDE]`` (default resnext3d:4x10x112) starts two
processes of one thread; in turn, five rounds, one of them works while the other waits, both work
each for itself, and both work together. "For itself" shows what the machine gives to two at all.
"""

import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from torch import nn
from training_step import clips_of, step_of

from cdb_video import distributed
from cdb_video.models import build_model
from cdb_video.models.tuning.freezing import freeze_norms
from cdb_video.models.tuning.stages import stage_units

MEANING = {
    "apart": "each for itself",
    "ddp": "DistributedDataParallel",
    "fully_shard": "PARALLEL.FULLY_SHARD",
}
STEPS, ROUNDS, DEFAULT = 3, 5, "resnext3d:4x10x112"


def steps_of(network: nn.Module, clips: torch.Tensor) -> Callable[[], float]:
    """A function that gives the seconds of one training step."""
    step = step_of(network, clips)

    def steps() -> float:
        begin = time.perf_counter()
        for _ in range(STEPS):
            step()
        return (time.perf_counter() - begin) / STEPS

    return steps


def fresh(name: str) -> nn.Module:
    torch.manual_seed(0)
    model = build_model(name, 19)
    freeze_norms(model)  # batch norm that learns cannot be sharded
    return model


def measure(setting: str) -> None:
    name, shape = setting.split(":")
    device = torch.device("cpu")
    clips = clips_of(shape, device)
    with distributed.process_group(device):
        plain, sharded = fresh(name), fresh(name)
        distributed.shard(sharded, stage_units(sharded), device)
        alone = steps_of(plain, clips)
        ways = {
            "apart": alone,
            "ddp": steps_of(distributed.wrap(fresh(name), device), clips),
            "fully_shard": steps_of(sharded, clips),
        }
        seconds: dict[str, list[float]] = {"one": [], **{way: [] for way in ways}}
        for round_, (way, steps) in itertools.product(
            range(ROUNDS + 1), [("one", None), *ways.items()]
        ):
            distributed.barrier()
            own = alone() if steps is None and distributed.is_main() else steps() if steps else 0.0
            slowest = max(distributed.gather(own))
            if round_:  # the first warms up
                seconds[way].append(slowest)
        if distributed.is_main():
            report(setting, seconds)


def report(setting: str, seconds: dict[str, list[float]]) -> None:
    facts = {}
    print(f"{setting}; one process: {1e3 * statistics.median(seconds['one']):.0f} ms a step")
    for way in list(seconds)[1:]:
        shares = [one / two for one, two in zip(seconds["one"], seconds[way], strict=True)]
        share = statistics.median(shares)
        print(
            f"two, {MEANING[way]}: {2 * share:.2f} times the clips/s, {100 * share:.0f} % of twice "
            f"({100 * min(shares):.0f} to {100 * max(shares):.0f})"
        )
        facts[f"scaling_{way}"] = round(share, 3)
    print(json.dumps(facts))


if __name__ == "__main__":
    setting = sys.argv[1] if len(sys.argv) > 1 else DEFAULT
    if "RANK" in os.environ:
        measure(setting)
    else:
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command = [*torchrun, "--nproc_per_node", "2", __file__, setting]
        sys.exit(subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}).returncode)
