"""The contract of datasets, and the CSV lists of ``clips``."""

from pathlib import Path

import numpy as np
import pytest
from archives import OPTIONS, WRITERS

from cdb_video.data.lists.records import Record
from cdb_video.data.lists.splits import Split, Splits
from cdb_video.errors import ConfigError, DataError
from cdb_video.registry import DATASETS

Clips = DATASETS.get("clips")


def make(root, train="path,label\na.mp4,x\n", **files):
    """A ``clips`` folder with these lists: text, or bytes as they are."""
    for split, text in {"train": train, **files}.items():
        content = text.encode() if isinstance(text, str) else text
        (root / f"{split}.csv").write_bytes(content)
    return root


def read(root, **options):
    return Clips(Clips.Options(root=str(root), **options))


def labels(dataset, split="train"):
    return [record.label for record in dataset.records(split)]


def test_rows_become_records_relative_to_the_root(tmp_path):
    make(
        tmp_path,
        "path,label,start,end\n"
        "clips/one.mp4,run,,\n"
        '"clips/with space, and comma/a.mp4",walk\n'
        "long.mp4,run,1.5,2.25\n"
        "long.mp4,walk,2.25,\n"
        "long.mp4,walk,,1\n",
    )
    dataset = read(tmp_path)
    assert dataset.class_names == ["run", "walk"]
    assert dataset.records("train") == [
        Record(str(tmp_path / "clips/one.mp4"), 0),
        Record(str(tmp_path / "clips/with space, and comma/a.mp4"), 1),
        Record(str(tmp_path / "long.mp4"), 0, 1.5, 2.25),
        Record(str(tmp_path / "long.mp4"), 1, 2.25, None),
        Record(str(tmp_path / "long.mp4"), 1, None, 1.0),
    ]


def test_other_columns_any_order_bom_crlf_and_blank_lines_are_forgiven(tmp_path):
    text = "\ufeffsubject, Label ,path\r\n\r\nP1, run ,a.mp4\r\n,,\r\nP2,walk, b.mp4"
    dataset = read(make(tmp_path, text))
    assert dataset.class_names == ["run", "walk"]
    assert [Path(record.path).name for record in dataset.records("train")] == ["a.mp4", "b.mp4"]
    assert labels(dataset) == [0, 1]


def test_classes_are_those_of_all_lists_in_alphabetical_order(tmp_path):
    make(
        tmp_path,
        "path,label\na.mp4,walk\nb.mp4,run\n",
        val="path,label\nc.mp4,walk\nd.mp4,jump\n",
        test="path,label\ne.mp4,still\n",
    )
    dataset = read(tmp_path)
    assert dataset.class_names == ["jump", "run", "still", "walk"]
    assert labels(dataset, "train") == [3, 1]
    assert labels(dataset, "val") == [3, 0]
    assert labels(dataset, "test") == [2]


def test_number_labels_are_class_numbers_and_gaps_are_empty_classes(tmp_path):
    make(tmp_path, "path,label\na.mp4,0\nb.mp4,3\n", val="path,label\nc.mp4,10\n")
    dataset = read(tmp_path)
    assert dataset.class_names == [str(number) for number in range(11)]
    assert labels(dataset) == [0, 3]
    assert labels(dataset, "val") == [10]


@pytest.mark.parametrize("odd", ["none", "-1", "nan", "3.0", "1e2"])
def test_one_odd_label_among_numbers_is_an_error_and_renumbers_nothing(tmp_path, odd):
    make(tmp_path, f"path,label\na.mp4,2\nb.mp4,10\nc.mp4,{odd}\n")
    with pytest.raises(
        DataError, match=rf"train\.csv:4: .* got '{odd}' here and 2 in .*csv:2; .*CLA"
    ):
        read(tmp_path)
    dataset = read(tmp_path, classes=("2", odd, "10"))
    assert labels(dataset) == [0, 2, 1]


