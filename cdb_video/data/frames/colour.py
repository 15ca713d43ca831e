"""Random colours of training clips: brightness, contrast and saturation."""

import numpy as np
import numpy.typing as npt
import torch

LUMA = (0.299, 0.587, 0.114)
"""What red, green and blue add to the brightness that is seen: ITU-R BT.601."""


Colours = npt.NDArray[np.float32]
"""(N, 3): factors of brightness, contrast and saturation of N clips."""


def random_colours(largest: float, rng: np.random.Generator, count: int) -> Colours:
    """``(count, 3)`` factors in [1 - largest, 1 + largest]."""
    return rng.uniform(1 - largest, 1 + largest, (count, 3)).astype(np.float32)


def with_colours(video: torch.Tensor, colours: Colours) -> torch.Tensor:
    """``video`` (B, 3, T, H, W) uint8 with other brightness, contrast and saturation.

    Contrast is the distance of a pixel to the clip's mean brightness. Saturation is its distance to
    its own brightness. All three together are linear and rounded once.
    """
    factors = torch.from_numpy(colours).to(video.device)
    brightness, contrast, saturation = factors.view(-1, 3, 1, 1, 1, 1).unbind(1)
    # Sums of integers are exact, so the mean of a clip does not depend on its batch.
    sums = video.sum((2, 3, 4), dtype=torch.int64).double()
    red, green, blue = (weight * sums[:, channel] for channel, weight in enumerate(LUMA))
    mean = ((red + green + blue) / video[0, 0].numel()).float().view(-1, 1, 1, 1, 1)
    pixels = video.float()
    red, green, blue = (weight * pixels[:, channel] for channel, weight in enumerate(LUMA))
    luma = (red + green + blue).unsqueeze(1)
    pixels = luma + saturation * (pixels - luma)
    pixels = brightness * (mean + contrast * (pixels - mean))
    return pixels.round_().clamp_(0, 255).byte()
