"""Pictures of numbers and clips for the boards, as arrays."""

import cv2
import numpy as np
import numpy.typing as npt
import torch

Picture = npt.NDArray[np.uint8]
"""(H, W, 3) RGB."""
PIXELS = 8
"""Side of one value."""
MAX_SIDE = 1200
CLIPS, FRAMES, SIZE = 8, 6, 112
"""In the grid of training clips, and the side of a frame in pixels."""


def enlarged(values: npt.NDArray[np.floating]) -> Picture:
    """Values (R, C) in [0, 1] as grey squares, bright where they are high."""
    side = max(1, min(PIXELS, MAX_SIDE // max(values.shape)))
    grey = (255 * np.clip(values, 0, 1)).round().astype(np.uint8)
    return np.repeat(np.kron(grey, np.ones((side, side), np.uint8))[..., None], 3, axis=2)


def confusion(target: torch.Tensor, predicted: torch.Tensor, num_classes: int) -> Picture:
    """Rows are true classes, columns predicted ones. Each row sums to 1.

    With more than ``MAX_SIDE`` classes, neighbours share a row and a column.
    """
    there, side = predicted >= 0, min(num_classes, MAX_SIDE)
    row, column = (classes[there] * side // num_classes for classes in (target, predicted))
    counts = torch.bincount(row * side + column, minlength=side**2).view(side, -1).numpy()
    return enlarged(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1))


def clip_grid(video: torch.Tensor) -> Picture:
    """Training clips as the network gets them: one row for each clip, with all its frames.

    Args:
        video: (B, 3, T, H, W) uint8.
    """
    clips = video[:CLIPS].cpu().numpy().transpose(0, 2, 3, 4, 1)
    chosen = np.unique(np.linspace(0, clips.shape[1] - 1, FRAMES).round().astype(int))
    height, width = clips.shape[2:4]
    scale = SIZE / min(height, width)
    size = (round(width * scale), round(height * scale))
    rows = [
        np.concatenate([cv2.resize(clip[t], size, interpolation=cv2.INTER_AREA) for t in chosen], 1)
        for clip in clips
    ]
    return np.asarray(np.concatenate(rows), np.uint8)
