"""A crop's pixels: none is passed over, none is moved, whichever way they come out of a frame."""

import cv2
import numpy as np
import pytest

from cdb_video.data.frames.crops import Crop, crop_affine
from cdb_video.data.frames.warp import warper

SHAPE = (200, 260)


def cut(frame, crop, size, **options):
    shape = frame.shape[:2]
    return warper(crop_affine(crop, shape, shape, size), shape, size, **options)(frame)


def noise(height=SHAPE[0], width=SHAPE[1]):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def smooth():
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    waves = [128 + 100 * np.sin(x / 25), 128 + 100 * np.cos(y / 31), (x + y) / 2]
    return np.stack(waves, axis=-1).round().astype(np.uint8)


def test_twice_the_size_is_the_mean_of_four_pixels_and_four_times_that_of_sixteen():
    frame = noise()
    for times in (2, 4):
        crop = Crop(7, 3, 48 * times, 48 * times)
        part = frame[3 : 3 + crop.height, 7 : 7 + crop.width].astype(float)
        expected = part.reshape(48, times, 48, times, 3).mean(axis=(1, 3))
        # Each halving rounds once.
        assert np.abs(cut(frame, crop, 48) - expected).max() <= times / 2
        flipped = cut(frame, crop._replace(flipped=True), 48)
        assert np.abs(flipped - expected[:, ::-1]).max() <= times / 2


@pytest.mark.parametrize("degrees", [0, 1e-3])
@pytest.mark.parametrize("side", [50, 62, 95, 103, 120, 137, 190])
def test_no_line_of_pixels_is_passed_over(side, degrees):
    crop = Crop(9, 5, side, side, degrees)
    for line in range(side // 2 - 8, side // 2 + 8):
        frame = np.zeros((*SHAPE, 3), np.uint8)
        frame[:, 9 + line] = 255
        frame[5 + line] = 255
        out = cut(frame, crop, 49)
        assert out.max(axis=0).min() > 0
        assert out[-3:].max(axis=(0, 2)).max() > 0  # the column
        assert out[:, -3:].max(axis=(1, 2)).max() > 0  # the row


def covered(size, side):
    """(size, side): what share of each of ``size`` equal parts each of ``side`` pixels is."""
    edges = np.linspace(0, side, size + 1)
    low, high = edges[:-1, None], edges[1:, None]
    pixels = np.arange(side)
    return np.clip(np.minimum(high, pixels + 1) - np.maximum(low, pixels), 0, None) * size / side


@pytest.mark.parametrize("degrees", [0, 1e-3])
@pytest.mark.parametrize(("side", "rms"), [(60, 2.3), (69, 3.6), (180, 6)])
def test_a_pixel_is_about_the_mean_of_what_it_covers(side, rms, degrees):
    """In grey levels, of a picture whose standard deviation is 33."""
    soft = cv2.GaussianBlur(noise(), (0, 0), 1.0)
    frame = cv2.normalize(soft, None, 0, 255, cv2.NORM_MINMAX)
    crop = Crop(9, 5, side, side, degrees)
    weights = covered(49, side)
    part = frame[5 : 5 + side, 9 : 9 + side].astype(float)
    expected = np.einsum("ih,hwc,jw->ijc", weights, part, weights, optimize=True)
    error = (cut(frame, crop, 49) - expected)[1:-1, 1:-1]
    assert np.sqrt(np.square(error).mean()) < rms


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize(("width", "height"), [(64, 64), (128, 128), (131, 131), (190, 130)])
def test_an_upright_crop_is_the_same_picture_as_one_that_is_hardly_turned(width, height, flipped):
    upright = Crop(20, 11, width, height, flipped=flipped)
    one, other = (
        cut(smooth(), crop, 60).astype(int) for crop in (upright, upright._replace(degrees=1e-3))
    )
    assert np.abs(one - other).max() <= 2
    assert np.abs((one - other).mean()) < 0.2  # half a pixel of shift is 0.5


def test_a_crop_beyond_the_frame_is_halved_too():
    frame = np.full((*SHAPE, 3), 200, np.uint8)
    crop = Crop(-40, 0, 200, 200)
    assert cut(frame, crop, 50).min() == 200
    black = cut(frame, crop, 50, black=True)
    assert black[:, :9].max() == 0
    assert black[:, 11:].min() == 200


def test_what_is_neither_moved_nor_scaled_is_a_view():
    frame = noise()
    assert np.shares_memory(cut(frame, Crop(7, 3, 48, 48), 48), frame)
    assert not np.shares_memory(cut(frame, Crop(7, 3, 50, 50), 48), frame)
