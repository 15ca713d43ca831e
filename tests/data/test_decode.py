"""Decoding of real files: random access equals sequential decoding, and every fault is named."""

import os
import pickle
import struct
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from av.stream import Disposition
from videos import numbered_frame, read_number, with_matrix, write_video

from cdb_video.data.decode import DecodeError, Decoding, VideoReader
from cdb_video.errors import ConfigError

X265 = "log-level=none:pools=1:"

# name: (suffix, arguments of write_video)
FILES = {
    "h264": (".mp4", {"options": {"bf": "0", "g": "12"}}),
    "h264 b-frames": (".mp4", {"options": {"bf": "3", "g": "12"}}),
    "h264 open gop": (".mp4", {"options": {"bf": "3", "g": "12", "x264-params": "open-gop=1"}}),
    "h264 no keyframes": (".mkv", {"options": {"x264-params": "intra-refresh=1:keyint=12"}}),
    "h264 4:4:4 odd": (".mp4", {"size": (271, 319), "pixel_format": "yuv444p"}),
    "h264 mkv": (".mkv", {"options": {"g": "12"}}),
    "h264 avi": (".avi", {"options": {"bf": "2", "g": "12"}}),
    "h264 ts": (".ts", {"options": {"bf": "2", "g": "12"}}),
    "h264 raw": (".h264", {"fps": 25, "options": {"bf": "2", "g": "12"}}),
    "hevc": (".mp4", {"codec": "libx265", "options": {"x265-params": X265 + "keyint=12"}}),
    "hevc closed gop": (
        ".mkv",
        {"codec": "libx265", "options": {"x265-params": X265 + "keyint=12:open-gop=0"}},
    ),
    "vp9": (".webm", {"codec": "libvpx-vp9", "options": {"g": "12", "cpu-used": "8"}}),
    "vp9 odd": (".webm", {"codec": "libvpx-vp9", "size": (271, 319), "options": {"cpu-used": "8"}}),
    "vp8": (".webm", {"codec": "libvpx", "options": {"auto-alt-ref": "1", "cpu-used": "8"}}),
    # With more than one thread this encoder was seen to wait for itself without end.
    "av1": (
        ".mp4",
        {"codec": "libsvtav1", "options": {"g": "12", "preset": "12", "svtav1-params": "lp=1"}},
    ),
    "mpeg4": (".mp4", {"codec": "mpeg4", "options": {"g": "12", "bf": "2"}}),
    "mpeg4 avi": (".avi", {"codec": "mpeg4", "options": {"g": "12", "bf": "2"}}),
    "mpeg4 odd": (".mp4", {"codec": "mpeg4", "size": (271, 319)}),
    "mjpeg": (".avi", {"codec": "mjpeg", "pixel_format": "yuvj420p"}),
    "mjpeg odd": (".mkv", {"codec": "mjpeg", "size": (271, 319), "pixel_format": "yuvj420p"}),
}


def sequential(path):
    """Every presented frame, decoded in one go without seeking."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def assert_random_access(path, expected, rounds=12):
    """Index lists in any order, with repeats, within one reader and in fresh ones."""
    random = np.random.default_rng(0)
    lists = [random.integers(0, len(expected), random.integers(1, 7)) for _ in range(rounds)]
    lists += [np.arange(len(expected))[::-1], np.array([len(expected) - 1, 0, 0])]
    with VideoReader(path) as kept:
        assert kept.num_frames == len(expected)
        for indices in lists:
            pictures = kept.frames(indices)
            assert pictures.dtype == np.uint8
            for index, picture in zip(indices, pictures, strict=True):
                np.testing.assert_array_equal(picture, expected[index])
    for indices in lists[:3]:
        with VideoReader(path) as fresh:
            for index, picture in zip(indices, fresh.frames(indices), strict=True):
                np.testing.assert_array_equal(picture, expected[index])


def stream_copy(source, target, start):
    """Cuts without re-encoding at presented frame ``start``: from the keyframe before it on."""
    with av.open(str(source)) as reader, av.open(str(target), "w") as writer:
        stream = reader.streams.video[0]
        copy = writer.add_stream_from_template(stream)
        packets = [packet for packet in reader.demux(stream) if packet.size]
        zero = sorted(packet.pts for packet in packets)[start]
        keys = [i for i, p in enumerate(packets) if p.is_keyframe and p.pts <= zero]
        for packet in packets[keys[-1] :]:
            packet.pts, packet.dts, packet.stream = packet.pts - zero, packet.dts - zero, copy
            writer.mux(packet)
    return target


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """60 frames of H.264 with B-frames, a keyframe every 12 frames."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    return write_video(path, 60, options={"bf": "2", "g": "12"})


