import csv
import json

import numpy as np
import pytest
import yaml
from videos import write_video

from cdb_video.commands import main
from cdb_video.config.tree import read_yaml
from cdb_video.options import load

SIZES = {"-minus": 12, "common": 24, "rare": 3, "none": 0}


@pytest.fixture
def base(tmp_path):
    """A YAML file for a data set of ``SIZES``, whose clips are one file under other names."""
    root = tmp_path / "data"
    root.mkdir()
    write_video(root / "one.mp4", 4, (32, 32))
    rows = {"train": [], "val": [], "test": []}
    for name, size in SIZES.items():
        for split, count in (("train", size), ("val", 2), ("test", 2)):
            for n in range(count):
                path = f"-{name} {split} {n}.mp4"
                (root / path).hardlink_to(root / "one.mp4")
                rows[split].append((path, name, "0.0" if n else "", ""))
    for split, lines in rows.items():
        with (root / f"{split}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("path", "label", "start", "end"), *lines])
    path = tmp_path / "base.yaml"
    path.write_text(yaml.safe_dump({"DATA": {"NAME": "clips", "CLIPS": {"ROOT": str(root)}}}))
    return path


def test_a_data_set_is_described(base, tmp_path, capsys):
    words = ["--cfg", base, "--out", tmp_path / "out", "GROUPS.NAME", "head_tail_fewshot"]
    assert main(["describe-data", *map(str, words)]) == 0
    said = capsys.readouterr().out
    assert "Head length H 25.0% (1 of 4 classes hold half of the clips)" in said
    assert "few-shot length F 75.0% (3 have at most 20), imbalance I 8.0 (24 to 3)" in said
    assert "1 classes have no training clip: none" in said
    facts = json.loads((tmp_path / "out" / "data.json").read_text())
    assert facts["splits"]["train"] == {"clips": 39, "classes": 3}
    assert facts["groups"]["fewshot"] == {"num_classes": 3, "train": 15, "val": 6, "test": 6}
    assert facts["classes"][0] == {
        "name": "-minus",
        "group": "fewshot",
        "train": 12,
        "val": 2,
        "test": 2,
    }
    assert (tmp_path / "out" / "long_tail.png").read_bytes()[:4] == b"\x89PNG"


def draw(base, out, *words):
    return main(["make-long-tail", "--cfg", str(base), "--out", str(out), *map(str, words)])


def test_a_subset_is_a_data_set_of_its_own(base, tmp_path, capsys):
    """Also a class without clips keeps its number, and names that begin with a minus."""
    out = tmp_path / "lt"
    assert draw(base, out, "--ratio", 27, "--seed", 1) == 0
    assert "34 of 39 training clips" in capsys.readouterr().out
    config = load(out / "config.yaml")
    assert config.data.options.classes == ("-minus", "common", "none", "rare")
    words = ["describe-data", "--cfg", str(out / "config.yaml"), "--out", str(tmp_path / "d")]
    assert main(words) == 0
    facts = json.loads((tmp_path / "d" / "data.json").read_text())
    assert [c["train"] for c in facts["classes"]] == [8, 24, 0, 2]
    assert [c["group"] for c in facts["classes"]] == ["fewshot", "head", "fewshot", "fewshot"]
    assert facts["splits"]["test"]["clips"] == 8
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["classes"]["-minus"] == {"clips": 8, "of": 12}
    with (out / "train.csv").open(newline="") as file:
        paths = [row["path"] for row in csv.DictReader(file)]
    assert len(paths) == 34
    assert all(path.startswith("-") for path in paths)


def test_published_counts_are_drawn_and_what_is_short_is_said(base, tmp_path, capsys):
    counts = tmp_path / "counts.json"
    counts.write_text(json.dumps({"train_counts": [5, 7, 0, 9], "note": "made up"}))
    assert draw(base, tmp_path / "a", "--counts", counts) == 0
    assert "rare has 3 clips; all are taken, 9 were wanted" in capsys.readouterr().out
    counts.write_text(json.dumps({"common": 7, "rare": 3, "-minus": 5, "none": 0}))
    assert draw(base, tmp_path / "b", "--counts", counts) == 0
    one, other = ((tmp_path / name / "train.csv").read_bytes() for name in "ab")
    assert one == other
    labels = [line.split(b",")[1] for line in one.splitlines()[1:]]
    assert np.unique(labels, return_counts=True)[1].tolist() == [5, 7, 3]


@pytest.mark.parametrize(
    ("content", "said"), [("[1, 2]", "must give 4 whole numbers"), ("nothing", "must be a JSON")]
)
def test_wrong_counts_are_refused(base, tmp_path, capsys, content, said):
    (tmp_path / "counts.json").write_text(content)
    assert draw(base, tmp_path / "a", "--counts", tmp_path / "counts.json") == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "a").exists()


def test_groups_of_the_authors_come_from_a_file(base, tmp_path, capsys):
    path = tmp_path / "groups.json"
    words = ["describe-data", "--cfg", base, "GROUPS.NAME", "file", "GROUPS.FILE.PATH", path]
    for content in (
        {"-minus": "tail", "common": "head", "none": "few", "rare": "few"},
        {"tail": [0], "head": [1], "few": [2, 3]},
    ):
        path.write_text(json.dumps(content))
        assert main([*map(str, words)]) == 0
        said = capsys.readouterr().out
        order = [said.index(f"clips of {name} ") for name in ("few", "tail", "head")]
        assert order == sorted(order)
    path.write_text(json.dumps({"tail": [0], "head": [1], "few": [2]}))
    assert main([*map(str, words)]) == 2
    assert "lacks rare" in capsys.readouterr().err
    path.write_text(json.dumps({"tail": [0, 1], "head": [1, 2, 3]}))
    assert main([*map(str, words)]) == 2
    assert "1 is in tail and in head" in capsys.readouterr().err


def test_the_config_of_a_subset_keeps_all_other_options(base, tmp_path):
    text = read_yaml(base)
    text["SOLVER"] = {"MAX_EPOCH": 7, "STEPS": [0], "LRS": [1]}
    base.write_text(yaml.safe_dump(text))
    assert draw(base, tmp_path / "lt", "TRAIN.BATCH_SIZE", 3) == 0
    config = load(tmp_path / "lt" / "config.yaml")
    assert (config.solver.max_epoch, config.train.batch_size) == (7, 3)
    assert draw(base, tmp_path / "lt") == 2  # not empty


def test_wrong_ratios_and_no_clips_at_all_are_refused(base, tmp_path, capsys):
    (tmp_path / "none.json").write_text("[0, 0, 0, 0]")
    for words in (("--ratio", "nan"), ("--ratio", "inf"), ("--counts", tmp_path / "none.json")):
        assert draw(base, tmp_path / "lt", *words) == 2
        assert capsys.readouterr().err.count("\n") == 1
        assert not (tmp_path / "lt").exists()


def test_half_a_subset_is_made_again_and_a_whole_one_stays(base, tmp_path, capsys):
    out = tmp_path / "lt"
    out.mkdir()
    (out / "train.csv").write_text("path,lab")
    assert draw(base, out, "--ratio", 3) == 0
    assert draw(base, out, "--ratio", 3) == 2
    assert "must be a new or empty folder" in capsys.readouterr().err
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    assert draw(base, tmp_path / "mine", "--ratio", 3) == 2
