"""What a run leaves is written and read by one module, which deletes nothing else."""

import json
import os

import pytest

from cdb_video.errors import ConfigError, DataError
from cdb_video.output.rows import ClassRow, DifficultyRow, TestRow
from cdb_video.output.run_folder import RunFolder
from cdb_video.system.csv_rows import header, read_rows, write_csv

NAMES = ["score_0", "score_1"]
PREDICTIONS = [
    (TestRow(0, "a, b.mp4", None, None, 0, 1, 0.75), [0.25, 0.75]),
    (TestRow(1, 'c "d".mp4', 1.5, 3.0, 1, 1, 0.5), [0.5, 0.5]),
]
CLASSES = [
    ClassRow(0, "cut, open", 5, 1, 0, 0.0, 0.0, 0.0, "minority"),
    ClassRow(1, "put", None, 0, 2, 0.5, None, None, ""),
]
CONFUSION = [["true\\predicted", "cut, open", "put"], ["cut, open", 0, 1], ["put", 0, 1]]


@pytest.fixture
def folder(tmp_path):
    """A run folder with a bit of everything."""
    folder = RunFolder(tmp_path / "out")
    folder.latest.parent.mkdir(parents=True)
    folder.tensorboard.mkdir()
    (folder.tensorboard / "events.out.tfevents.1.host").write_bytes(b"")
    folder.config.write_text("DATA: {NAME: clips}\n")
    for path in (folder.of_epoch(1), folder.latest, folder.best, folder.report):
        path.write_bytes(b"x")
    folder.features("train").parent.mkdir()
    folder.features("train").write_bytes(b"x")
    folder.append_record("train_step", 1, 1, loss=float("nan"))
    folder.append_difficulty([DifficultyRow(1, 0, "put", 0, None, 1.0, 1.0, None)])
    folder.write_test({"top1": 0.5}, CLASSES, CONFUSION, NAMES, PREDICTIONS)
    return folder


def everything(folder):
    return sorted(str(p.relative_to(folder.path)) for p in folder.path.rglob("*") if p.is_file())


def test_what_is_written_is_what_is_read(folder):
    assert folder.metrics() == {"top1": 0.5}
    assert folder.per_class() == CLASSES
    assert folder.predictions() == [row for row, _ in PREDICTIONS]
    assert folder.confusion().names == ["cut, open", "put"]
    assert folder.confusion().counts.tolist() == [[0, 1], [0, 1]]
    assert folder.difficulties() == [DifficultyRow(1, 0, "put", 0, None, 1.0, 1.0, None)]
    assert folder.records() == ([{"kind": "train_step", "epoch": 1, "step": 1, "loss": None}], 0)
    assert folder.epoch_checkpoints() == [folder.of_epoch(1)]


def test_columns_have_the_names_that_others_rely_on(folder):
    first = {
        name: (folder.path / name).read_text().splitlines()[0]
        for name in ("difficulty.csv", "test/per_class.csv", "test/predictions.csv")
    }
    assert first == {
        "difficulty.csv": "epoch,class,name,n_val,recall,difficulty,weight,tau",
        "test/per_class.csv": "class,name,n_train,n_test,n_predicted,precision,recall,f1,group",
        "test/predictions.csv": "index,path,start,end,label,predicted,score,score_0,score_1",
    }


def test_a_folder_of_nothing_reads_as_empty(tmp_path):
    folder = RunFolder(tmp_path / "none")
    assert folder.metrics() is folder.confusion() is None
    assert folder.per_class() == folder.predictions() == folder.difficulties() == []
    assert folder.records() == ([], 0)
    assert not folder.path.exists()


def test_a_damaged_line_is_named_or_passed_over(tmp_path):
    path = tmp_path / "rows.csv"
    rows = [DifficultyRow(1, c, "x", 2, 0.5, 0.5, 1.0, 1.0) for c in range(2)]
    write_csv(path, [header(DifficultyRow), *rows])
    path.write_text(path.read_text() + "2,0,x,2,0.")
    with pytest.raises(DataError, match=r"rows\.csv, line 4: unreadable"):
        read_rows(path, DifficultyRow)
    assert read_rows(path, DifficultyRow, skip_damaged=True) == rows


