import json

from cdb_video.commands import main
from cdb_video.engine.record.clock import PARTS


def test_it_prints_the_parts_and_a_verdict_and_writes_the_numbers(tiny_yaml, tmp_path, capsys):
    numbers = tmp_path / "numbers.json"
    words = ["--cfg", str(tiny_yaml), "--steps", "1", "--json", str(numbers)]
    assert main(["profile-run", *words, "OUTPUT_DIR", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert all(part in said for part in ("waiting", *PARTS, "rest"))
    found = json.loads(numbers.read_text())
    assert said.splitlines()[-1] == found["verdict"]
    assert set(found["seconds"]) == {"waiting", *PARTS, "rest"}
    assert not (tmp_path / "out").exists()
