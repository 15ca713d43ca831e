"""The doctor over real clips with everything wrong that it looks for."""

import json
import os
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
from videos import write_video

from cdb_video import options
from cdb_video.commands import run as run_command
from cdb_video.data.datasets.base import Origin
from cdb_video.data.datasets.egtea import Egtea
from cdb_video.data.lists.records import Record
from cdb_video.doctor.findings import Diagnosis
from cdb_video.doctor.leaks import Overlap, check_leaks, near_duplicates, overlaps
from cdb_video.doctor.probing import Probe, picture_hash
from cdb_video.engine.train.loop import train


def tree(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def doctor(tiny_yaml, tmp_path, monkeypatch, capsys):
    """(*words) -> exit code, findings as {(level, topic)}, the text, doctor.json."""
    monkeypatch.chdir(tmp_path)

    def doctor(*words, flags=()):
        given = [*flags, *map(str, words)]
        code = run_command("doctor", ["--cfg", str(tiny_yaml), "--workers", "2", *map(str, given)])
        lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
        found = [(line[0], line[1]) for line in lines]
        text = "\n".join("\t".join(line) for line in lines)
        return code, found, text, json.loads((tmp_path / "doctor.json").read_text())

    return doctor


def test_a_sound_setup_has_no_errors_and_nothing_is_changed(doctor, colour_clips, tmp_path):
    before = tree(colour_clips)
    code, found, text, content = doctor()
    assert code == 0, text
    assert {topic for level, topic in found if level == "ok"} >= {
        *("versions", "devices", "decoders", "disk", "classes", "clips", "size", "epoch")
    }
    assert "11 train, 6 val, 7 test clips of 3 classes" in text
    assert content["clips"]["train"] == {"blue": 6, "green": 3, "red": 2}
    assert content["bad"] == {"train": [], "val": [], "test": []}
    assert "minutes of training" in text
    assert tree(colour_clips) == before
    assert not (tmp_path / "out").exists()


def noise(index, seed):
    """A picture that is like no other."""
    rng = np.random.default_rng([seed, index // 4])
    small = rng.integers(0, 256, (8, 12, 3), np.uint8)
    return np.kron(small, np.ones((8, 8, 1), np.uint8))


@pytest.fixture
def ill(tmp_path):
    """A folder of clips with one of each fault."""
    root = tmp_path / "ill"
    root.mkdir()
    for number in range(6):
        write_video(root / f"{number}.mp4", 12, frame=lambda i, n=number: noise(i, n))
    write_video(root / "small.mp4", 12, (32, 48), "mpeg4", frame=lambda i: noise(i, 0)[::2, ::2])
    write_video(root / "fast.mp4", 12, fps=60, frame=lambda i: noise(i, 7))
    write_video(root / "short.mp4", 2, frame=lambda i: noise(i, 8))
    (root / "broken.mp4").write_bytes((root / "1.mp4").read_bytes()[:900])
    os.mkfifo(root / "hangs.mp4")
    train = ["0,1", "1,1", "2,2", "fast,2", "short,1", "broken,1", "gone,2", "hangs,2"]
    val, test = ["3,1", "0,1"], ["4,1", "small,2"]
    for split, rows in {"train": train, "val": val, "test": test}.items():
        lines = [f"{row.split(',')[0]}.mp4,{row.split(',')[1]}" for row in rows]
        (root / f"{split}.csv").write_text("\n".join(["path,label", *lines]) + "\n")
    return root


def test_every_fault_is_found(doctor, ill):
    code, found, text, content = doctor(
        "DATA.CLIPS.ROOT", ill, "DATA_LOADER.CLIP_TIMEOUT", 1, "DATA_LOADER.NUM_WORKERS", 1
    )
    assert code == 1
    assert "3 of 8 train clips are bad" in text
    assert len(content["bad"]["train"]) == 3
    assert any("it is a named pipe, not a file" in reason for reason in content["bad"]["train"])
    assert "1 classes have no train clip, such as 0; are labels counted from 1?" in text
    assert "2 classes have no val clip" in text
    assert "1 clips are both in train and val" in text
    assert "1 train clips have fewer frames than the 3 of a sample" in text
    assert ("warning", "frame rate") in found
    assert "small.mp4" in text.split("near-duplicates")[1]
    assert "look like clips of" in text


def test_deep_decodes_every_frame(doctor, ill):
    """A frame that is damaged between those that the quick look takes."""
    path = write_video(ill / "4.mp4", 12, options={"bf": "0"}, frame=lambda i: noise(i, 4))
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    content = bytearray(path.read_bytes())
    last = packets[-1]
    content[last.pos + 5 : last.pos + last.size] = b"\xff" * (last.size - 5)
    path.write_bytes(content)
    (ill / "train.csv").write_text("path,label\n1.mp4,1\n")
    words = ("DATA.CLIPS.ROOT", ill)
    assert not doctor(*words)[3]["bad"]["test"]
    assert "4.mp4" in doctor(*words, flags=["--deep"])[3]["bad"]["test"][0]


def test_lists_that_cannot_be_read_are_an_error(doctor, tmp_path):
    code, found, _, _ = doctor("DATA.CLIPS.ROOT", tmp_path / "nowhere")
    assert code == 1
    assert ("error", "lists") in found


def test_a_model_that_does_not_fit_the_clips_is_an_error(doctor):
    code, found, text, _ = doctor("MODEL.NAME", "mvit_b")
    assert code == 1
    assert ("error", "model") in found


def test_overlaps_are_counted_by_session_and_time():
    one = [Origin("a", 0, 2), Origin("a", 1.5, 3), Origin("b", 0, 9), Origin("c")]
    other = [Origin("a", 1.8, 1.9), Origin("a", 3, 4), Origin("b", 9, 10), Origin("c", 5, 6)]
    assert overlaps(one, other) == Overlap(pairs=3, clips=2)
    diagnosis = Diagnosis()
    sources = {"train": [Origin("s1", 0, 1, "P1")], "val": [Origin("s1", 5, 6, "P1")]}
    check_leaks(sources, diagnosis)
    assert [f.text for f in diagnosis.findings] == [
        "1 of 1 sessions of val are in train, too, such as s1",
        "1 of 1 subjects of val are in train, too, such as P1",
    ]


@pytest.mark.skipif("EGTEA_SPLITS" not in os.environ, reason="EGTEA_SPLITS names no folder")
def test_the_published_lists_of_egtea_overlap_as_is_known():
    egtea = Egtea.__new__(Egtea)
    folder = Path(os.environ["EGTEA_SPLITS"])
    train, test = (
        [egtea.source(Record(f"{line.split()[0]}.mp4", 0)) for line in (folder / name).open()]
        for name in ("train_split.txt", "test_split.txt")
    )
    assert overlaps(train, test) == Overlap(pairs=625, clips=539)


def test_the_hash_of_a_picture_survives_compression_and_scaling(tmp_path):
    picture = noise(0, 3)
    hashes = [picture_hash(one) for one in (picture, picture[::2, ::2], picture // 2 + 30)]
    assert max(bin(hashes[0] ^ other).count("1") for other in hashes[1:]) <= 3
    assert bin(hashes[0] ^ picture_hash(noise(0, 4))).count("1") > 15
    assert picture_hash(np.full((64, 96, 3), 200, np.uint8)) is None
    here = [Probe(hashes=(1, 2, 3)), Probe(), Probe(hashes=(2**64 - 1, 0, 0))]
    there = [Probe(hashes=(0, 2, 3)), Probe(hashes=(2**64 - 1, 1, 0))]
    assert near_duplicates(here, there) == [(0, 0), (2, 1)]


def test_shared_memory_that_is_too_small_is_said_before_it_hangs(doctor, configured_shared, capsys):
    code, found, text, _ = doctor("DATA_LOADER.NUM_WORKERS", 2)
    assert ("error", "/dev/shm") in found
    train(configured_shared)
    assert "make it larger, or DATA_LOADER.NUM_WORKERS smaller" in capsys.readouterr().err


@pytest.fixture
def configured_shared(tiny_yaml, monkeypatch):
    """A config with workers, where shared memory has a byte left."""
    monkeypatch.setattr("cdb_video.doctor.environment.shared_memory", lambda config: (2, 1))
    monkeypatch.setattr("cdb_video.engine.train.run.shared_memory", lambda config: (2, 1))
    words = ["DATA_LOADER.NUM_WORKERS", "1", "SOLVER.MAX_EPOCH", "1"]
    return options.load(tiny_yaml, [*words, "SOLVER.STEPS", "[0]", "SOLVER.LRS", "[1]"])


def test_classes_that_a_reader_takes_for_one_are_told(doctor, colour_clips, tmp_path):
    shutil.copytree(colour_clips, tmp_path / "clips")
    for name in ("train.csv", "val.csv", "test.csv"):
        path = tmp_path / "clips" / name
        first, *rows = path.read_text().splitlines()
        path.write_text("\n".join([first, f"{rows[0].rpartition(',')[0]},Red", *rows[1:]]) + "\n")
    _, _, text, _ = doctor("DATA.CLIPS.ROOT", tmp_path / "clips")
    assert "classes differ in case or blanks alone: 'Red', 'red'" in " ".join(text.split())