@pytest.mark.parametrize("name", FILES)
def test_random_access_gives_the_frames_of_sequential_decoding(tmp_path, name):
    suffix, arguments = FILES[name]
    path = write_video(tmp_path / f"video{suffix}", 40, **arguments)
    expected = sequential(path)
    assert [read_number(picture) for picture in expected] == list(range(40))
    assert_random_access(path, expected)
    with VideoReader(path) as reader:
        assert reader.size == arguments.get("size", (64, 96))
        assert reader.fps == pytest.approx(arguments.get("fps", 24), rel=0.02)


def test_without_the_loop_filter_the_moments_are_the_same_and_the_pixels_near(tmp_path):
    options = {"bf": "2", "g": "12", "crf": "34"}
    path = write_video(tmp_path / "a.mp4", 24, (96, 128), options=options)
    with VideoReader(path) as one, VideoReader(path, Decoding(skip_loop_filter=True)) as other:
        filtered, raw = (reader.frames(np.arange(24)) for reader in (one, other))
        assert list(one.times) == list(other.times)
    assert [read_number(picture) for picture in raw] == list(range(24))
    assert 0 < np.abs(filtered.astype(int) - raw).mean() < 8


def test_colours_are_rgb(clip):
    with VideoReader(clip) as reader:
        difference = np.abs(reader.frames([9])[0].astype(int) - numbered_frame(9, (64, 96)))
    assert difference.mean() < 4


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_variable_frame_rate_gives_the_times_written(tmp_path, suffix):
    ticks = [0, 1, 2, 10, 11, 30, 31, 33, 60, 61, 100, 102]
    path = write_video(tmp_path / f"vfr{suffix}", 12, ticks=ticks, options={"bf": "2", "g": "4"})
    assert_random_access(path, sequential(path))
    with VideoReader(path) as reader:
        np.testing.assert_allclose(reader.times, np.array(ticks) / 24, atol=1e-3)
        assert reader.fps == pytest.approx(11 / (102 / 24), rel=1e-3)


def test_times_start_at_the_first_presented_frame(tmp_path):
    path = write_video(tmp_path / "late.mp4", 10, ticks=range(48, 58), options={"bf": "2"})
    with VideoReader(path) as reader:
        np.testing.assert_allclose(reader.times, np.arange(10) / 24, atol=1e-6)


@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("libx264", {"bf": "0", "g": "12"}),
        ("libx264", {"bf": "3", "g": "12", "x264-params": "open-gop=1"}),
        ("libx265", {"x265-params": X265 + "keyint=12"}),
        ("libvpx-vp9", {"g": "12", "cpu-used": "8"}),
    ],
)
def test_frames_hidden_by_a_stream_copied_cut_are_not_presented(tmp_path, codec, options):
    whole = write_video(tmp_path / "whole.mp4", 60, codec=codec, options=options)
    path = stream_copy(whole, tmp_path / "cut.mp4", start=17)
    with av.open(str(path)) as container:
        assert any(packet.is_discard for packet in container.demux(video=0))
    expected = sequential(path)
    assert [read_number(picture) for picture in expected] == list(range(17, 60))
    assert_random_access(path, expected)
    with VideoReader(path) as reader:
        np.testing.assert_allclose(reader.times, np.arange(43) / 24, atol=1e-6)


def test_a_cut_that_lost_the_frames_it_refers_to_presents_what_a_player_does(tmp_path):
    options = {"x265-params": X265 + "keyint=12:min-keyint=12"}
    whole = write_video(tmp_path / "whole.mp4", 60, codec="libx265", options=options)
    path = stream_copy(whole, tmp_path / "cut.mkv", start=30)
    expected = sequential(path)
    with av.open(str(path)) as container:
        num_packets = sum(packet.size > 0 for packet in container.demux(video=0))
    assert len(expected) < num_packets, "the frames in front of the keyframe cannot be decoded"
    assert_random_access(path, expected)


