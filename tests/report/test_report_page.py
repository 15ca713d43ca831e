"""The page: what stands in it, that it needs no other file, and what it does with odd input."""

import base64
import csv
import json
import re

import cv2
import matplotlib
import numpy as np
import pytest
from fake_run import FakeRun, write_csv
from page_parser import Page
from videos import write_video

from cdb_video.errors import DataError
from cdb_video.report.page import write_report

NASTY = ["<b>bold</b>", "salt & $pepper$ $x_1", '"quoted"', "</script><script>x()", "切る"]
SECTIONS = [
    "Result",
    "Classes",
    "Confusion matrix",
    "Worst mistakes",
    "Can the scores be believed?",
]
CURVES = ["Difficulty on validation", "Training", "Config"]


@pytest.fixture(scope="module", params=[5, 19, 106])
def finished(request, tmp_path_factory):
    """A run that was trained and tested, its metrics, and its page."""
    run = FakeRun(tmp_path_factory.mktemp("out") / "demo", request.param)
    run.write_training()
    metrics = run.write_test()
    path = write_report(run.folder)
    assert path == run.folder / "report.html"
    return run, metrics, Page(path.read_text(encoding="utf-8"))


def rows_of(run, name):
    with (run.folder / "test" / name).open(newline="") as file:
        return list(csv.DictReader(file))


def percent(fraction):
    return "–" if fraction in (None, "") else f"{100 * float(fraction):.1f}"


def test_page_is_whole_html_with_every_section(finished):
    page = finished[2]
    assert page.errors == []
    assert [h for h in page.headings if h in SECTIONS + CURVES] == SECTIONS + CURVES


def test_page_refers_to_nothing_outside_itself(finished):
    page = finished[2]
    assert {"link", "iframe"}.isdisjoint(page.tags)
    assert page.tags.count("script") == 1
    assert page.references, "the curves refer to their own clip paths"
    inside = {f"#{name}" for name in page.ids}
    assert all(ref in inside or ref.startswith("data:") for ref in page.references)
    assert len(set(page.ids)) == len(page.ids)


def test_headline_and_groups_are_the_metrics(finished):
    _, metrics, page = finished
    result = {row[0]: row[1:] for row in page.tables["Result"]}
    keys = ("mean_class_recall", "mean_class_precision", "mean_class_f1", "top1", "top5")
    assert result["Mean average precision"][0] == percent(metrics["mean_average_precision"])
    titles = ("Mean class recall", "Mean class precision", "Mean class F1", "Top-1", "Top-5")
    for title, key in zip(titles, keys, strict=True):
        value, interval, definition = result[title]
        assert value == percent(metrics[key])
        if key != "top5":
            low, high = map(float, interval.split(" to "))
            assert low <= float(value) <= high
        assert len(definition) > 30, "every number has its definition"
    for name, group in metrics["groups"].items():
        expected = [
            str(group["num_classes"]),
            str(group["num_samples"]),
            percent(group["recall"]),
            percent(group["precision"]),
        ]
        assert result[name] == expected


def test_classes_come_with_most_training_samples_first(finished):
    run, _, page = finished
    _, *shown = page.tables["Classes"]
    expected = sorted(rows_of(run, "per_class.csv"), key=lambda row: -int(row["n_train"]))
    assert [row[2] for row in shown] == [row["n_train"] for row in expected]
    by_name = {row["name"]: row for row in expected}
    last = rows_of(run, "../difficulty.csv")[-run.num_classes :]
    now = {
        row["name"]: [f"{float(row[key]):.2f}" for key in ("difficulty", "weight")] for row in last
    }
    for name, group, n_train, n_test, n_predicted, *scores, difficulty, weight, spark in shown:
        assert [difficulty, weight] == now[name]
        assert spark.endswith("% after 20")
        row = by_name[name]
        fields = ("group", "n_train", "n_test", "n_predicted")
        assert [group, n_train, n_test, n_predicted] == [row[field] for field in fields]
        assert scores == [percent(row[field]) for field in ("recall", "precision", "f1")]


