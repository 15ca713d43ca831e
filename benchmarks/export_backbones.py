"""Writes small networks of every backbone as ONNX and as ``torch.export``, and compares logits.

``python benchmarks/export_backbones.py [NAME ...]`` prints the table of docs/export.md: the largest
difference of a logit from PyTorch's, divided by the standard deviation of the logits, of three
random clips in a batch of another size than the one that was traced. Seed 0, on the CPU; 6 minutes.
"""

import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "models"))
from small import SMALL

from cdb_video.models import build_model
from cdb_video.registry import BACKBONES


def differences(name: str) -> tuple[float, float]:
    """Of ONNX and of ``torch.export``."""
    torch.manual_seed(0)
    model: Any = build_model(name, 5, **SMALL[name]).eval()
    frames, size = model.input_format[:2] if model.fixed_input else (8, 64)
    clips = torch.randint(0, 256, (3, 3, frames, size, size), dtype=torch.uint8)
    shapes = ({0: torch.export.Dim("batch", min=1)},)
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        program: Any = torch.export.export(model, (clips[:2],), dynamic_shapes=shapes)
        path = str(Path(folder) / "model.onnx")
        torch.onnx.export(
            model, (clips[:2],), path, dynamo=True, dynamic_shapes=shapes, input_names=["video"],
            external_data=False, verbose=False,
        )  # fmt: skip
        wanted = model(clips).numpy()
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        got = session.run(None, {"video": clips.numpy()})[0]
        exported = program.module()(clips).numpy()
    spread = float(wanted.std())
    return tuple(float(np.abs(one - wanted).max()) / spread for one in (got, exported))


def main() -> None:
    warnings.simplefilter("ignore")
    print(f"torch {torch.__version__}, onnxruntime {onnxruntime.__version__}")
    print("| backbone | ONNX | torch.export |\n|---|---|---|")
    for name in sys.argv[1:] or BACKBONES.names():
        onnx, export = differences(name)
        print(f"| `{name}` | {onnx:.0e} | {export:.0e} |", flush=True)


if __name__ == "__main__":
    main()
