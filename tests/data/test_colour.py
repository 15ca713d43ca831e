"""Brightness, contrast and saturation of a clip, against the same written one after the other."""

import numpy as np
import torch

from cdb_video.data.frames.colour import random_colours, with_colours


def clips(count=3, num_frames=2):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(60, 180, (count, 3, num_frames, 5, 7), generator=generator).byte()


def grey(clip):
    return np.tensordot([0.299, 0.587, 0.114], clip, 1)


def expected(clip, brightness, contrast, saturation):
    """(3, T, H, W) float: blends with black, with the clip's mean grey, and with each pixel's."""
    clip = clip.numpy() * float(brightness)
    clip = contrast * clip + (1 - contrast) * grey(clip).mean()
    return saturation * clip + (1 - saturation) * grey(clip)


def test_it_is_one_change_after_the_other():
    video = clips()
    colours = random_colours(0.4, np.random.default_rng(0), 3)
    changed = with_colours(video, colours)
    assert changed.dtype == torch.uint8
    for clip, before, factors in zip(changed, video, colours, strict=True):
        wanted = np.clip(expected(before, *factors.tolist()), 0, 255)
        assert np.abs(clip.numpy() - wanted).max() < 0.51


def test_factors_of_one_change_nothing_and_what_overflows_is_white():
    video = clips()
    assert torch.equal(with_colours(video, np.ones((3, 3), np.float32)), video)
    bright = np.array([[9, 1, 1]] * 3, np.float32)
    assert (with_colours(video, bright) == 255).all()


def test_a_clip_does_not_depend_on_those_beside_it():
    video = clips(5)
    colours = random_colours(0.4, np.random.default_rng(0), 5)
    together = with_colours(video, colours)
    for number in range(5):
        alone = with_colours(video[number : number + 1], colours[number : number + 1])
        assert torch.equal(alone[0], together[number])


def test_factors_are_spread_evenly_to_both_sides():
    colours = random_colours(0.4, np.random.default_rng(0), 5000)
    assert np.abs(colours.mean(0) - 1).max() < 0.02
    assert np.abs(colours.min(0) - 0.6).max() < 0.01
    assert np.abs(colours.max(0) - 1.4).max() < 0.01
    assert np.abs(np.corrcoef(colours.T) - np.eye(3)).max() < 0.05