def test_every_confusion_has_a_cell_with_its_count(finished):
    run, _, page = finished
    with (run.folder / "test" / "confusion.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    tooltips = set(page.titles)
    cells = 0
    for name, *counts in rows:
        total = sum(map(int, counts))
        for predicted, count in zip(header[1:], map(int, counts), strict=True):
            if count:
                cells += 1
                share = f"{count / total:.0%}"
                assert f"{name}: {count} of {total} predicted as {predicted} ({share})" in tooltips
    assert cells == sum("predicted as" in title for title in page.titles)


def test_mistakes_are_the_most_frequent_and_the_surest(finished):
    run, _, page = finished
    wrong = [r for r in rows_of(run, "predictions.csv") if r["label"] != r["predicted"]]
    pairs = [(run.names[int(r["label"])], run.names[int(r["predicted"])]) for r in wrong]
    _, *shown = page.tables["Classes taken for another, most frequent first"]
    assert len(shown) == 15
    assert [int(row[2]) for row in shown] == sorted(
        (pairs.count(pair) for pair in set(pairs)), reverse=True
    )[:15]
    for true, predicted, count, _ in shown:
        assert pairs.count((true, predicted)) == int(count)
    wrong.sort(key=lambda row: -float(row["score"]))
    text = (run.folder / "report.html").read_text(encoding="utf-8")
    surest = text[text.index("surest about, and wrong") :]
    paths = re.findall(r'<span class="path">(.*?)</span>, 1.5 to 3.25 s', surest)
    assert paths == [row["path"] for row in wrong[:15]]


def test_every_class_has_a_line_of_difficulty_and_one_of_weight(finished):
    run, _, page = finished
    labels = page.titles[1:]  # after the title of the page
    for name in run.names:
        in_matrix = 2
        assert labels.count(name) == in_matrix + 2


def test_every_colour_follows_the_style_sheet(finished):
    run, _, page = finished
    text = (run.folder / "report.html").read_text(encoding="utf-8")
    pictures = text[text.index("</style>") :]
    assert "svg" in page.tags
    assert re.findall(r"[:\"]\s*#[0-9a-f]{6}\b", pictures) == []


def test_names_are_escaped_wherever_they_appear(tmp_path, recwarn):
    run = FakeRun(tmp_path / "<i>run & co", 5, names=NASTY)
    run.write_training(epochs=3)
    run.write_test()
    (run.folder / "config.yaml").write_text("MODEL: {NAME: '<b>bold</b>'}\n")
    text = write_report(run.folder).read_text(encoding="utf-8")
    page = Page(text)
    assert page.errors == []
    assert page.tags.count("script") == 1
    assert "<b>bold" not in text
    assert page.headings[0] == "<i>run & co"
    assert {row[0] for row in page.tables["Classes"][1:]} == set(NASTY)
    assert set(NASTY) <= set(page.titles)
    assert set(NASTY) <= set(page.svg_texts)
    assert list(recwarn) == []


def test_a_run_that_was_only_trained_has_the_curves_and_says_so(tmp_path):
    run = FakeRun(tmp_path / "out", 5)
    run.write_training(epochs=1)
    text = write_report(run.folder).read_text(encoding="utf-8")
    assert [h for h in Page(text).headings if h in SECTIONS + CURVES] == ["Result", *CURVES]
    assert "has not been tested yet" in text


def test_a_run_without_difficulty_or_training_still_has_its_result(tmp_path):
    run = FakeRun(tmp_path / "trained", 5)
    run.write_training(epochs=2, difficulty=False)
    run.write_test()
    headings = Page(write_report(run.folder).read_text(encoding="utf-8")).headings
    assert "Difficulty on validation" not in headings
    assert {"Confusion matrix", "Training"} <= set(headings)
    (run.folder / "log.jsonl").unlink()
    (run.folder / "config.yaml").unlink()
    headings = Page(write_report(run.folder).read_text(encoding="utf-8")).headings
    assert headings[0] == "trained"
    assert [h for h in headings if h in SECTIONS] == SECTIONS
    assert not {"Training", "Config"} & set(headings)


def test_an_absent_class_is_named_and_has_no_recall(tmp_path):
    run = FakeRun(tmp_path / "out", 19, samples=30)
    run.write_training(epochs=1)
    absent = run.write_test()["absent_classes"]
    assert absent
    text = write_report(run.folder).read_text(encoding="utf-8")
    assert "left out of every mean:\n  " + ", ".join(absent) + "." in text
    recalls = {row[0]: row[5] for row in Page(text).tables["Classes"][1:]}
    assert {name for name, recall in recalls.items() if recall == "–"} == set(absent)


def test_strips_and_links_of_clips_that_are_there(tmp_path):
    run = FakeRun(tmp_path / "runs" / "out", 3, samples=60)
    run.write_test()
    wrong = [row for row in rows_of(run, "predictions.csv") if row["label"] != row["predicted"]]
    wrong.sort(key=lambda row: -float(row["score"]))
    clip = tmp_path / "clips & more" / "a#b'\".mp4"
    clip.parent.mkdir()
    write_video(clip, 120, (64, 96), fps=24)
    path = run.folder / "test" / "predictions.csv"
    quoted = str(clip).replace('"', '""')
    path.write_text(path.read_text().replace(wrong[0]["path"], f'"{quoted}"'))
    text = write_report(run.folder).read_text(encoding="utf-8")
    page = Page(text)
    assert page.errors == []
    hrefs = [ref for ref in page.references if ref.startswith("./")]
    assert set(hrefs) == {"./../../clips%20%26%20more/a%23b%27%22.mp4#t=1.5,3.25"}
    pictures = {ref for ref in page.references if ref.startswith("data:image/jpeg")}
    assert len(pictures) == 1
    jpeg = base64.b64decode(pictures.pop().split(",")[1])
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (72, 5 * 96 * 72 // 64, 3)
    assert len(write_report(run.folder, strips=False).read_text()) < len(text) - 1000


def test_page_is_the_same_each_time_and_leaves_matplotlib_alone(tmp_path):
    run = FakeRun(tmp_path / "out", 19)
    run.write_training(epochs=2)
    run.write_test()
    before = {**matplotlib.rcParams, "backend": None}
    first = write_report(run.folder).read_bytes()
    assert write_report(run.folder).read_bytes() == first
    assert {**matplotlib.rcParams, "backend": None} == before
    assert not list(run.folder.glob("*.partial"))


def test_an_epoch_trained_again_after_an_interruption_counts_once(tmp_path):
    run = FakeRun(tmp_path / "out", 5)
    run.write_training(epochs=2)
    with (run.folder / "log.jsonl").open("a") as file:
        file.write('{"kind": "val", "epoch": 2, "mean_cla\n')
        file.write(json.dumps({"kind": "val", "epoch": 1, "mean_class_recall": 0.999}) + "\n")
    text = write_report(run.folder).read_text(encoding="utf-8")
    assert re.search(r"99\.9 % after epoch\s+1\.", text)
    assert "1 unreadable line(s) of log.jsonl skipped" in text


def test_a_folder_without_a_run_is_refused_and_left_alone(tmp_path):
    with pytest.raises(DataError, match="holds no run: neither log.jsonl nor test/metrics.json"):
        write_report(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (
            "test/per_class.csv",
            [["class", "name"], ["0", "a"]],
            "per_class.csv, line 2: unreadable",
        ),
        ("test/confusion.csv", [["", "a", "b"], ["a", "1", "2"]], "must be square with 2 names"),
        ("test/confusion.csv", [["", "a"], ["a", "many"]], "must hold integer counts"),
        ("difficulty.csv", [["epoch", "class"], ["one", "0"]], "difficulty.csv, line 2"),
        ("test/metrics.json", [["[]"]], "must hold a JSON object, got list"),
        ("test/metrics.json", [["{"]], "is not JSON"),
    ],
)
def test_an_unreadable_file_is_named(tmp_path, file, content, message):
    run = FakeRun(tmp_path / "out", 5)
    run.write_training(epochs=1)
    run.write_test()
    write_csv(run.folder / file, content)
    with pytest.raises(DataError, match=message):
        write_report(run.folder)
    assert not (run.folder / "report.html").exists()


def test_confusion_without_the_class_table_keeps_its_own_order(tmp_path):
    run = FakeRun(tmp_path / "out", 5)
    run.write_test()
    (run.folder / "test" / "per_class.csv").unlink()
    page = Page(write_report(run.folder).read_text(encoding="utf-8"))
    assert "Classes" not in page.headings
    row_and_column_labels = [text for text in page.svg_texts if text in run.names]
    assert row_and_column_labels == [name for name in run.names for _ in range(2)]
