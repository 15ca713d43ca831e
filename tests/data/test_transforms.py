"""Geometry: known points of a picture go to known places."""

import numpy as np
import pytest

from cdb_video.data.frames.augmentation import Augmentation
from cdb_video.data.frames.crops import (
    Crop,
    crop_affine,
    decode_scale,
    fixed_crop,
    flipped_classes,
    random_crop,
    random_crops,
)
from cdb_video.data.frames.warp import warper
from cdb_video.errors import ConfigError


def gradient(height, width, scale=1):
    """(1, H, W, 3): red is the x and green the y of each pixel's centre, times ``scale``."""
    y, x = np.mgrid[:height, :width]
    picture = np.stack([(x + 0.5) * scale, (y + 0.5) * scale, np.zeros_like(x)], axis=-1)
    return picture[None].round().astype(np.uint8)


def place_of(affine, x, y):
    """Output coordinates of the decoded frame's coordinates; pixel i covers [i, i + 1)."""
    return affine @ [x - 0.5, y - 0.5, 1.0] + 0.5


def run(frames, crop, size):
    shape = frames.shape[1:3]
    cut_out = warper(crop_affine(crop, shape, shape, size), shape, size)
    return np.stack([cut_out(frame) for frame in frames])


def test_a_whole_pixel_crop_is_copied_exactly():
    frames = np.random.default_rng(0).integers(0, 256, (3, 40, 60, 3), dtype=np.uint8)
    for left in (0, 13):
        expected = frames[:, 5:37, left : left + 32]
        np.testing.assert_array_equal(run(frames, Crop(left, 5, 32, 32), 32), expected)
        mirrored = run(frames, Crop(left, 5, 32, 32, flipped=True), 32)
        np.testing.assert_array_equal(mirrored, expected[:, :, ::-1])


def test_the_copied_and_the_resampled_crop_are_the_same_picture():
    frames = gradient(40, 60, scale=4)
    for flipped in (False, True):
        copied = run(frames, Crop(13, 5, 32, 32, flipped=flipped), 32)
        resampled = run(frames, Crop(13, 5, 32, 32, degrees=1e-3, flipped=flipped), 32)
        assert np.abs(copied.astype(int) - resampled).max() <= 1


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("size", [20, 40, 80])
def test_resize_keeps_pixel_centres(flipped, size):
    crop = Crop(30, 10, 40, 40, flipped=flipped)
    out = run(gradient(60, 100), crop, size)[0].astype(float)
    centres = (np.arange(size) + 0.5) * 40 / size
    inner = slice(2, -2)
    x = 40 - centres if flipped else centres
    np.testing.assert_allclose(
        out[inner, inner, 0], np.tile(30 + x, (size, 1))[inner, inner], atol=1.01
    )
    np.testing.assert_allclose(
        out[inner, inner, 1], np.tile((10 + centres)[:, None], (1, size))[inner, inner], atol=1.01
    )
    # The mean is not subject to rounding: half a pixel of shift would show.
    expected = (30 + 20, 10 + 20)
    np.testing.assert_allclose(out.mean(axis=(0, 1))[:2], expected, atol=0.6)


def test_corners_and_middle_of_the_crop_go_to_those_of_the_output():
    affine = crop_affine(Crop(8, 4, 16, 16), (30, 50), (30, 50), 32)
    np.testing.assert_allclose(place_of(affine, 8, 4), [0, 0], atol=1e-9)
    np.testing.assert_allclose(place_of(affine, 24, 20), [32, 32], atol=1e-9)
    np.testing.assert_allclose(place_of(affine, 16, 12), [16, 16], atol=1e-9)


def test_a_stretched_crop_fills_the_output_and_turns_before_it_is_stretched():
    affine = crop_affine(Crop(8, 4, 16, 10), (30, 50), (30, 50), 32)
    np.testing.assert_allclose(place_of(affine, 8, 4), [0, 0], atol=1e-9)
    np.testing.assert_allclose(place_of(affine, 24, 14), [32, 32], atol=1e-9)
    turned = crop_affine(Crop(8, 4, 16, 10, degrees=90), (30, 50), (30, 50), 32)
    # 5 pixels right of the middle become 5 pixels above it, of which the crop has 5 there.
    np.testing.assert_allclose(place_of(turned, 16 + 5, 9), [16, 0], atol=1e-9)


