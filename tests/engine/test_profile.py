import json

import pytest

from cdb_video.doctor.profile import Profile, profile_run
from cdb_video.engine.record.clock import PARTS


def profile(waits, rest=0.0, *, decode=0.1, workers=1, cores=8):
    seconds = dict.fromkeys(("waiting", *PARTS, "rest"), 0.0)
    seconds |= {"waiting": waits, "forward": 0.1, "backward": 0.3, "rest": rest}
    return Profile(
        steps=9,
        clips_a_step=15,
        seconds=seconds,
        decode=decode,
        transform=0.025,
        teraflops=0.25,
        peak_teraflops=1.0,
        workers=workers,
        cores=cores,
    )


def test_a_run_that_waits_is_told_how_many_workers_keep_up():
    # 15 clips of 125 ms in 400 ms of network: 4.7 processes.
    assert profile(1.2).workers_needed == 5
    assert profile(1.2).verdict() == (
        "it waits for data 75 % of the time: try DATA_LOADER.NUM_WORKERS 5"
    )
    assert "NUM_WORKERS 3 (5 would keep up" in profile(1.2, cores=4).verdict()
    assert "pack-data" in profile(1.2, cores=4).verdict()
    assert profile(1.2, workers=3, cores=4).verdict().endswith("make that cheaper with pack-data")


def test_a_run_that_computes_is_told_so():
    assert "the network takes 100 % of the time, at 25 % of" in profile(0.0).verdict()
    assert "bookkeeping takes 20 %" in profile(0.0, rest=0.1).verdict()


@pytest.mark.parametrize("accumulation", [1, 2])
def test_the_parts_of_a_real_run_make_up_its_time(configured, tmp_path, accumulation):
    words = ("TRAIN.BATCH_SIZE", 4, "SOLVER.ACCUMULATION_STEPS", accumulation)
    config = configured("out", *words)
    found = profile_run(config, steps=2, trace=tmp_path / "trace.json")
    assert not (tmp_path / "out").exists()
    assert found.clips_a_step == 4
    assert found.steps >= 1
    assert all(found.seconds[part] > 0 for part in ("waiting", *PARTS, "rest"))
    assert found.decode > 0
    assert 0 < found.utilisation < 1
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    names = {event.get("name") for event in events}
    assert "aten::conv3d" in names