def test_what_was_written_after_a_point_goes(tmp_path):
    folder = RunFolder(tmp_path)
    for epoch in (1, 2):
        for step in (1, 2, 3):
            folder.append_record("train_step", epoch, 3 * (epoch - 1) + step)
        folder.append_record("val", epoch, 3 * epoch)
        folder.append_difficulty([DifficultyRow(epoch, 0, "x", 1, 0.5, 0.5, 1.0, 1.0)])
    with open(folder.log, "a") as file:
        file.write('{"kind": "train_s')
    assert folder.keep_until(1, 4) == 4
    records, num_bad = folder.records()
    assert [(r["kind"][0], r["step"]) for r in records] == [
        *(("t", step) for step in (1, 2, 3)),
        ("v", 3),
        ("t", 4),
    ]
    assert num_bad == 0
    assert [row.epoch for row in folder.difficulties()] == [1]
    assert folder.keep_until(0, 0) == 0
    assert folder.records() == ([], 0)


def test_clearing_a_run_leaves_what_is_not_of_it(folder):
    mine = ("notes.txt", "checkpoints/mine.pt", "features/mine.npy", "ncm/thesis.tex", "my/a.mp4")
    for name in mine:
        (folder.path / name).parent.mkdir(exist_ok=True)
        (folder.path / name).write_text("mine")
    own = folder.retrained("ncm")
    own.config.write_text("x: 1")
    own.append_record("val", 1, 1)
    crt = folder.retrained("crt")
    crt.path.mkdir()
    crt.config.write_text("x: 1")
    folder.of_epoch(2).with_suffix(".pt.partial").write_bytes(b"half")
    folder.clear(["crt", "ncm"])
    assert everything(folder) == sorted(mine)
    assert not crt.path.exists()
    assert not folder.tensorboard.exists()


def test_a_folder_that_never_held_a_run_is_not_cleared(folder):
    folder.config.unlink()
    before = everything(folder)
    folder.clear()
    assert everything(folder) == before


def test_a_test_never_removes_files_of_others(folder):
    folder.write_test({"top1": 1.0}, CLASSES, CONFUSION, NAMES, PREDICTIONS)
    assert folder.metrics() == {"top1": 1.0}
    clip = folder.path / "test" / "left" / "clip.mp4"
    clip.parent.mkdir()
    clip.write_bytes(b"a clip")
    with pytest.raises(ConfigError, match=r"nothing else, got .*test with left; choose another"):
        folder.write_test({"top1": 0.0}, CLASSES, CONFUSION, NAMES, PREDICTIONS)
    assert clip.read_bytes() == b"a clip"
    assert folder.metrics() == {"top1": 1.0}
    assert not [name for name in os.listdir(folder.path) if "partial" in name]


def test_a_folder_made_for_a_lock_goes_when_nothing_came_of_it(tmp_path):
    folder = RunFolder(tmp_path / "a" / "b")
    with folder.locked("train"):
        holder = json.loads((folder.path / ".train.lock").read_text())
        assert holder["pid"] == os.getpid()
        with folder.locked("test"):  # other work is free
            pass
    assert not (tmp_path / "a").exists()
    with folder.locked("train"):
        folder.config.write_text("")
    assert everything(folder) == ["config.yaml"]


def test_checkpoints_are_in_the_order_of_their_epochs(tmp_path):
    folder = RunFolder(tmp_path)
    folder.latest.parent.mkdir()
    for epoch in (9_999, 10_000, 3):
        folder.of_epoch(epoch).write_bytes(b"")
    mine = folder.latest.with_name("epoch_good.pt")
    mine.write_bytes(b"")
    wanted = [folder.of_epoch(epoch) for epoch in (3, 9_999, 10_000)]
    assert folder.epoch_checkpoints() == wanted
    folder.config.write_text("")
    folder.clear()
    assert [*folder.latest.parent.iterdir()] == [mine]