def test_a_number_far_too_large_is_an_error_with_its_line(tmp_path):
    make(tmp_path, "path,label\na.mp4,0\nb.mp4," + "9" * 5000 + "\n")
    with pytest.raises(DataError, match=r"train\.csv:3: a class number must be below") as caught:
        read(tmp_path)
    assert len(str(caught.value)) < 500


def test_accents_have_one_form(tmp_path):
    make(tmp_path, "path,label\na.mp4,caf\u00e9\nb.mp4,cafe\u0301\nc.mp4,tea\n")
    dataset = read(tmp_path)
    assert dataset.class_names == ["caf\u00e9", "tea"]
    assert labels(dataset) == [0, 0, 1]
    assert labels(read(tmp_path, classes=("tea", "cafe\u0301"))) == [1, 1, 0]


def test_the_same_clip_by_another_way_is_found(tmp_path):
    make(tmp_path, "path,label\nx/a.mp4,walk\nx/../x//a.mp4,run\n")
    with pytest.raises(DataError, match=r"train\.csv:3: line 2 lists the same clip"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("34870;Drumming Fingers\n", "a list of Jester, 'id;class': write path;label above it"),
        ("a.mp4;walk\n", "the first line is a clip: put path;label above it"),
        ("a.mp4 3\nb.mp4 4\n", "list of PySlowFast or MMAction2"),
        ("a.mp4,walk\nb.mp4,run\n", "first line is a clip: put path,label above it"),
        ("label,youtube_id,time_start,time_end,split\nwalk,--x,1,2,train\n", "list of Kinetics"),
    ],
)
def test_a_list_of_another_kind_gets_a_hint(tmp_path, text, hint):
    with pytest.raises(DataError, match=rf"train\.csv:1: the header must name .*{hint}"):
        read(make(tmp_path, text))


def test_paths_may_lead_outside_where_that_is_allowed(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    make(root, "path,label\n../a.mp4,walk\n/elsewhere/b.mp4,run\n")
    with pytest.raises(DataError, match="must lie under"):
        read(root).records("train")
    paths = [record.path for record in read(root, allow_outside=True).records("train")]
    assert paths == [str(tmp_path / "a.mp4"), "/elsewhere/b.mp4"]


def test_classes_fix_the_order_for_names_and_for_numbers(tmp_path):
    make(tmp_path, "path,label\na.mp4,walk\nb.mp4,run\n")
    dataset = read(tmp_path, classes=("walk", "sit", "run"))
    assert dataset.class_names == ["walk", "sit", "run"]
    assert labels(dataset) == [0, 2]
    make(tmp_path, "path,label\na.mp4,1\nb.mp4,2\n")
    assert labels(read(tmp_path, classes=("walk", "sit", "run"))) == [1, 2]
    # Classes that are numbers themselves are names.
    assert labels(read(tmp_path, classes=("2", "1"))) == [1, 0]


@pytest.mark.parametrize("label", ["rum", "3"])
def test_a_label_that_classes_lack_is_an_error_with_its_line(tmp_path, label):
    make(tmp_path, f"path,label\na.mp4,{label}\n")
    dataset = read(tmp_path, classes=("walk", "sit", "run"))
    expected = rf"train\.csv:2: the label must be one of walk, sit, run, got '{label}'"
    with pytest.raises(DataError, match=expected):
        dataset.records("train")


def test_classes_named_twice_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"CLASSES must name each class once"):
        read(make(tmp_path), classes=("a", "b", "a"))


def test_the_test_list_may_be_absent_until_it_is_asked_for(tmp_path):
    dataset = read(make(tmp_path, val="path,label\nb.mp4,x\n"))
    assert len(dataset.records("val")) == 1
    with pytest.raises(DataError, match=r"no file .*test\.csv: .* header path,label"):
        dataset.records("test")


def test_lists_may_have_other_names(tmp_path):
    make(tmp_path, fold2="path,label\nb.mp4,y\n")
    dataset = read(tmp_path, val="fold2.csv")
    assert labels(dataset, "val") == [1]


