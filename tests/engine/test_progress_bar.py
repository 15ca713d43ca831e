import io

from rich.console import Console

from cdb_video.engine.record.log import progress_bar


def test_eighty_columns_have_room_for_all_but_a_long_bar():
    screen = Console(file=io.StringIO(), width=80)
    text = "epoch 15/15 loss 0.226, 45.7 clips/s, waits 2 %, 0.7 GB"
    with progress_bar(screen) as bar:
        task = bar.add_task(text, total=690)
        under_way = Console(file=io.StringIO(), width=80)
        under_way.print(bar.get_renderable())
        bar.update(task, completed=690)
    assert under_way.file.getvalue().split() == [*text.split(), "0/690", "ETA", "-:--:--"]
    shown = screen.file.getvalue().replace("━", "").split()
    assert shown == [*text.split(), "690/690", "took", "0:00:00"]
