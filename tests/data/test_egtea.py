"""EGTEA Gaze+ in its own layout and formats."""

import os
from pathlib import Path

import pytest

from cdb_video.data.datasets.egtea import Egtea
from cdb_video.errors import DataError

TRAIN = """\
P19-R03-BaconAndEggs-806419-820160-F019321-F019717 1 1 1
P21-R04-ContinentalBreakfast-291175-294945-F006979-F007088 1 1 1
OP01-R01-PastaSalad-1002316-1004005-F024051-F024101 3 2 3 1
P2-R01-PastaSalad-10-20-F000001-F000010 2 2 2"""
TEST = """\
P04-R06-GreekSalad-682170-683940-F016368-F016419 1 1 1
P02-R06-GreekSalad-311565-321545-F007453-F007742 4 3 2 3 1"""
VERBS = "Inspect/Read 1\nMove Around 2\nTurn on 3"
NOUNS = "eating_utensil 2\nrecipe 1\ncup 3"
ACTIONS = "Inspect/Read recipe 1\nOpen fridge 2\nSpread condiment,bread,cup 3\nTake cup 4"


def make(root, **files):
    """EGTEA with tiny lists, without a newline at the end, as the official files."""
    texts = {
        "train_split1": TRAIN,
        "test_split1": TEST,
        "verb_idx": VERBS,
        "noun_idx": NOUNS,
        "action_idx": ACTIONS,
        **files,
    }
    (root / "cropped_clips").mkdir(parents=True, exist_ok=True)
    (root / "action_annotation").mkdir(exist_ok=True)
    for name, text in texts.items():
        content = text.encode() if isinstance(text, str) else text
        (root / "action_annotation" / f"{name}.txt").write_bytes(content)
    return root


def read(root, **options):
    return Egtea(Egtea.Options(root=str(root), **options))


def clips(dataset, split):
    return [Path(record.path).stem for record in dataset.records(split)]


def test_lists_become_records_of_whole_files(tmp_path):
    dataset = read(make(tmp_path))
    session = tmp_path / "cropped_clips" / "OP01-R01-PastaSalad"
    path, label, start, end = dataset.records("train")[1]
    assert path == str(session / "OP01-R01-PastaSalad-1002316-1004005-F024051-F024101.mp4")
    assert (label, start, end) == (1, None, None)


def test_validation_is_the_held_out_subjects_of_the_training_list(tmp_path):
    dataset = read(make(tmp_path))
    assert [clip.split("-")[0] for clip in clips(dataset, "train")] == ["P19", "OP01", "P2"]
    assert [clip.split("-")[0] for clip in clips(dataset, "val")] == ["P21"]
    assert [clip.split("-")[0] for clip in clips(dataset, "test")] == ["P04", "P02"]
    other = read(tmp_path, val_subjects=("OP01",))
    assert [clip.split("-")[0] for clip in clips(other, "val")] == ["OP01"]


@pytest.mark.parametrize(
    ("label", "names", "train", "test"),
    [
        ("verb", ["Inspect/Read", "Move Around", "Turn on"], [0, 1, 1], [0, 2]),
        ("noun", ["recipe", "eating_utensil", "cup"], [0, 2, 1], [0, 1]),
        (
            "action",
            ["Inspect/Read recipe", "Open fridge", "Spread condiment,bread,cup", "Take cup"],
            [0, 2, 1],
            [0, 3],
        ),
    ],
)
def test_verb_first_noun_and_action_labels(tmp_path, label, names, train, test):
    dataset = read(make(tmp_path), label=label)
    assert dataset.class_names == names
    assert [record.label for record in dataset.records("train")] == train
    assert [record.label for record in dataset.records("test")] == test


def test_each_official_split_has_its_own_lists(tmp_path):
    make(tmp_path, train_split3=TEST, test_split3=TRAIN.split("\n")[0])
    dataset = read(tmp_path, split=3)
    assert clips(dataset, "test")[0].startswith("P19")
    assert len(clips(dataset, "train")) == 2


def test_bom_crlf_blank_lines_and_spaces_are_forgiven(tmp_path):
    plain = read(make(tmp_path / "plain"))
    windows = {
        name: b"\xef\xbb\xbf" + text.replace("\n", " \r\n\r\n").encode() + b"\r\n\r\n"
        for name, text in (("train_split1", TRAIN), ("test_split1", TEST), ("verb_idx", VERBS))
    }
    other = read(make(tmp_path / "windows", **windows))
    assert other.class_names == plain.class_names
    for split in ("train", "val", "test"):
        assert clips(other, split) == clips(plain, split)


def test_clips_that_no_list_names_are_ignored(tmp_path):
    make(tmp_path)
    extra = tmp_path / "cropped_clips" / "P01-R01-PastaSalad"
    extra.mkdir()
    (extra / "P01-R01-PastaSalad-1-2-F000001-F000002.mp4").touch()
    dataset = read(tmp_path)
    assert sum(len(clips(dataset, split)) for split in ("train", "val", "test")) == 6