def test_a_missing_root_or_training_list_is_named(tmp_path):
    with pytest.raises(DataError, match=r"no folder .*nowhere: it should hold train\.csv"):
        read(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"no file .*train\.csv"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"train\.csv:1: the header must name path and label, path and label missing in ''"),
        ("a.mp4,run\n", "path and label missing in 'a.mp4,run'"),
        ("path,kind\na.mp4,run\n", "label missing in 'path,kind'"),
        ("path,label,path\na.mp4,x,b.mp4\n", ":1: the header names path more than once"),
        ("path,label\n", r"train\.csv lists no clips"),
        ("path,label\na.mp4,x\n\nb.mp4\n", r"train\.csv:4: the label is missing, .* 'b\.mp4'"),
        ("path,label\n,x\n", ":2: the path is missing"),
        ("path,label\na.mp4,x\na.mp4,y\n", ":3: line 2 lists the same clip"),
        ("path,label,start,end\na.mp4,x,2,2\n", r":2: end must be above start, got \[2, 2\)"),
        ("path,label,end\na.mp4,x,0\n", r":2: end must be above start, got \[0, 0\)"),
        (
            "path,label,start\na.mp4,x,-1\n",
            ":2: start: write seconds, such as 62.5, or",
        ),
        ("path,label,start\na.mp4,x,0:75\n", "or a clock time, such as 0:01:02.5, got '0:75'"),
        (
            "path,label,end\na.mp4,x,inf\n",
            "a clock time, such as 0:01:02.5, got 'inf'",
        ),
        ('path,label\n"a.mp4,x\n', "not CSV"),
        (b"path,label\n\xff.mp4,x\n", "must be UTF-8 text, got byte 11"),
        ("path,label\na.mp4,20260101\n", ":2: a class number must be below 100000"),
    ],
)
def test_a_list_that_cannot_be_read_is_one_line_with_its_place(tmp_path, text, message):
    with pytest.raises(DataError, match=message) as caught:
        read(make(tmp_path, text))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", ["../other/a.mp4", "/etc/passwd", "clips/../../a.mp4", "."])
def test_a_path_cannot_leave_the_root(tmp_path, path):
    make(tmp_path, f"path,label\n{path},x\n")
    with pytest.raises(DataError, match=r"train\.csv:2: the path must lie under"):
        read(tmp_path)


LONG = 1_300
"""Rows: more than are read at once."""


@pytest.mark.parametrize(
    "unusual",
    ["", "./b//c.mp4,x,,\n", '"with\na line.mp4",x,,\n', ",,,\n\n", "é.mp4,x,,\n", "short.mp4,y\n"],
)
def test_many_rows_are_read_as_one_by_one(tmp_path, unusual):
    """Whatever stands among them."""
    rows = [f"a/{n}.mp4,label {n % 7},{n % 3 or ''},{9 + n % 3}\n" for n in range(LONG)]
    rows.insert(700, unusual)
    folder = make(tmp_path, "path,label,start,end\n" + "".join(rows))
    records = read(folder).records("train")
    expected = [
        (f"{folder}/a/{n}.mp4", f"label {n % 7}", float(n % 3) or None, 9.0 + n % 3)
        for n in range(LONG)
    ]
    names = read(folder).class_names
    got = [(r.path, names[r.label], r.start, r.end) for r in records]
    extra = len(got) - LONG
    assert extra == (unusual.strip(",\n") != "")
    assert got[:700] + got[700 + extra :] == expected
    assert records[-1] == [*records][-1] == records[len(records) - 1]
    assert records == list(records)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a/3.mp4,x,1,2", r"train\.csv:1203: line 5 lists the same clip"),
        ("b.mp4,,,", r"train\.csv:1203: the label is missing"),
        ("b.mp4,x,nan,", r"train\.csv:1203: start: write seconds, .* got 'nan'"),
        ("b.mp4,x,3,3", r"train\.csv:1203: end must be above start"),
        ("b.png,x,3,", r"train\.csv:1203: an image has neither start nor end"),
        ("../b.mp4,x,,", r"train\.csv:1203: the path must lie under"),
    ],
)
def test_a_line_far_down_is_named(tmp_path, row, message):
    rows = [f"a/{n}.mp4,x,1,2\n" for n in range(LONG)]
    rows.insert(1_201, f"{row}\n")
    with pytest.raises(DataError, match=message):
        read(make(tmp_path, "path,label,start,end\n" + "".join(rows)))


