"""A film strip of a clip with the evidence for its class, as a PNG."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from cdb_video.report.png import drawn

MAX_FRAMES = 10


def draw_heat_strip(
    path: Path,
    title: str,
    clip: npt.NDArray[np.uint8],
    overlay: npt.NDArray[np.uint8],
    times: npt.NDArray[np.float64],
) -> None:
    """Frames above, the same frames with heat maps below. A long clip shows some of its frames.

    Args:
        clip, overlay: (T, S, S, 3) RGB; times: (T,) seconds.
    """
    shown = np.unique(np.linspace(0, len(clip) - 1, MAX_FRAMES).round().astype(int))
    with drawn(path, figsize=(1.5 * len(shown) + 0.1, 3.5), dpi=110) as figure:
        rows = figure.subplots(2, len(shown), squeeze=False)
        for column, number in enumerate(shown):
            for axes, picture in zip(rows[:, column], (clip[number], overlay[number]), strict=True):
                axes.imshow(picture)
                axes.axis("off")
            rows[0, column].set_title(f"{times[number]:.2f} s", fontsize=8)
        figure.suptitle(title, fontsize=10)