def test_a_positive_angle_turns_the_picture_anticlockwise():
    # A bright spot right of the middle must go to the top.
    frames = np.zeros((1, 41, 41, 3), np.uint8)
    frames[0, 18:23, 33:38] = 255
    out = run(frames, Crop(0, 0, 41, 41, degrees=90), 41)[0, :, :, 0]
    rows, columns = np.nonzero(out > 127)
    assert rows.mean() == pytest.approx(5, abs=0.6)
    assert columns.mean() == pytest.approx(20, abs=0.6)


def test_rotation_keeps_the_middle_and_distances_and_comes_before_the_flip():
    turned = crop_affine(Crop(10, 20, 40, 40, degrees=10), (100, 100), (100, 100), 40)
    np.testing.assert_allclose(place_of(turned, 30, 40), [20, 20], atol=1e-9)
    end = place_of(turned, 40, 40) - [20, 20]
    np.testing.assert_allclose(end, [10 * np.cos(np.pi / 18), -10 * np.sin(np.pi / 18)], atol=1e-9)
    mirrored = crop_affine(Crop(10, 20, 40, 40, 10, True), (100, 100), (100, 100), 40)
    np.testing.assert_allclose(place_of(mirrored, 40, 40) - [20, 20], end * [-1, 1], atol=1e-9)


def test_a_frame_the_decoder_shrank_gives_the_same_picture():
    crop = Crop(70, 0, 120, 120, degrees=7, flipped=True)
    affine = crop_affine(crop, (120, 200), (61, 99), 60)
    whole = crop_affine(crop, (120, 200), (120, 200), 60)
    for x, y in [(70, 0), (100, 60), (190, 120)]:
        np.testing.assert_allclose(
            place_of(affine, x * 99 / 200, y * 61 / 120), place_of(whole, x, y), atol=1e-9
        )


def test_the_decoder_shrinks_what_is_not_sooner_done_afterwards_and_never_enlarges():
    for width, height, shrink in [(1080, 1080, 1080), (1280, 960, 960), (400, 480, 400)]:
        assert decode_scale(Crop(0, 0, width, height), 224) == pytest.approx(224 / shrink)
    for side in (480, 300, 224, 100):
        assert decode_scale(Crop(0, 0, side, side), 224) == 1.0


def test_outside_the_frame_lies_its_reflection():
    frames = gradient(32, 32, scale=4)
    out = run(frames, Crop(0, 0, 32, 32, degrees=45), 32)
    assert out[..., :2].min() > 0


def test_fixed_crops_take_the_middle_or_both_ends_of_the_long_side():
    assert fixed_crop(480, 640) == Crop(80, 0, 480, 480)
    assert fixed_crop(640, 480) == Crop(0, 80, 480, 480)
    assert [fixed_crop(480, 640, view, 3).left for view in range(3)] == [0, 80, 160]
    assert [fixed_crop(640, 480, view, 3).top for view in range(3)] == [0, 80, 160]


def test_random_crops_stay_inside_and_reach_every_place():
    rng = np.random.default_rng(0)
    crops = [random_crop(48, 64, 32, Augmentation(crop_scale=(0.5, 1.0)), rng) for _ in range(2000)]
    sides = [crop.width for crop in crops]
    assert (min(sides), max(sides)) == (24, 48)
    assert all(0 <= crop.left <= 64 - crop.width for crop in crops)
    assert all(0 <= crop.top <= 48 - crop.width for crop in crops)
    assert all(crop.degrees == 0 and not crop.flipped for crop in crops)
    whole = [random_crop(48, 64, 32, Augmentation(), rng) for _ in range(300)]
    assert {(crop.left, crop.top) for crop in whole} == {(left, 0) for left in range(17)}