def test_a_relative_root_stays_relative(tmp_path, monkeypatch):
    make(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert read(".").records("train") == [Record("a.mp4", 0)]


def test_an_unknown_split_lists_the_known_ones(tmp_path):
    with pytest.raises(DataError, match="must be one of train, val, test, got 'valid'"):
        read(make(tmp_path)).records("valid")


def test_missing_files_are_counted_and_the_first_ten_named(tmp_path):
    rows = "".join(f"clips/{number:02}.mp4,x\n" for number in range(14))
    dataset = read(make(tmp_path, "path,label\n" + rows))
    (tmp_path / "clips").mkdir()
    for present in (3, 5):
        (tmp_path / f"clips/{present:02}.mp4").touch()
    with pytest.raises(DataError) as caught:
        dataset.check_files(dataset.records("train"))
    message = str(caught.value)
    assert f"12 of 14 clips are missing under {tmp_path}: clips/00.mp4, clips/01.mp4" in message
    assert "clips/11.mp4, and 2 more" in message
    assert "03.mp4" not in message
    assert "12.mp4" not in message
    dataset.check_files(dataset.records("train")[3:4])


def test_class_counts_include_classes_without_clips():
    class Few:
        class_names = list("abcde")

        def split(self, name):
            labels = (0, 2, 2) if name == "train" else (4,)
            return Split([Record("a", label) for label in labels])

    splits = Splits(Few(), ["train", "val"])
    assert splits.labels("train").tolist() == [0, 2, 2]
    assert splits.counts("train").dtype == np.int64
    np.testing.assert_array_equal(splits.counts("train"), [1, 0, 2, 0, 0])
    np.testing.assert_array_equal(splits.counts("train+val"), [1, 0, 2, 0, 1])


@pytest.mark.parametrize("name", DATASETS.names())
def test_a_dataset_that_is_not_there_says_where_it_looked(name, tmp_path):
    dataset = DATASETS.get(name)
    with pytest.raises(DataError, match=r"no folder .*absent: it should hold"):
        dataset(dataset.Options(root=str(tmp_path / "absent")))


@pytest.fixture(params=DATASETS.names())
def example(request, tmp_path):
    """A small example of each dataset; a new one needs a writer in ``archives.py``."""
    WRITERS[request.param](tmp_path)
    kind = DATASETS.get(request.param)
    options = OPTIONS.get(request.param, {})
    return lambda: kind(kind.Options(root=str(tmp_path), **options))


def test_a_dataset_gives_labelled_records_in_the_same_order_each_time(example):
    dataset, again = example(), example()
    assert len(set(dataset.class_names)) == len(dataset.class_names) >= 2
    paths = set()
    for split in ("train", "val", "test"):
        records = dataset.records(split)
        assert records == again.records(split)
        assert all(isinstance(record, Record) for record in records)
        assert {record.label for record in records} <= set(range(len(dataset.class_names)))
        own = {(record.path, record.start, record.end) for record in records}
        assert len(own) == len(records)
        assert not own & paths, f"{split} shares clips with an earlier split"
        paths |= own
    with pytest.raises(DataError, match="must be one of train, val, test, got 'all'"):
        dataset.records("all")


def test_a_dataset_gives_all_images_of_a_split_or_none(example):
    dataset = example()
    for name in ("train", "val", "test"):
        splits = Splits(dataset, [name])
        split = splits[name]
        if split.images is not None:
            assert split.images.dtype == np.uint8
            assert split.images.shape[:2] == (len(split.records), 3)
            splits.check_files(name)
        elif ".tar/" in split.records[0].path:
            splits.check_files(name)  # what is in an archive was found as it was read
        else:
            Path(split.records[0].path).unlink(missing_ok=True)
            with pytest.raises(DataError, match="clips are missing under"):
                splits.check_files(name)
