"""Image files are videos of one frame: upright, RGB, 8 bits; damaged ones are named."""

import struct

import cv2
import numpy as np
import pytest

from cdb_video.data.datasets.clips import Clips
from cdb_video.data.decode import DecodeError, VideoReader
from cdb_video.errors import DataError
from cdb_video.system.file_kinds import IMAGE_SUFFIXES

LOSSLESS = [".png", ".bmp", ".tif", ".tiff", ".ppm"]


def picture(height=24, width=36):
    """(H, W, 3) RGB, smooth, red at the left, green at the top, blue at the right."""
    y, x = np.mgrid[:height, :width]
    planes = [255 * (1 - x / width), 255 * (1 - y / height), 255 * x / width]
    return np.stack(planes, axis=-1).astype(np.uint8)


def write(path, pixels):
    """Writes ``pixels`` (H, W, 3) RGB, (H, W, 4) RGB and alpha, or (H, W)."""
    order = {2: slice(None), 3: [2, 1, 0], 4: [2, 1, 0, 3]}
    stored = pixels if pixels.ndim == 2 else pixels[..., order[pixels.shape[2]]]
    assert cv2.imwrite(str(path), stored)
    return str(path)


def read(path):
    with VideoReader(path) as reader:
        [frame] = reader.frames([0])
    return frame


@pytest.mark.parametrize("suffix", [suffix for suffix in IMAGE_SUFFIXES if suffix != ".pgm"])
def test_every_format_reads_as_one_rgb_frame(tmp_path, suffix):
    path = write(tmp_path / f"Picture{suffix.upper()}", picture())
    with VideoReader(path) as reader:
        assert (reader.num_frames, reader.size, reader.times.tolist()) == (1, (24, 36), [0.0])
        frames = reader.frames([0, 0, 0])
        assert reader.frames([0], scale=0.5).shape == (1, 12, 18, 3)
    assert frames.shape == (3, 24, 36, 3)
    assert frames.dtype == np.uint8
    difference = np.abs(frames[2].astype(int) - picture())
    assert difference.max() <= (0 if suffix in LOSSLESS else 24)
    assert difference.mean() < 4


def test_grey_and_16_bits_and_alpha_become_plain_rgb(tmp_path):
    grey = picture()[..., 0]
    expected = np.repeat(grey[..., None], 3, axis=2)
    np.testing.assert_array_equal(read(write(tmp_path / "grey.png", grey)), expected)
    np.testing.assert_array_equal(read(write(tmp_path / "grey.pgm", grey)), expected)
    deep = read(write(tmp_path / "deep.png", grey.astype(np.uint16) * 257))
    assert np.abs(deep.astype(int) - expected).max() <= 1
    clear = np.dstack([picture(), np.zeros((24, 36), np.uint8)])
    np.testing.assert_array_equal(read(write(tmp_path / "clear.png", clear)), picture())


@pytest.mark.parametrize(("orientation", "turns"), [(1, 0), (3, 2), (6, 3), (8, 1)])
def test_exif_orientation_is_obeyed(tmp_path, orientation, turns):
    """Tag 274 in a big-endian TIFF header, as a camera writes it (Exif 2.3, section 4.6.2)."""
    path = tmp_path / "turned.jpg"
    write(path, picture())
    entry = struct.pack(">HHIHH", 274, 3, 1, orientation, 0)
    exif = b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 1) + entry + bytes(4)
    content = path.read_bytes()
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    path.write_bytes(content[:2] + segment + content[2:])
    difference = np.abs(read(str(path)).astype(int) - np.rot90(picture(), turns))
    assert difference.mean() < 4


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_a_file_cut_short_is_an_error_with_its_path(tmp_path, suffix, share):
    path = tmp_path / f"cut{suffix}"
    write(path, picture(200, 300))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DecodeError) as caught:
        VideoReader(str(path))
    reason = "no image that OpenCV can decode" if share else "it is empty"
    assert str(caught.value).startswith(f"{path}: {reason}")


def test_what_is_no_image_or_is_not_there_is_an_error_with_its_path(tmp_path):
    text = tmp_path / "text.jpg"
    text.write_text("not a picture")
    with pytest.raises(DecodeError, match=r"text\.jpg: it is text"):
        VideoReader(str(text))
    with pytest.raises(DecodeError, match=r"gone\.png: No such file"):
        VideoReader(str(tmp_path / "gone.png"))


@pytest.mark.parametrize("times", ["0,1", ",1", "0,"])
def test_a_part_of_an_image_is_refused_with_its_line(tmp_path, times):
    (tmp_path / "train.csv").write_text(f"path,label,start,end\na.mp4,x,0,1\nb.JPG,y,{times}\n")
    with pytest.raises(DataError, match=r"train\.csv:3: an image has neither start nor end"):
        Clips(Clips.Options(root=str(tmp_path)))
