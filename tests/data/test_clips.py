"""Clip sampling: integers only, no video."""

import numpy as np
import pytest

from cdb_video.data.frames.sampling import ClipSampling, dense, frame_range, segments
from cdb_video.errors import DataError

LENGTHS = [1, 2, 5, 10, 11, 84, 100, 2801]


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("num_frames", [1, 3, 10, 16])
def test_each_segment_gives_one_frame_that_is_on_screen_in_it(length, num_frames):
    rng = np.random.default_rng(0)
    for clip in [segments(7, 7 + length, num_frames, rng=rng) for _ in range(20)] + [
        segments(7, 7 + length, num_frames)
    ]:
        assert clip.shape == (num_frames,)
        for part, frame in enumerate(clip - 7):
            low, high = part * length / num_frames, (part + 1) * length / num_frames
            assert 0 <= frame < length
            assert frame < high
            assert frame + 1 > low


def test_every_frame_of_a_segment_can_be_drawn_and_equally_often():
    rng = np.random.default_rng(1)
    drawn = np.concatenate([segments(0, 12, 3, rng=rng) for _ in range(3000)])
    counts = np.bincount(drawn, minlength=12)
    assert counts.sum() == 9000
    assert np.all(np.abs(counts - 750) < 5 * np.sqrt(750))


def test_a_frame_on_the_border_of_two_segments_is_shared_by_its_parts():
    # Two segments of 1.5 frames: frame 1 is the last third of the first and the first of the next.
    rng = np.random.default_rng(2)
    clips = np.array([segments(0, 3, 2, rng=rng) for _ in range(6000)])
    assert np.mean(clips[:, 0] == 1) == pytest.approx(1 / 3, abs=0.03)
    assert np.mean(clips[:, 1] == 1) == pytest.approx(1 / 3, abs=0.03)


def test_one_view_takes_the_middle_of_each_segment():
    np.testing.assert_array_equal(segments(0, 100, 10), np.arange(5, 100, 10))
    np.testing.assert_array_equal(segments(40, 49, 3), [41, 44, 47])


def test_temporal_views_spread_over_the_segment_and_miss_no_part_of_it():
    views = [segments(0, 90, 3, view=view, num_views=3) for view in range(3)]
    np.testing.assert_array_equal(views, [[5, 35, 65], [15, 45, 75], [25, 55, 85]])


def test_segments_of_a_short_video_repeat_frames_in_order():
    np.testing.assert_array_equal(segments(0, 2, 4), [0, 0, 1, 1])
    np.testing.assert_array_equal(segments(3, 4, 3), [3, 3, 3])


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("stride", [1, 2, 8])
def test_a_dense_clip_is_a_window_inside_the_range(length, stride):
    rng = np.random.default_rng(0)
    for _ in range(20):
        clip = dense(5, 5 + length, 8, stride, rng=rng)
        inside = clip < 5 + length - 1
        assert clip.min() >= 5
        assert clip.max() < 5 + length
        assert np.all(np.diff(clip)[inside[1:]] == stride)
        if length > 7 * stride:
            assert np.all(np.diff(clip) == stride)


def test_dense_starts_are_random_over_all_that_fit():
    rng = np.random.default_rng(3)
    starts = {int(dense(0, 20, 4, 5, rng=rng)[0]) for _ in range(200)}
    assert starts == set(range(5))  # 20 frames, a window of 16


def test_dense_views_are_centred_or_evenly_spaced():
    np.testing.assert_array_equal(dense(0, 10, 4, 2), [1, 3, 5, 7])
    starts = [int(dense(0, 27, 4, 2, view=view, num_views=3)[0]) for view in range(3)]
    assert starts == [0, 10, 20]


def test_a_dense_clip_of_a_short_video_repeats_the_last_frame():
    np.testing.assert_array_equal(dense(2, 5, 5, 1), [2, 3, 4, 4, 4])
    np.testing.assert_array_equal(dense(2, 5, 5, 2, rng=np.random.default_rng(0)), [2, 4, 4, 4, 4])


def test_options_choose_the_sampling():
    np.testing.assert_array_equal(ClipSampling(2, "segments", 4).indices(0, 8), [2, 6])
    np.testing.assert_array_equal(ClipSampling(2, "dense", 4).indices(0, 8), [1, 5])


def test_the_same_generator_state_gives_the_same_clip():
    one, other = (
        ClipSampling(10).indices(0, 300, rng=np.random.default_rng([4, 2])) for _ in range(2)
    )
    np.testing.assert_array_equal(one, other)
    assert not np.array_equal(
        one, ClipSampling(10).indices(0, 300, rng=np.random.default_rng([4, 3]))
    )


def test_an_empty_range_is_refused():
    with pytest.raises(ValueError, match=r"at least one frame, got the range \[4, 4\)"):
        segments(4, 4, 2)


TIMES = np.arange(10) / 10  # ten frames, 0.1 s each


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (None, None, (0, 10)),
        (0.0, 1.0, (0, 10)),
        (0.3, 0.6, (3, 6)),
        (0.35, 0.65, (3, 7)),  # frames 3 and 6 are on screen for a part of it
        (None, 0.2, (0, 2)),
        (0.8, None, (8, 10)),
        (0.8, 50.0, (8, 10)),
        (0.42, 0.43, (4, 5)),  # between two frames: the one on screen
        (0.95, 1.0, (9, 10)),  # the last frame stays for as long as the others
        (0.3004, 0.5996, (3, 6)),  # rounded to milliseconds either way
        (0.2996, 0.6004, (3, 6)),
    ],
)
def test_seconds_become_the_frames_on_screen(start, end, expected):
    assert frame_range(TIMES, 1.0, start, end) == expected


def test_neighbouring_ranges_share_no_frame_and_lose_none():
    times = np.arange(100) * 1001 / 30000
    cuts = [0, 17, 18, 55, 100]
    seconds = [round(float(cut * 1001 / 30000), 3) for cut in cuts]
    ranges = [frame_range(times, 3.337, *pair) for pair in zip(seconds, seconds[1:], strict=False)]
    assert ranges == list(zip(cuts, cuts[1:], strict=False))


def test_variable_frame_rate_counts_time_not_frames():
    times = np.array([0.0, 0.1, 0.2, 1.2, 2.2])
    assert frame_range(times, 3.2, 0.5, 1.5) == (2, 4)


@pytest.mark.parametrize(("start", "end"), [(1.0, 2.0), (70.0, None)])
def test_a_range_after_the_end_is_an_error_with_the_length(start, end):
    with pytest.raises(DataError, match=r"outside the file, which ends at 1\.000 s"):
        frame_range(TIMES, 1.0, start, end)


def test_the_last_frame_is_on_screen_for_as_long_as_it_lasts():
    """A still screen recording: 31 frames in a second, the last of them for half a minute."""
    times = np.arange(31) / 31
    assert frame_range(times, 30.96, 10.0, 20.0) == (30, 31)
    assert frame_range(np.zeros(1), 5.0, 2.0, 3.0) == (0, 1)
    with pytest.raises(DataError, match=r"the clip \[31, 32\) s lies outside"):
        frame_range(times, 30.96, 31.0, 32.0)
    with pytest.raises(DataError, match=r"which ends at 5\.000 s"):
        frame_range(np.zeros(1), 5.0, 6.0, None)


def test_before_a_video_that_starts_late_its_first_frame_stands():
    times = 0.5 + np.arange(10) / 10
    assert frame_range(times, 1.5, 0.0, 0.2) == (0, 1)
    assert frame_range(times, 1.5, 0.0, 0.7) == (0, 2)
