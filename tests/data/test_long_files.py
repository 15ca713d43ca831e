"""Parts of long files: the right frames, little of the file read, and the clock of players."""

import io
from fractions import Fraction

import av
import numpy as np
import pytest
from test_decode import FILES
from videos import read_number, write_video

from cdb_video.data.decode import DecodeError, Decoding, VideoReader
from cdb_video.data.decode.pyav import _kept_index
from cdb_video.data.frames.sampling import frame_range
from cdb_video.errors import DataError

WITHOUT_AN_INDEX = ("h264 raw", "h264 avi", "mpeg4 avi", "mjpeg", "vp8")


def part(path, start, end):
    """The pictures on screen during ``[start, end)``, and the reader, closed."""
    with VideoReader(path, span=(start, end)) as reader:
        first, last = frame_range(reader.times, reader.end_s, start, end)
        return reader.frames(range(first, last)), reader


@pytest.mark.parametrize("name", FILES)
def test_a_part_holds_the_frames_that_the_whole_file_shows_then(tmp_path, name):
    suffix, how = FILES[name]
    path = write_video(tmp_path / f"clip{suffix}", 100, **how)
    with VideoReader(path) as whole:
        pictures = whole.frames(range(whole.num_frames))
    rng = np.random.default_rng(0)
    spans = [(start, start + length) for start, length in rng.uniform(0.1, 2, (6, 2))]
    for start, end in [*spans, (None, 0.5), (3.1, None)]:
        first, last = frame_range(whole.times, whole.end_s, start, end)
        found, reader = part(path, start, end)
        np.testing.assert_array_equal(found, pictures[first:last])
        assert reader._decoder._in_part == (name not in WITHOUT_AN_INDEX)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_of_a_long_file_with_an_index_a_part_alone_is_read(tmp_path, suffix):
    noise = np.random.default_rng(0)
    options = {"g": "24", "bf": "2", "preset": "ultrafast"}
    path = write_video(
        tmp_path / f"long{suffix}",
        24 * 100,
        (64, 96),
        options=options,
        frame=lambda index: noise.integers(0, 256, (64, 96, 3), np.uint8),
    )

    def bytes_read():
        with open("/proc/self/io", encoding="ascii") as file:
            return int(file.readline().split()[1])

    before = bytes_read()
    pictures, _ = part(path, 70.0, 71.0)
    assert len(pictures) == 24
    assert path.stat().st_size > 9e6
    assert bytes_read() - before < path.stat().st_size / 10


def test_a_file_without_an_index_is_looked_through_once(tmp_path):
    path = write_video(tmp_path / "long.avi", 100, options={"g": "12"})
    _kept_index.cache_clear()
    for start in (0.5, 1.5, 2.5):
        part(path, start, start + 0.5)
    assert (_kept_index.cache_info().misses, _kept_index.cache_info().hits) == (1, 2)


def with_sound(path, silence_first=0.5):
    """60 numbered frames that come ``silence_first`` seconds after the sound does."""
    source = write_video(path.with_name("pictures.mp4"), 60, options={"bf": "2", "g": "12"})
    with av.open(str(source)) as reader, av.open(str(path), "w") as writer:
        pictures = writer.add_stream_from_template(reader.streams.video[0])
        sound = writer.add_stream("pcm_s16le" if path.suffix == ".mkv" else "aac", rate=16000)
        for index in range(60):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.int16), "s16", "mono")
            frame.sample_rate, frame.pts, frame.time_base = 16000, index * 1024, Fraction(1, 16000)
            writer.mux(sound.encode(frame))
        writer.mux(sound.encode())
        for packet in reader.demux(video=0):
            if packet.size:
                late = int(silence_first / packet.time_base)
                packet.pts, packet.dts, packet.stream = (
                    packet.pts + late,
                    packet.dts + late,
                    pictures,
                )
                writer.mux(packet)
    return path


@pytest.mark.parametrize("decoder", ["pyav", "decord"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_seconds_count_from_the_start_of_the_file_as_in_players(tmp_path, suffix, decoder):
    path = with_sound(tmp_path / f"sound{suffix}")
    with VideoReader(path, Decoding(decoder=decoder), (1.5, 2.0)) as reader:
        first, last = frame_range(reader.times, reader.end_s, 1.5, 2.0)
        numbers = [read_number(picture) for picture in reader.frames(range(first, last))]
    # A second after the first frame of 24 a second; the encoder of the sound may start before 0.
    assert numbers[0] in (23, 24)
    assert len(numbers) in (12, 13)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_the_last_frame_stays_for_as_long_as_the_file_says(tmp_path, suffix):
    source = write_video(tmp_path / f"source{suffix}", 24, options={"bf": "0"})
    path = tmp_path / f"still{suffix}"
    with av.open(str(source)) as reader, av.open(str(path), "w") as writer:
        copy = writer.add_stream_from_template(reader.streams.video[0])
        for packet in reader.demux(video=0):
            if packet.size and packet.pts * packet.time_base < Fraction(45, 48):
                if packet.pts * packet.time_base > Fraction(43, 48):
                    packet.duration = int(30 / packet.time_base)
                packet.stream = copy
                writer.mux(packet)
    pictures, reader = part(path, 10.0, 20.0)
    assert [read_number(picture) for picture in pictures] == [22]
    assert reader.end_s > 20
    with VideoReader(path) as whole:
        assert whole.end_s == pytest.approx(22 / 24 + 30, abs=0.01)
    with pytest.raises(DataError, match=r"\[40, 50\) s lies outside the file, which ends at 30\.9"):
        part(path, 40.0, 50.0)


def test_too_many_frames_are_refused(tmp_path):
    path = write_video(tmp_path / "clip.mp4", 40, options={"g": "4"})
    few = Decoding(max_frames=20)
    with pytest.raises(DecodeError, match=r"more than 20 frames \(DATA.MAX_FRAMES\)"):
        VideoReader(path, few)
    with VideoReader(path, few, (1.0, 1.2)) as reader:
        assert reader.num_frames < 20


@pytest.mark.parametrize("suffix", [".mp4", ".png"])
def test_too_many_pixels_are_refused(tmp_path, suffix):
    from PIL import Image

    path = tmp_path / f"large{suffix}"
    if suffix == ".mp4":
        write_video(path, 2, (480, 640))
    else:
        content = io.BytesIO()
        Image.new("RGB", (640, 480)).save(content, "png")
        path.write_bytes(content.getvalue())
    VideoReader(str(path)).close()
    with pytest.raises(DecodeError, match=path.name):
        VideoReader(str(path), Decoding(max_pixels=640 * 479))