@pytest.mark.parametrize("missing", ["", "action_annotation", "cropped_clips"])
def test_a_missing_folder_is_named_with_what_belongs_there(tmp_path, missing):
    root = make(tmp_path / "egtea")
    (root / missing).rename(tmp_path / "away")
    with pytest.raises(DataError, match=rf"no folder {root / missing}: it should hold .*EGTEA"):
        read(root)


@pytest.mark.parametrize("name", ["verb_idx", "train_split1"])
def test_a_missing_list_is_named(tmp_path, name):
    make(tmp_path)
    (tmp_path / "action_annotation" / f"{name}.txt").unlink()
    with pytest.raises(DataError, match=rf"no file .*{name}\.txt: .*action_annotation\.zip"):
        read(tmp_path).records("train")


CLIP = "P01-R01-PastaSalad-1-2-F000001-F000002"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f"{CLIP} 1 1", "expected 'clip action verb noun"),
        (f"{CLIP} 1 1 1 1 1 1", "expected 'clip action verb noun"),
        (f"{CLIP} 1 one 1", "expected 'clip action verb noun"),
        (f"{CLIP} 1 -1 1", "expected 'clip action verb noun"),
        (f"{CLIP} 1 1.0 1", "expected 'clip action verb noun"),
        (f"{CLIP} 1 0 1", r"the verb must be in \[1, 3\], got 0"),
        (f"{CLIP} 1 4 1", r"the verb must be in \[1, 3\], got 4"),
        ("OP01R02-PastaSalad-1 1 1 1", "must open with <subject>-<recipe>-<dish>-"),
        ("../../../P-R-D-x 1 1 1", "the path must lie under"),
    ],
)
def test_an_unreadable_line_is_one_error_with_its_place(tmp_path, line, message):
    dataset = read(make(tmp_path, train_split1=f"{TRAIN}\n\n{line}\n"))
    with pytest.raises(DataError, match=message) as caught:
        dataset.records("train")
    text = str(caught.value)
    assert text.startswith(str(tmp_path / "action_annotation" / "train_split1.txt") + ":6: ")
    assert text.endswith(repr(line))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Take 1\nPut", r"verb_idx\.txt:2: expected 'name id'"),
        ("Take 1\nPut two", r"verb_idx\.txt:2: expected 'name id'"),
        ("Take 1\nPut 1", r"verb_idx\.txt:2: the id 1 already means 'Take'"),
        ("Take 1\nPut 3", "lists 2 classes, but none with the id 2"),
        ("Take 0\nPut 1", "lists 2 classes, but none with the id 2"),
        ("\n", "lists no classes"),
    ],
)
def test_a_class_list_that_makes_no_sense_is_refused(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read(make(tmp_path, verb_idx=text))


def test_a_split_without_clips_is_an_error(tmp_path):
    dataset = read(make(tmp_path), val_subjects=("P99",))
    with pytest.raises(DataError, match=r"the split 'val' of .* has no clips"):
        dataset.records("val")


@pytest.mark.skipif("EGTEA_SPLITS" not in os.environ, reason="EGTEA_SPLITS names no folder")
def test_the_rule_gives_the_published_training_and_validation_sets(tmp_path):
    """Against ``{train,val,test}_split.txt`` of the released code, in the folder EGTEA_SPLITS."""
    published = {
        split: (Path(os.environ["EGTEA_SPLITS"]) / f"{split}_split.txt").read_text().split("\n")
        for split in ("train", "val", "test")
    }
    make(
        tmp_path,
        train_split1="\n".join(sorted(published["train"] + published["val"])),
        test_split1="\n".join(published["test"]),
        verb_idx="\n".join(f"verb {number}" for number in range(1, 20)),
    )
    dataset = read(tmp_path)
    for split, size in (("train", 6372), ("val", 1927), ("test", 2022)):
        lines = [line.split() for line in published[split] if line]
        expected = {(clip, int(verb) - 1) for clip, _, verb, *_ in lines}
        records = dataset.records(split)
        assert len(records) == size
        assert {(Path(record.path).stem, record.label) for record in records} == expected


def test_an_action_has_a_verb_and_a_noun(tmp_path):
    """Where the lists agree; an action without clips gets the first of each."""
    dataset = read(make(tmp_path), label="action")
    verb, noun = dataset.outputs
    assert (verb.name, verb.class_names) == ("verb", ["Inspect/Read", "Move Around", "Turn on"])
    assert verb.of_class == [0, 1, 1, 2]
    assert noun.of_class == [0, 1, 2, 1]
    assert read(tmp_path).outputs == ()
    other = TEST.replace("4 3 2 3 1", "1 3 2 3 1")
    assert read(make(tmp_path, test_split1=other), label="action").outputs == ()
