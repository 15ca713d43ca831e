"""Files appear whole or not at all."""

import os

import pytest

from cdb_video.errors import ConfigError
from cdb_video.system.files import point, replacing, write_text
from cdb_video.system.names import check_new, check_outputs, name_for


def fail_halfway(target):
    with replacing(target) as path:
        path.write_text("half of the sec")
        raise OSError("disk full")


def test_a_file_takes_its_place_only_when_it_is_whole(tmp_path):
    target = tmp_path / "new" / "file.txt"
    with replacing(target) as path:
        path.write_text("first")
        assert not target.exists()
    assert target.read_text() == "first"
    with pytest.raises(OSError, match="disk"):
        fail_halfway(target)
    assert target.read_text() == "first"
    assert os.listdir(target.parent) == ["file.txt"]


def test_data_reaches_the_disk_before_the_name(tmp_path, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        original = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, n=name, f=original: (calls.append(n), f(*a))[1])
    with replacing(tmp_path / "file") as path:
        path.write_text("x")
    assert calls == ["fsync", "replace", "fsync"]


@pytest.mark.parametrize("links", [True, False])
def test_point_makes_one_name_stand_for_another(tmp_path, monkeypatch, links):
    if not links:

        def refuse(*arguments):
            raise OSError("no hard links here")

        monkeypatch.setattr(os, "link", refuse)
    one, two, latest = (tmp_path / name for name in ("one", "two", "latest"))
    one.write_text("1")
    two.write_text("2")
    for target, content in ((one, "1"), (two, "2"), (two, "2")):
        point(latest, target)
        assert latest.read_text() == content
    assert sorted(os.listdir(tmp_path)) == ["latest", "one", "two"]
    assert (latest.stat().st_ino == two.stat().st_ino) == links


def test_a_name_that_fills_the_file_system_s_limit_can_be_written(tmp_path):
    path = tmp_path / ("n" * 251 + ".txt")
    write_text(path, "one")
    write_text(path, "two")
    assert [*tmp_path.iterdir()] == [path]
    assert path.read_text() == "two"


def test_names_of_what_is_made_are_short_and_told_apart(tmp_path):
    long = tmp_path / ("ä" * 120 + ".mp4")
    names = [name_for(long), name_for(tmp_path / "a/x.mp4"), name_for(tmp_path / "b/x.mp4")]
    names += [name_for(tmp_path / "a/x.mp4", 1.0, 2.0), name_for(tmp_path / "a/x.avi")]
    assert len(set(names)) == 5
    assert all(len(os.fsencode(name)) < 120 for name in names)
    assert name_for(tmp_path / "a/x.mp4", None, None) == names[1]


def test_an_input_is_no_output(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"")
    (tmp_path / "link.mp4").symlink_to(tmp_path / "a.mp4")
    with pytest.raises(ConfigError, match="would be overwritten, and is an input"):
        check_outputs([tmp_path / "link.mp4"], [tmp_path / "a.mp4"])
    check_outputs([tmp_path / "b.mp4"], [tmp_path / "a.mp4"])
    with pytest.raises(ConfigError, match="is there already"):
        check_new(tmp_path / "b.mp4", tmp_path / "a.mp4")