@pytest.mark.parametrize(("height", "width"), [(300, 300), (300, 400)])
def test_crops_by_area_keep_to_area_and_aspect_ratio(height, width):
    augmentation = Augmentation(
        crop_scale=(0.08, 1.0), crop_by="area", aspect_ratio=(0.75, 4 / 3), pad=0
    )
    crops = random_crops(height, width, 224, augmentation, np.random.default_rng(0), 20000)
    area = crops.width * crops.height / (height * width)
    ratio = crops.width / crops.height
    assert (crops.left >= 0).all()
    assert (crops.top >= 0).all()
    assert (crops.left + crops.width <= width).all()
    assert (crops.top + crops.height <= height).all()
    assert area.min() == pytest.approx(0.08, abs=0.003)
    assert area.max() > 0.95
    assert ratio.min() == pytest.approx(0.75, abs=0.02)
    assert ratio.max() == pytest.approx(4 / 3, abs=0.02)
    # Where every shape fits, areas are uniform, and logarithms of ratios symmetric.
    small = area < 0.5
    assert np.mean(area[small]) == pytest.approx((0.08 + 0.5) / 2, abs=0.005)
    assert np.mean(np.log(ratio[small])) == pytest.approx(0, abs=0.01)


def test_a_crop_that_cannot_fit_is_as_large_as_the_picture_allows():
    wide = Augmentation(crop_by="area", aspect_ratio=(3.0, 3.0))
    crops = random_crops(40, 60, 32, wide, np.random.default_rng(0), 50)
    assert set(crops.width) == {60}
    assert set(crops.height) == {round((40 * 60 / 3) ** 0.5)}


def test_aspect_ratio_works_with_the_side_too():
    augmentation = Augmentation(crop_scale=(0.5, 0.5), aspect_ratio=(0.5, 2.0))
    crops = random_crops(100, 100, 32, augmentation, np.random.default_rng(0), 2000)
    assert np.sqrt(crops.width * crops.height).mean() == pytest.approx(50, abs=0.5)
    assert (crops.width.min(), crops.width.max()) == (35, 71)


def test_rotation_and_flip_follow_their_options():
    rng = np.random.default_rng(0)
    augmentation = Augmentation(rotation=10.0, flip=0.25)
    crops = [random_crop(48, 64, 32, augmentation, rng) for _ in range(2000)]
    degrees = np.array([crop.degrees for crop in crops])
    assert np.abs(degrees).max() <= 10
    assert degrees.min() < -9.5
    assert degrees.max() > 9.5
    assert np.mean([crop.flipped for crop in crops]) == pytest.approx(0.25, abs=0.04)


def test_a_flip_does_not_move_the_crop():
    plain, flipping = (
        random_crop(48, 64, 32, Augmentation(flip=flip), np.random.default_rng(5))
        for flip in (0, 1)
    )
    assert flipping == plain._replace(flipped=True)


@pytest.mark.parametrize("name", ["crop_scale", "aspect_ratio"])
def test_a_range_the_wrong_way_round_is_refused(name):
    with pytest.raises(ConfigError, match=rf"{name.upper()} must be .*, got \[1, 0\.8\]"):
        Augmentation(**{name: (1.0, 0.8)})


def test_flip_labels_swap_pairs_and_leave_the_rest():
    names = ["away", "left", "right", "still"]
    np.testing.assert_array_equal(flipped_classes(names, [("right", "left")]), [0, 2, 1, 3])
    np.testing.assert_array_equal(flipped_classes(names, []), [0, 1, 2, 3])


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([("left", "rihgt")], r"FLIP_LABELS must name classes \(left, right, up\), got 'rihgt'"),
        ([("left", "right"), ("up", "left")], "a class once, got 'left' twice"),
        ([("up", "up")], "a class once, got 'up' twice"),
    ],
)
def test_flip_labels_that_make_no_sense_are_refused(pairs, message):
    with pytest.raises(ConfigError, match=message):
        flipped_classes(["left", "right", "up"], pairs)
