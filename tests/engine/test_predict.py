"""A trained model on any video: the same numbers as the test, and timelines of long ones."""

import csv
import subprocess
import sys

import numpy as np
import pytest
import torch
from videos import COLOURS

import cdb_video
from cdb_video.data.decode import VideoReader
from cdb_video.data.decode.pyav import PyavDecoder
from cdb_video.data.lists.records import Record
from cdb_video.engine.use.timeline import smoothed, window_spans
from cdb_video.errors import CdbVideoError


@pytest.fixture(scope="module")
def predictor(trained):
    return cdb_video.load(trained / "checkpoints" / "best.pt", device="cpu")


def rows_of(trained):
    with open(trained / "test" / "predictions.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("batch_size", [2, 8])
def test_prediction_is_what_the_test_says(trained, predictor, batch_size):
    rows = rows_of(trained)
    assert predictor.views == (2, 3)
    found = predictor.predict([row["path"] for row in rows], batch_size=batch_size)
    for one, row in zip(found, rows, strict=True):
        scores = [float(row[f"score_{c}"]) for c in range(3)]
        np.testing.assert_allclose(one.scores, scores, atol=2e-6)
        assert one.class_id == int(row["predicted"])
        assert one.class_name == list(COLOURS)[one.class_id]
        names, probabilities = zip(*one.top(2), strict=True)
        assert names[0] == one.class_name
        assert probabilities[0] == one.score == max(one.scores)
    workers = predictor.predict([row["path"] for row in rows], num_workers=2)
    assert [one.class_id for one in workers] == [one.class_id for one in found]


def test_an_array_is_as_good_as_a_file(trained, predictor):
    path = rows_of(trained)[0]["path"]
    with VideoReader(path) as video:
        pictures = video.frames(range(video.num_frames))
    of_file = predictor(path)
    for array in (pictures, torch.from_numpy(pictures)):
        (found,) = predictor.predict(array)
        np.testing.assert_allclose(found.scores, of_file.scores, atol=0.02)  # scaled elsewhere
        assert found.path == ""
    mixed = predictor.predict([pictures, path, pictures[:3]], views=(1, 1))
    assert [one.path for one in mixed] == ["", path, ""]
    for wrong in (pictures[0], pictures.astype(np.float32), pictures[:0], pictures[..., :2]):
        with pytest.raises(CdbVideoError, match=r"must be a path or uint8 \(T, H, W, 3\)"):
            predictor.predict([wrong])


def test_a_broken_file_says_why_and_the_others_go_on(trained, predictor, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    good = rows_of(trained)[0]["path"]
    paths = [broken, good, tmp_path / "none.mp4", Record(good, 0, 90.0, 91.0), broken]
    for batch_size in (1, 4, 20):
        found = predictor.predict(paths, batch_size=batch_size)
        assert [bool(one.error) for one in found] == [True, False, True, True, True]
        assert "broken.mp4" in found[0].error
        assert "No such file" in found[2].error
        assert "lies outside the file" in found[3].error
        assert (found[0].class_id, found[0].class_name, found[0].top()) == (-1, "", [])
    with pytest.raises(CdbVideoError, match=r"broken.mp4"):
        predictor(broken)


def test_a_timeline_finds_what_comes_after_what(predictor, film):
    path, pictures = film
    line = predictor.timeline(path, window=1.0, stride=0.5)
    assert line.times.tolist() == [0.5 * k for k in range(25)]
    np.testing.assert_allclose(line.scores.sum(axis=1), 1)
    assert [one.class_name for one in line.segments] == ["green", "red", "blue"]
    for one, begin in zip(line.segments, (0, 4, 8), strict=True):
        assert abs(one.start - begin) <= 0.5
        assert abs(one.end - begin - 4) <= 0.5
        assert 1 / 3 < one.score <= 1
    same = [r.class_id for r in predictor.timeline(path, 1.0, 0.5, batch_size=3).segments]
    assert same == [one.class_id for one in line.segments]
    of_array = predictor.timeline(pictures, window=4.0, stride=1.0, fps=8.0)
    assert of_array.class_names == predictor.class_names
    assert of_array.times[-1] == line.times[-1] == 12.0
    with pytest.raises(CdbVideoError, match="the times of an array must be known: give its fps"):
        predictor.timeline(pictures)


def test_a_timeline_of_a_part_goes_along_that_part(predictor, film):
    part = predictor.timeline(Record(str(film[0]), -1, 3.0, 9.5), window=1.0, stride=0.5)
    np.testing.assert_allclose(part.times[[0, -1]], (3.0, 9.5))
    assert [one.class_name for one in part.segments] == ["green", "red", "blue"]
    to_the_end = predictor.timeline(Record(str(film[0]), -1, 9.0), window=1.0, stride=0.5)
    np.testing.assert_allclose(to_the_end.times[[0, -1]], (9.0, 12.0))
    with pytest.raises(CdbVideoError, match="lies outside the file"):
        predictor.timeline(Record(str(film[0]), -1, 90.0), window=1.0)


def test_a_long_file_is_decoded_once_and_in_order(predictor, film, monkeypatch):
    decoded = []
    walk = PyavDecoder._walk

    def counted(decoder, indices):
        for index, frame in zip(indices, walk(decoder, indices), strict=True):
            decoded.append(index)
            yield frame

    monkeypatch.setattr(PyavDecoder, "_walk", counted)
    windows = list(predictor.windows(film[0], window=2.0, stride=0.25))
    assert decoded == sorted(set(decoded))
    assert len(windows) == 41
    # A window is the clip of its seconds, to the bit.
    alone = predictor.predict(
        [Record(str(film[0]), -1, w.start, w.end) for w in windows[::8]], views=(1, 1)
    )
    for one, other in zip(windows[::8], alone, strict=True):
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-6)


@pytest.mark.parametrize(
    ("span", "window", "stride", "wanted"),
    [
        ((0, 1), 2, 0.5, [(0, 1)]),
        ((0, 3), 2, 0.5, [(0, 2), (0.5, 2.5), (1, 3)]),
        ((1, 4.2), 2, 1, [(1, 3), (2, 4), (3, 4.2)]),
        ((0, 0.3), 0.1, 0.1, [(0, 0.1), (0.1, 0.2), (0.2, 0.3)]),
    ],
)
def test_windows_cover_the_video_and_no_more(span, window, stride, wanted):
    np.testing.assert_allclose(window_spans(*span, window, stride), wanted)


@pytest.mark.parametrize(("window", "stride"), [(0, 1), (1, 0), (1, 2), (-1, -1), (1e400, 1)])
def test_wrong_windows_are_one_line(predictor, film, window, stride):
    with pytest.raises(CdbVideoError, match="at least as long as the stride"):
        predictor.timeline(film[0], window=window, stride=stride)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"views": (0, 1)}, "views must be"),
        ({"views": (2, 2)}, r"1 or 3 crops\), got \(2, 2\)"),
        ({"batch_size": 0}, "batch_size must be >= 1, got 0"),
        ({"num_workers": -1}, "num_workers must be >= 0, got -1"),
    ],
)
def test_wrong_numbers_are_one_line(predictor, film, words, message):
    with pytest.raises(CdbVideoError, match=message):
        predictor.predict([film[0]], **words)
    with pytest.raises(CdbVideoError, match=message):
        predictor.predict([film[1]], **words)


