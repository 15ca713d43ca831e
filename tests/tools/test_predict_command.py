"""``cdb-video predict`` on real files: lines, timelines, films, shares, and going on."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import av
import pytest
from videos import write_video

from cdb_video.commands import run
from cdb_video.data.decode import VideoReader
from cdb_video.output.prediction_folder import PredictionFolder

ROOT = Path(__file__).parents[2]


@pytest.fixture
def predict(trained, tmp_path, monkeypatch, capsys):
    """(*words) -> (exit code, stdout, stderr) of a prediction into ``tmp_path / out``."""
    monkeypatch.chdir(tmp_path)
    checkpoint = trained / "checkpoints" / "best.pt"

    def predict(*words):
        first = ("--checkpoint", checkpoint, "--out", "out", "--device", "cpu")
        code = run("predict", [*map(str, first), *map(str, words)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return predict


def table(path):
    with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
        return list(csv.DictReader(file))


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines() if line != '"finished"']


def test_a_list_a_folder_and_files_get_a_line_each(predict, trained, colour_clips, tmp_path):
    code, out, _ = predict(colour_clips / "test.csv", "--workers", 0, "--top", 2)
    assert (code, out.strip()) == (0, "out/predictions.csv")
    rows = table(tmp_path / "out" / "predictions.csv")
    wanted = table(trained / "test" / "predictions.csv")
    assert [row["path"] for row in rows] == [row["path"] for row in wanted]
    names = ("blue", "green", "red")
    for row, test in zip(rows, wanted, strict=True):
        assert row["class"] == names[int(test["predicted"])]
        assert float(row["score"]) == pytest.approx(float(test["score"]), abs=2e-6)
        assert set(row) == {"path", "start", "end", "class", "score", "class_2", "score_2", "error"}
    for one, row in zip(lines(tmp_path / "out" / "predictions.jsonl"), rows, strict=True):
        assert one["top"][0] == [one["class"], one["score"]] == [row["class"], float(row["score"])]
        assert one["error"] == row["error"] == ""
    shutil.rmtree(tmp_path / "out")
    assert predict(colour_clips, "--workers", 0)[0] == 0
    assert len(table(tmp_path / "out" / "predictions.csv")) == 24


def test_a_broken_file_is_a_line_with_the_error_and_exit_code_1(predict, colour_clips, tmp_path):
    broken = tmp_path / "=broken\n.mp4"
    broken.write_bytes(b"\0" * 999)
    good = colour_clips / "test red 0.mp4"
    for more in ([], ["--window", 0.2, "--stride", 0.1]):
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        code, _, err = predict(broken, good, *more, "--workers", 0)
        assert code == 1
        assert "1 videos could not be decoded" in err
        first, *others = table(tmp_path / "out" / "predictions.csv")
        assert first["error"]
        assert (first["class"], first["score"]) == ("", "0.0")
        assert others
        assert not any(row["error"] for row in others)
        assert {row["path"] for row in others} == {str(good)}


def test_windows_make_segments_a_picture_and_a_film(predict, film, tmp_path):
    code, _, _ = predict(film[0], "--window", 1, "--stride", 0.5, "--annotate")
    assert code == 0
    segments = table(tmp_path / "out" / "segments.csv")
    assert [row["class"] for row in segments] == ["green", "red", "blue"]
    assert float(segments[-1]["end"]) == pytest.approx(12)
    rows = table(tmp_path / "out" / "predictions.csv")
    assert [(float(r["start"]), float(r["end"])) for r in rows[:2]] == [(0, 1), (0.5, 1.5)]
    assert len(rows) == 23
    own = tmp_path / "out"
    assert (own / "timeline.png").read_bytes().startswith(b"\x89PNG")
    with VideoReader(str(own / "annotated.mp4")) as again:
        assert again.num_frames == 96
        assert again.times[-1] == pytest.approx(95 / 8)
        picture = again.frames([8])[0].astype(int)
    before = (own / "annotated.mp4").read_bytes()
    shutil.copy(film[0], tmp_path / "other.mp4")
    assert predict("other.mp4", "--window", 1, "--stride", 0.5, "--annotate")[0] == 0
    assert (own / "annotated.mp4").read_bytes() == before
    assert len([*own.glob("*_other/annotated.mp4")]) == 1
    height = 32
    assert picture.shape[0] > height  # the strip
    assert abs(picture[8, 8] - (30, 200, 40)).max() < 25


def test_several_videos_get_a_folder_each(predict, film, colour_clips, tmp_path):
    code, _, _ = predict(film[0], colour_clips / "test red 0.mp4", "--window", 0.3, "--stride", 0.3)
    assert code == 0
    made = [p.parent.name.partition("_") for p in (tmp_path / "out").glob("*/timeline.png")]
    assert sorted(stem for _, _, stem in made) == ["film", "test red 0"]
    assert all(len(digest) == 8 for digest, _, _ in made)


def test_it_goes_on_where_it_was_killed(predict, film, colour_clips, tmp_path):
    words = (colour_clips / "test.csv", "--workers", 0)
    predict(*words)
    whole = (tmp_path / "out" / "predictions.jsonl").read_text()
    part = whole.splitlines(keepends=True)
    (tmp_path / "out" / "predictions.jsonl").write_text("".join(part[:3]) + part[3][:20])
    code, _, err = predict(*words)
    assert code == 0
    assert "3 of 7 videos are done" in err
    assert (tmp_path / "out" / "predictions.jsonl").read_text() == whole
    assert "7 of 7 videos are done" in predict(*words)[2]
    for other in (("--top", 2), ("--views", "1x1"), ("--window", 1)):
        code, _, err = predict(*([film[0]] if other[0] == "--window" else words), *other)
        assert code == 2
        assert f"with another {other[0][2:]}" in err
    assert (tmp_path / "out" / "predictions.csv").exists()


def test_of_a_video_that_was_cut_off_nothing_is_kept(predict, film, colour_clips, tmp_path):
    words = (film[0], colour_clips / "test red 0.mp4", "--window", 0.5)
    predict(*words)
    file = tmp_path / "out" / "predictions.jsonl"
    whole = file.read_text()
    half = whole.splitlines(keepends=True)[:-2]
    file.write_text("".join(half[: len(half) // 2]))  # within the first video
    code, _, err = predict(*words)
    assert code == 0
    assert "done already" not in err
    assert file.read_text() == whole
    assert len(table(tmp_path / "out" / "segments.csv")) >= 4


def test_shares_are_joined_by_the_last(predict, colour_clips, tmp_path):
    words = (colour_clips / "test.csv", "--workers", 0)
    for number in (2, 0):
        code, out, _ = predict(*words, "--shard", f"{number}/3")
        assert (code, out.strip()) == (0, "out")
    code, out, _ = predict(*words, "--shard", "1/3")
    assert out.strip() == "out/predictions.csv"
    rows = table(tmp_path / "out" / "predictions.csv")
    shutil.rmtree(tmp_path / "out")
    predict(*words)
    alone = table(tmp_path / "out" / "predictions.csv")
    assert sorted(row["path"] for row in rows) == sorted(row["path"] for row in alone)
    by_path = {row["path"]: row["class"] for row in alone}
    assert all(by_path[row["path"]] == row["class"] for row in rows)


@pytest.mark.slow
def test_torchrun_shares_the_videos_out(trained, colour_clips, tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"the first is done at once, and waits for the others")
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--standalone"),
        ROOT / "tools" / "predict.py",
        *("--checkpoint", trained / "checkpoints" / "best.pt", "--workers", 0),
        *("--out", tmp_path / "out", "--device", "cpu"),
        *(tmp_path / "broken.mp4", colour_clips / "test.csv"),
    ]
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=120,
    )
    assert done.returncode == 1, done.stderr
    rows = table(tmp_path / "out" / "predictions.csv")
    assert [bool(row["error"]) for row in rows] == [True] + [False] * 7
    assert len(lines(tmp_path / "out" / "predictions_0_of_2.jsonl")) == 4


def test_a_stream_is_watched_until_it_ends(predict, film):
    code, out, _ = predict("--camera", film[0], "--window", 1, "--stride", 1, "--top", 1)
    assert code == 0
    seen = [line.split()[2] for line in out.splitlines()]
    assert len(seen) == 11
    assert seen[1] == "green"
    assert seen[-1] == "blue"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "name videos, folders or CSV files"),
        (("none.mp4",), "must exist, got none.mp4"),
        (("empty",), "empty holds no video"),
        (("bad.csv",), "the header must name path"),
        (("span.csv",), "span.csv:2: end must be above start"),
        (("span2.csv", "--window", "1"), "--window needs whole files"),
        (("a.mp4", "--annotate"), "--annotate needs --window"),
        (("a.mp4", "--window", "1", "--stride", "2"), "at least as long as the stride"),
        (("a.mp4", "--shard", "2/2"), "--shard must be I/N"),
        (("a.mp4", "--views", "0x3"), "--views must be TxS"),
        (("--camera", "7"), "--camera must be a camera"),
        (("a.mp4", "--device", "gpu"), "DEVICE must be auto, cpu or cuda"),
        (("a.mp4", "--checkpoint", "a.mp4"), "a.mp4"),
    ],
)
def test_mistakes_are_one_line_and_nothing_is_written(predict, tmp_path, words, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.mp4").write_bytes(b"")
    (tmp_path / "bad.csv").write_text("seconds\n3\n")
    (tmp_path / "span.csv").write_text("path,start,end\na.mp4,3,2\n")
    (tmp_path / "span2.csv").write_text("path,start,end\na.mp4,1,2\n")
    code, out, err = predict(*words)
    last = [line for line in err.splitlines() if not line.startswith("[")]
    assert (code, out, len(last)) == (2, "", 1), err
    assert message in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--top", "0"), "--top: must be an integer >= 1, got 0"),
        (("--workers", "-1"), "--workers: must be an integer >= 0, got -1"),
        (("--batch-size", "many"), "--batch-size: must be an integer >= 1, got many"),
    ],
)
def test_wrong_numbers_are_refused(predict, capsys, words, message, tmp_path):
    with pytest.raises(SystemExit) as stopped:
        predict("a.mp4", *words)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_replaced_file_and_one_that_failed_are_predicted_again(predict, colour_clips, tmp_path):
    latest, broken = tmp_path / "latest.mp4", tmp_path / "broken.mp4"
    shutil.copy(colour_clips / "test red 0.mp4", latest)
    broken.write_bytes(b"still being copied")
    for words in (["--workers", 0], ["--window", 0.2, "--stride", 0.1]):
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        shutil.copy(colour_clips / "test red 0.mp4", latest)
        broken.write_bytes(b"still being copied")
        assert predict(latest, broken, *words)[0] == 1
        shutil.copy(colour_clips / "test blue 0.mp4", latest)
        os.utime(latest, (2_000_000_000, 2_000_000_000))
        shutil.copy(colour_clips / "test green 0.mp4", broken)
        code, _, err = predict(latest, broken, *words)
        assert (code, "videos are done" in err) == (0, False)
        rows = table(tmp_path / "out" / "predictions.csv")
        assert {(row["path"], row["class"], row["error"]) for row in rows} == {
            (str(latest), "blue", ""),
            (str(broken), "green", ""),
        }
        assert "2 of 2 videos are done" in predict(latest, broken, *words)[2]
        latest.unlink()
        assert "1 of 1 videos are done" in predict(broken, *words)[2]
        assert len({row["path"] for row in table(tmp_path / "out" / "predictions.csv")}) == 2


def test_two_commands_do_not_write_one_folder(predict, colour_clips, tmp_path):
    good = colour_clips / "test red 0.mp4"
    with PredictionFolder(tmp_path / "out").held():
        code, out, err = predict(good, "--workers", 0)
    assert (code, out) == (2, "")
    assert "out is in use by pid" in err
    assert predict(good, "--workers", 0)[0] == 0


def test_a_table_of_something_else_is_left_alone(predict, colour_clips, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "predictions.csv").write_text("mine")
    code, _, err = predict(colour_clips / "test red 0.mp4", "--workers", 0)
    assert (code, "is of something else; choose another --out" in err) == (2, True)
    assert (tmp_path / "out" / "predictions.csv").read_text() == "mine"


@pytest.mark.parametrize(
    "torn",
    [
        b"null\n",
        b"\xff\n",
        b"[" * 100_000 + b"\n",
        b"3\n",
        b'{"path": 1}\n',
        b'{"path"',
        b"[]\n",
    ],
)
def test_lines_that_somebody_has_torn_are_made_again(predict, colour_clips, tmp_path, torn):
    words = (colour_clips / "test red 0.mp4", "--workers", 0)
    predict(*words)
    lines = tmp_path / "out" / "predictions.jsonl"
    whole = lines.read_bytes()
    lines.write_bytes(torn + whole.splitlines(keepends=True)[0])
    assert predict(*words)[0] == 0
    lines.write_bytes(torn)
    assert predict(*words)[0] == 0
    assert lines.read_bytes() == whole
    (tmp_path / "out" / "predictions.json").write_bytes(torn)
    code, _, err = predict(*words)
    told = "predictions.json is damaged" in err or "predictions with another" in err
    assert (code, told) == (2, True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--stride", 0.1), "--stride needs --window or --camera"),
        (("--window", 1, "--views", "2x1"), "--views cannot be used with --window or --camera"),
        (("--camera", "0"), "name no videos beside it"),
    ],
)
def test_options_that_would_do_nothing_are_refused(predict, tmp_path, words, message):
    code, _, err = predict("a.mp4", *words)
    assert (code, message in err) == (2, True)
    assert not (tmp_path / "out").exists()


def test_windows_before_the_damage_are_kept(predict, tmp_path):
    options = {"g": "8", "bf": "0"}
    path = write_video(tmp_path / "day.mp4", 96, (32, 48), fps=8, options=options)
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(path.read_bytes())
    start, size = packets[80]
    data[start + 5 : start + size] = bytes(255 - byte for byte in data[start + 5 : start + size])
    path.write_bytes(data)
    words = (path, "--window", 1, "--stride", 0.5, "--annotate")
    code, _, _ = predict(*words)
    assert code == 1
    *kept, gap = table(tmp_path / "out" / "predictions.csv")
    assert len(kept) >= 16
    assert gap["error"]
    assert gap["start"] == kept[-1]["end"]
    last = table(tmp_path / "out" / "segments.csv")[-1]
    assert (last["class"], last["end"]) == ("damaged", "")
    shutil.rmtree(tmp_path / "out")
    code, _, err = predict(*words, "--damage", "accept")
    assert code == 0, err
    assert len(table(tmp_path / "out" / "predictions.csv")) == 23