def test_made_up_times_of_presentation_are_not_believed(tmp_path):
    """AVI stores none, so that a copy into MP4 gets the times of another order."""
    whole = write_video(tmp_path / "whole.avi", 40, options={"bf": "2", "g": "12"})
    path = stream_copy(whole, tmp_path / "copy.mp4", start=0)
    expected = sequential(path)
    assert [read_number(picture) for picture in expected] == list(range(40))
    assert_random_access(path, expected)
    for index, picture in enumerate(expected):
        with VideoReader(path) as reader:
            np.testing.assert_array_equal(reader.frames([index])[0], picture)


def test_made_up_times_of_avi_are_not_believed(tmp_path):
    path = write_video(
        tmp_path / "vfr.avi",
        60,
        ticks=np.sort(np.random.default_rng(3).choice(400, 60, replace=False)).tolist(),
        options={"g": "5", "bf": "4", "x264-params": "open-gop=1:b-pyramid=strict"},
    )
    for index, picture in enumerate(sequential(path)):
        with VideoReader(path) as reader:
            np.testing.assert_array_equal(reader.frames([index])[0], picture)


@pytest.mark.parametrize(
    "matrix",
    [(0, 1, -1, 0), (0, -1, 1, 0), (-1, 0, 0, -1), (-1, 0, 0, 1), (1, 0, 0, -1), (0, 1, 1, 0)],
    ids=["90", "270", "180", "mirrored", "upside down", "transposed"],
)
def test_a_display_matrix_is_honoured(tmp_path, matrix):
    path = write_video(tmp_path / "turned.mp4", 20, options={"bf": "2"})
    stored = sequential(path)[7]
    with_matrix(path, *matrix)
    a, b, c, d = matrix
    # Every stored point (p, q) goes to (a p + c q, b p + d q), moved so that all are >= 0.
    q, p = np.mgrid[: stored.shape[0], : stored.shape[1]]
    across, down = a * p + c * q, b * p + d * q
    across, down = across - across.min(), down - down.min()
    expected = np.empty((down.max() + 1, across.max() + 1, 3), np.uint8)
    expected[down, across] = stored
    with VideoReader(path) as reader:
        assert reader.size == expected.shape[:2]
        np.testing.assert_array_equal(reader.frames([7])[0], expected)
        assert reader.frames([7], scale=0.5).shape[1:3] == tuple(
            round(side / 2) for side in expected.shape[:2]
        )


def test_scale_averages_areas(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (120, 180, 1), dtype=np.uint8)
    path = write_video(
        tmp_path / "noise.mkv",
        2,
        size=(120, 180),
        frame=lambda index: np.repeat(noise, 3, axis=2),
        pixel_format="yuv444p",
        options={"qp": "0"},
    )
    with VideoReader(path) as reader:
        small = reader.frames([1], scale=0.25)[0]
    averages = noise.reshape(30, 4, 45, 4).mean(axis=(1, 3))
    assert small.shape == (30, 45, 3)
    assert np.abs(small - averages[:, :, None]).max() <= 3