def test_a_moment_is_the_mean_of_the_windows_that_cover_it():
    rng = np.random.default_rng(0)
    spans = window_spans(1.0, 9.3, 2.0, 0.5)
    scores = rng.random((len(spans), 4))
    line = smoothed(list("abcd"), spans, scores, 0.5)
    for begin, end, mean in zip(line.times, line.times[1:], line.scores, strict=False):
        middle = (begin + end) / 2
        covering = [s for s, (a, b) in zip(scores, spans, strict=True) if a <= middle < b]
        np.testing.assert_allclose(mean, np.mean(covering, axis=0))
    assert line.times[-1] == 9.3


def test_the_package_is_quick_to_import_and_says_what_it_has():
    code = "import cdb_video, sys; assert 'torch' not in sys.modules; print(*dir(cdb_video))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"load", "train", "test", "Config", "Predictor"} <= set(done.stdout.split())
    for name in cdb_video.PUBLIC:
        assert getattr(cdb_video, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        cdb_video.lod  # noqa: B018
    with pytest.raises(CdbVideoError, match="DEVICE must be auto, cpu or cuda"):
        cdb_video.engine.use.predictor.device_named("gpu")


def test_a_checkpoint_of_something_else_is_one_line(tmp_path):
    torch.save({"state_dict": {"a": torch.ones(1)}}, tmp_path / "other.pt")
    with pytest.raises(CdbVideoError, match="must be a checkpoint of cdb_video"):
        cdb_video.load(tmp_path / "other.pt")


def test_a_script_without_a_main_guard_says_what_to_write(trained, tmp_path):
    lines = f"""
import multiprocessing
multiprocessing.set_start_method("spawn", force=True)
import cdb_video
predictor = cdb_video.load({str(trained / "checkpoints" / "best.pt")!r}, "cpu")
print(predictor.predict(["no.mp4"], num_workers=1)[0].error)
"""
    guarded = 'if __name__ == "__main__":' + lines.replace("\n", "\n    ")
    for text, code in ((lines, 1), (guarded, 0)):
        (tmp_path / "script.py").write_text(text)
        words = [sys.executable, "script.py"]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert done.returncode == code, done.stderr
        assert ("if __name__ == '__main__':" in done.stderr) == bool(code)
