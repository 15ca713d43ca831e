"""The contract of decoders, over all that are registered and installed."""

import numpy as np
import pytest
import torch
from test_decode import FILES, stream_copy, with_matrix
from videos import read_number, write_video

from cdb_video.data.decode import Decoding, VideoReader
from cdb_video.errors import ConfigError, DecodeError
from cdb_video.registry import DECODERS

NUM_FRAMES = 23


@pytest.fixture(params=DECODERS.names())
def reader(request, tmp_path):
    """path -> VideoReader with one of the decoders; skipped where it is not installed."""
    probe = write_video(tmp_path / "probe.mp4", 2)
    decoding = Decoding(decoder=request.param)
    try:
        VideoReader(str(probe), decoding).close()
    except ConfigError as error:
        pytest.skip(str(error))
    return lambda path: VideoReader(str(path), decoding)


@pytest.fixture(params=["plain", "reordered", "variable rate"])
def clip(request, tmp_path):
    options = {"g": "12", "bf": "3" if request.param == "reordered" else "0"}
    ticks = list(range(NUM_FRAMES))
    if request.param == "variable rate":
        ticks = [tick + tick // 5 for tick in ticks]
    path = tmp_path / "clip.mp4"
    return write_video(path, NUM_FRAMES, options=options, ticks=ticks), np.array(ticks) / 24


def test_frames_are_those_of_the_file_in_any_order_and_with_repeats(reader, clip):
    path, _ = clip
    with reader(path) as video:
        assert (video.num_frames, video.size) == (NUM_FRAMES, (64, 96))
        for indices in ([0], [22, 0, 7, 7], range(NUM_FRAMES), [5, 3]):
            frames = video.frames(list(indices))
            assert frames.dtype == np.uint8
            assert frames.shape == (len(indices), 64, 96, 3)
            assert [read_number(frame) for frame in frames] == list(indices)
            # Red rises from left to right, blue from top to bottom: neither is mistaken.
            assert frames[0, :, -1, 0].mean() > frames[0, :, 0, 0].mean() + 50


def test_times_are_seconds_since_the_first_frame(reader, clip):
    path, times = clip
    with reader(path) as video:
        np.testing.assert_allclose(video.times, times, atol=1e-3)
        assert video.fps == pytest.approx((NUM_FRAMES - 1) / times[-1], rel=1e-3)


@pytest.mark.parametrize("scale", [0.5, 0.26])
def test_frames_may_be_scaled_on_the_way(reader, clip, scale):
    path, _ = clip
    with reader(path) as video:
        frames = video.frames([3, 11], scale=scale)
        assert frames.shape == (2, round(64 * scale), round(96 * scale), 3)
        assert [read_number(frame) for frame in frames] == [3, 11]


@pytest.mark.parametrize("content", [None, b"", b"no video", "half"])
def test_a_file_that_does_not_decode_is_named_in_one_line(reader, tmp_path, content):
    path = tmp_path / "bad.mp4"
    if content == "half":
        whole = write_video(path, NUM_FRAMES).read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(DecodeError) as error:
        reader(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_without_a_gpu_its_decoder_says_so_once_and_decodes(tmp_path, capsys):
    pytest.importorskip("torchcodec")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    path = str(write_video(tmp_path / "clip.mp4", NUM_FRAMES))
    for _ in range(2):
        with VideoReader(path, Decoding(decoder="torchcodec_cuda")) as video:
            assert read_number(video.frames([7])[0]) == 7
    said = capsys.readouterr().err
    assert said.count("torchcodec_cuda decodes on the CPU: there is no CUDA device") <= 1


CUTS = {
    "h264": {"bf": "0", "g": "12"},
    "h264 open gop": {"bf": "3", "g": "12", "x264-params": "open-gop=1"},
}
MIRRORED = {"mirrored": (-1, 0, 0, 1), "upside down": (1, 0, 0, -1), "transposed": (0, 1, 1, 0)}
TURNED = {"90": (0, 1, -1, 0), "180": (-1, 0, 0, -1), "270": (0, -1, 1, 0)}
MATRICES = {**TURNED, **MIRRORED}
CUT = {f"cut {name}" for name in CUTS}
REFUSED = {
    "decord": {"h264 ts", "h264 raw", "hevc closed gop", *CUT, *MIRRORED},
    "torchcodec": {"h264 no keyframes", "h264 avi", "h264 ts", "h264 raw", "mpeg4 avi"}
    | {*CUT, *MIRRORED},
}
"""Decoder -> what it does not read."""


def write_kind(folder, kind):
    """A file of a kind, and the numbers of its frames."""
    if kind in FILES:
        suffix, arguments = FILES[kind]
        return write_video(folder / f"clip{suffix}", 40, **arguments), np.arange(40)
    path = folder / "clip.mp4"
    if kind in MATRICES:
        return with_matrix(write_video(path, 20, size=(64, 96)), *MATRICES[kind]), None
    whole = write_video(folder / "whole.mp4", 60, options=CUTS[kind.removeprefix("cut ")])
    return stream_copy(whole, path, start=17), np.arange(17, 60)


# What PyAV does with them, to which the others are held, is in test_decode.py.
@pytest.mark.parametrize("reader", sorted({*DECODERS.names()} - {"pyav"}), indirect=True)
@pytest.mark.parametrize("kind", [*FILES, *sorted(CUT), *MATRICES])
def test_it_gives_the_picture_that_was_asked_for_or_says_that_it_cannot(
    request, reader, tmp_path, kind
):
    path, numbers = write_kind(tmp_path, kind)
    with VideoReader(str(path)) as video:
        expected = video.frames(range(video.num_frames))
    random = np.random.default_rng(0)
    reasons = []
    for _ in range(6):
        indices = random.integers(0, len(expected), 4)
        try:
            with reader(path) as video:
                pictures = video.frames(indices)
        except DecodeError as error:
            reasons.append(str(error))
            continue
        if numbers is not None:
            assert [read_number(picture) for picture in pictures] == numbers[indices].tolist()
        assert np.abs(pictures.astype(int) - expected[indices]).mean() < 3
    assert not [reason for reason in reasons if "\n" in reason]
    decoder = request.node.callspec.params["reader"]
    if decoder in REFUSED:
        assert bool(reasons) == (kind in REFUSED[decoder])


def test_all_decoders_give_the_same_colours(reader, clip):
    path, _ = clip
    with reader(path) as video, VideoReader(str(path)) as expected:
        indices = range(0, NUM_FRAMES, 4)
        got, right = video.frames(indices).astype(int), expected.frames(indices).astype(int)
    # Of edges between saturated colours other libraries make other in-betweens.
    assert np.abs(got - right).mean() < 3


def test_a_closed_reader_can_be_closed_again(reader, clip):
    video = reader(clip[0])
    video.close()
    video.close()
    with reader(clip[0]) as again:
        assert again.num_frames == video.num_frames