@pytest.mark.parametrize(
    ("scale", "size"), [(0.4, (48, 72)), (1.5, (180, 272)), (0.001, (1, 1)), (1.0, (120, 181))]
)
def test_scale_rounds_each_side(tmp_path, scale, size):
    path = write_video(tmp_path / "video.mp4", 5, size=(120, 181), codec="mpeg4")
    with VideoReader(path) as reader:
        full, scaled = reader.frames([3])[0], reader.frames([3], scale)[0]
    assert scaled.shape == (*size, 3)
    resized = cv2.resize(full, size[::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(scaled.astype(int) - resized).mean() < 3


@pytest.mark.parametrize("kind", ["closed groups", "open groups", "cut"])
def test_sparse_frames_of_a_long_file_are_reached_without_decoding_the_rest(tmp_path, kind):
    """All but three groups of pictures lost what follows the keyframe: who decodes them fails."""
    options = {"g": "25", "sc_threshold": "0", "preset": "veryfast", "bf": "3"}
    if kind == "open groups":
        options["x264-params"] = "open-gop=1"
    path = write_video(tmp_path / "long.mp4", 1000, options=options)
    shift = 12 if kind == "cut" else 0
    if kind == "cut":
        path = stream_copy(path, tmp_path / "cut.mp4", start=shift)
    wanted = [4, *range(604 - shift, 612 - shift), 988 - shift]

    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    shown = sorted(packet.pts for packet in packets if not packet.is_discard)
    keys = [i for i, packet in enumerate(packets) if packet.is_keyframe]
    groups = [packets[i:j] for i, j in zip(keys, [*keys[1:], len(packets)], strict=True)]
    needed = {
        max(n for n, group in enumerate(groups) if group[0].pts <= shown[index]) for index in wanted
    }
    data = bytearray(path.read_bytes())
    for n, group in enumerate(groups):
        for packet in group[1:] if n not in needed else []:
            data[packet.pos : packet.pos + packet.size] = b"\xff" * packet.size
    path.write_bytes(data)

    assert (len(needed), len(groups)) == (3, 40)
    with pytest.raises(av.FFmpegError):
        sequential(path)
    with VideoReader(path) as reader:
        for indices in (wanted, [wanted[-1], 4], wanted[2:3], wanted[7:8]):
            numbers = [read_number(picture) - shift for picture in reader.frames(indices)]
            assert numbers == indices
        with pytest.raises(DecodeError, match=f"{path.name}: "):
            reader.frames([700])


def test_one_frame(tmp_path):
    path = write_video(tmp_path / "one.mp4", 1, fps=30)
    with VideoReader(path) as reader:
        assert (reader.num_frames, reader.fps, reader.times.tolist()) == (1, 30.0, [0.0])
        assert reader.frames([0, 0]).shape == (2, 64, 96, 3)


def test_no_index_gives_no_frame(clip):
    with VideoReader(clip) as reader:
        assert reader.frames([], scale=0.5).shape == (0, 32, 48, 3)


def write_with_audio(path, num_frames):
    """A tone, and with ``num_frames`` > 0 a video beside it; the tone is the first stream."""
    with av.open(str(path), "w") as container:
        tone = container.add_stream("aac", rate=16000)
        if num_frames:
            video = container.add_stream("mpeg4", rate=24)
            video.width, video.height = 96, 64
        samples = np.sin(np.arange(16000, dtype=np.float32) / 10)[None]
        sound = av.AudioFrame.from_ndarray(samples, "fltp", "mono")
        sound.sample_rate = 16000
        container.mux(tone.encode(sound))
        container.mux(tone.encode())
        for index in range(num_frames):
            picture = av.VideoFrame.from_ndarray(numbered_frame(index, (64, 96)), "rgb24")
            container.mux(video.encode(picture))
        if num_frames:
            container.mux(video.encode())
    return path


def test_audio_beside_the_video_is_ignored(tmp_path):
    path = write_with_audio(tmp_path / "both.mp4", 12)
    with VideoReader(path) as reader:
        assert [read_number(picture) for picture in reader.frames([11, 2])] == [11, 2]


def test_a_frame_that_is_stored_as_rgb_is_the_caller_s_own(tmp_path):
    def frame(index):
        picture = np.full((64, 128, 3), 90, np.uint8)
        picture[8:16, 4 * index : 4 * index + 8] = 200
        return picture

    how = {"codec": "qtrle", "pixel_format": "rgb24", "options": {"g": "100"}, "frame": frame}
    path = write_video(tmp_path / "changes.mov", 12, (64, 128), **how)
    with VideoReader(path) as reader:
        for index, picture in enumerate(reader.stream(np.arange(12))):
            np.testing.assert_array_equal(picture, frame(index))
            picture[:] = 0  # the next frame is stored as what changes


def cut_short(path, source, part):
    data = source.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    return path


def cut_after(path, num_packets):
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    path.write_bytes(path.read_bytes()[: packets[num_packets].pos])
    return path


def index_in_front(path, source):
    """The same MP4 with ``moov`` before the frames, as prepared for downloads."""
    with (
        av.open(str(source)) as reader,
        av.open(str(path), "w", options={"movflags": "faststart"}) as writer,
    ):
        copy = writer.add_stream_from_template(reader.streams.video[0])
        for packet in reader.demux(video=0):
            if packet.size:
                packet.stream = copy
                writer.mux(packet)
    return path


def size_change(path):
    """Two transport streams in one file, the second of another size."""
    first = write_video(path.with_name("first.ts"), 12, size=(64, 96))
    second = write_video(path.with_name("second.ts"), 12, size=(96, 64), ticks=range(12, 24))
    path.write_bytes(first.read_bytes() + second.read_bytes())
    return path


def written(path, data):
    path.write_bytes(data)
    return path


DAMAGED = {
    "missing": lambda folder, clip: folder / "missing.mp4",
    "folder": lambda folder, clip: folder,
    "empty": lambda folder, clip: written(folder / "empty.mp4", b""),
    "text": lambda folder, clip: written(folder / "text.mp4", b"this is no video\n" * 50),
    "no index": lambda folder, clip: cut_short(folder / "cut.mp4", clip, 0.6),
    "download broke off": lambda folder, clip: cut_short(
        folder / "cut.mp4", index_in_front(folder / "whole.mp4", clip), 0.6
    ),
    "download broke off between frames": lambda folder, clip: cut_after(
        index_in_front(folder / "whole.mp4", clip), num_packets=30
    ),
    "avi cut short": lambda folder, clip: cut_short(
        folder / "cut.avi", write_video(folder / "whole.avi", 60, (240, 320), "mpeg4"), 0.6
    ),
    "audio only": lambda folder, clip: write_with_audio(folder / "sound.mp4", 0),
    "no frame decodes": lambda folder, clip: written(
        folder / "void.mp4", b"".join(hollow(clip.read_bytes()))
    ),
}


def hollow(data):
    """The boxes of an MP4, the contents of ``mdat`` overwritten."""
    position = 0
    while position < len(data):
        size, kind = struct.unpack(">I4s", data[position : position + 8])
        box = data[position : position + size]
        yield box[:8] + b"\xff" * (size - 8) if kind == b"mdat" else box
        position += size


@pytest.mark.parametrize("name", DAMAGED)
def test_whatever_is_wrong_is_one_line_that_opens_with_the_path(tmp_path, clip, name):
    path = DAMAGED[name](tmp_path, clip)
    with pytest.raises(DecodeError) as caught, VideoReader(path) as reader:
        reader.frames(range(reader.num_frames))
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert len(text) > len(f"{path}: ")
    assert "\n" not in text
    assert "Traceback" not in text
    assert str(pickle.loads(pickle.dumps(caught.value))) == text


@pytest.mark.parametrize("name", [name for name in DAMAGED if "broke off" in name or "cut" in name])
def test_a_file_that_ends_early_is_refused_when_opened(tmp_path, clip, name):
    path = DAMAGED[name](tmp_path, clip)
    with pytest.raises(DecodeError, match="cut short"):
        VideoReader(path)


def test_flipped_bits_give_frames_or_a_decode_error(tmp_path, clip):
    """Nothing else may escape: no other exception, no crash."""
    random, outcomes = np.random.default_rng(0), set()
    data = np.frombuffer(clip.read_bytes(), np.uint8)
    path = tmp_path / "flipped.mp4"
    for _ in range(60):
        broken = data.copy()
        broken[random.integers(0, len(data), 8)] ^= 1 << random.integers(0, 8, dtype=np.uint8)
        path.write_bytes(broken.tobytes())
        try:
            with VideoReader(path) as reader:
                outcomes.add(reader.frames([0, reader.num_frames // 2]).shape[0])
        except DecodeError:
            outcomes.add("error")
    assert outcomes == {2, "error"}


@pytest.mark.parametrize("index", [-1, 60, 10**9])
def test_an_index_out_of_range_is_named(clip, index):
    with (
        VideoReader(clip) as reader,
        pytest.raises(DecodeError, match=rf"clip.mp4: .*\[0, 60\), got {index}$"),
    ):
        reader.frames([3, index])


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts open files through /proc")
def test_files_are_closed(tmp_path, clip):
    broken = cut_short(tmp_path / "cut.mp4", index_in_front(tmp_path / "whole.mp4", clip), 0.6)
    weak = write_video(tmp_path / "weak.webm", 5, codec="libvpx")

    def use_all():
        for path in (clip, weak, broken, tmp_path / "missing.mp4"):
            try:
                with VideoReader(path) as reader:
                    reader.frames([3, 0])
            except DecodeError:
                continue

    use_all()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(25):
        use_all()
    assert len(os.listdir("/proc/self/fd")) == before


class TestDecord:
    @pytest.mark.parametrize("size", [(64, 96), (72, 72), (240, 320)])
    def test_it_gives_the_same_frames_as_pyav(self, tmp_path, size):
        path = write_video(tmp_path / "video.mp4", 40, size=size, options={"bf": "2", "g": "12"})
        indices = [33, 2, 2, 39, 0]
        with VideoReader(path, Decoding(decoder="decord")) as decord, VideoReader(path) as pyav:
            assert (decord.num_frames, decord.size) == (40, size)
            assert decord.fps == pytest.approx(24, rel=1e-5)
            np.testing.assert_allclose(decord.times, pyav.times, atol=1e-6)
            ours, theirs = pyav.frames(indices), decord.frames(indices)
            assert np.abs(ours.astype(int) - theirs).max() <= 2
            small = decord.frames(indices, scale=0.25)
            assert small.shape == (5, size[0] // 4, size[1] // 4, 3)
            assert [read_number(picture) for picture in small] == indices

    def test_frames_far_from_a_keyframe_are_the_right_ones(self, tmp_path):
        path = write_video(tmp_path / "long.mp4", 700, size=(240, 320), options={"g": "250"})
        indices = [245, 3, 244, 246, 699, 250, 249, 0]
        with VideoReader(path, Decoding(decoder="decord")) as reader:
            for picked in (indices, indices[::-1], indices[2:5]):
                pictures = reader.frames(picked)
                assert [read_number(picture) for picture in pictures] == picked

    def test_a_cut_with_hidden_frames_is_refused(self, tmp_path):
        whole = write_video(tmp_path / "whole.mp4", 60, options={"g": "12"})
        path = stream_copy(whole, tmp_path / "cut.mp4", start=17)
        with pytest.raises(DecodeError, match="cut.mp4: .*use pyav"):
            VideoReader(path, Decoding(decoder="decord"))

    @pytest.mark.parametrize("name", ["missing", "empty", "text", "no index", "audio only"])
    def test_its_errors_are_one_line_too(self, tmp_path, clip, name):
        path = DAMAGED[name](tmp_path, clip)
        with pytest.raises(DecodeError) as caught:
            VideoReader(path, Decoding(decoder="decord"))
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)


def test_an_unknown_decoder_is_refused(clip):
    with pytest.raises(
        ConfigError,
        match=r"unknown decoder 'gif' \(known: decord, pyav, torchcodec, torchcodec_cuda\)",
    ):
        VideoReader(clip, Decoding(decoder="gif"))


def test_a_size_that_changes_on_the_way_is_brought_to_the_first(tmp_path):
    path = size_change(tmp_path / "change.ts")
    with VideoReader(str(path)) as video:
        assert (video.num_frames, video.size) == (24, (64, 96))
        pictures = video.frames(np.arange(24))
    with VideoReader(str(tmp_path / "second.ts")) as second:
        wanted = cv2.resize(second.frames([5])[0], (96, 64), interpolation=cv2.INTER_LINEAR)
    assert np.abs(pictures[17].astype(int) - wanted).mean() < 12
    np.testing.assert_array_equal(pictures[:12], sequential(tmp_path / "first.ts"))


@pytest.mark.parametrize(
    ("ratio", "turned", "size"),
    [
        ((2, 1), False, (64, 192)),
        ((2, 1), True, (192, 64)),
        ((1, 2), False, (64, 48)),
        ((1, 99), False, (64, 96)),
    ],
)
def test_pixels_that_are_not_square_are_stretched_as_players_do(tmp_path, ratio, turned, size):
    path = tmp_path / "wide.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=12)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(*ratio)
        for number in range(6):
            frame = av.VideoFrame.from_ndarray(numbered_frame(number, (64, 96)), "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    if turned:
        with_matrix(path, 0, 1, -1, 0)
    with VideoReader(str(path)) as video:
        assert video.size == size
        assert video.frames([0, 3]).shape == (2, *size, 3)
        assert video.frames([0], 0.5).shape[1:3] == tuple(side // 2 for side in size)


def test_a_cover_picture_is_no_video(tmp_path):
    cover, song = tmp_path / "cover.png", tmp_path / "song.m4a"
    cv2.imwrite(str(cover), numbered_frame(1, (64, 96)))
    with av.open(str(song), "w", format="mp4") as container:
        sound = container.add_stream("aac", rate=44100)
        with av.open(str(cover)) as picture:
            copy = container.add_stream_from_template(picture.streams.video[0])
            copy.disposition = Disposition.attached_pic
            (packet,) = [one for one in picture.demux() if one.size]
            packet.stream = copy
        for _ in range(20):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            frame.rate = 44100
            container.mux(sound.encode(frame))
        container.mux(packet)
        container.mux(sound.encode(None))
    with pytest.raises(DecodeError, match="it holds a cover picture and no video"):
        VideoReader(str(song))
