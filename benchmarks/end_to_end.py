"""Training from files to weights: clips a second, waiting, MFU and how busy the GPU is.

``python benchmarks/end_to_end.py``; the demo's clips, EGTEA's network on a GPU or the demo's on a
CPU, in the precision that is fastest; and the share of the time in which a kernel runs.
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from cdb_video import options
from cdb_video.demo.egtea import make_demo_data
from cdb_video.doctor.profile import profile_run

ROOT = Path(__file__).parents[1]


def busy_share(trace: Path) -> float:
    """Share of the time from the first kernel to the last in which one runs."""
    events = json.loads(trace.read_text(encoding="utf-8"))["traceEvents"]
    spans = sorted((e["ts"], e["ts"] + e["dur"]) for e in events if e.get("cat") == "kernel")
    if not spans:
        return 0.0
    busy, reached = 0.0, spans[0][0]
    for begin, end in spans:
        busy += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return float(busy / (reached - spans[0][0]))


def main() -> None:
    cuda = torch.cuda.is_available()
    config_file = ROOT / "configs" / ("egtea_cdb.yaml" if cuda else "demo_cdb.yaml")
    rows: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        make_demo_data(Path(folder, "demo"))
        words = ["DATA.EGTEA.ROOT", f"{folder}/demo", "TRAIN.PRECISION", "auto"]
        words += ["DATA_LOADER.NUM_WORKERS", str(max(1, (os.cpu_count() or 2) - 2))]
        config = options.load(config_file, words)
        trace = Path(folder, "trace.json")
        found = profile_run(config, 15, trace)
        rows = {
            "end_to_end_clips_a_second": round(found.clips_a_step / found.step, 1),
            "end_to_end_waits": round(found.seconds["wait for data"] / found.step, 3),
            "end_to_end_rest": round(found.seconds["rest"] / found.step, 4),
            "end_to_end_mfu": round(found.utilisation, 3),
            "gpu_busy": round(busy_share(trace), 3),
        }
        print(found.verdict(), file=sys.stderr)
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
