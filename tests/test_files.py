"""Files appear whole or not at all."""

import os

import pytest

from cdb_video.system.files import point, replacing


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
