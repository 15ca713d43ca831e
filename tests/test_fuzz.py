"""Random configs, overrides and lists: an answer or one line, never a traceback."""

import io

from hypothesis import given
from hypothesis import strategies as st

from cdb_video import options
from cdb_video.config.tree import known_keys
from cdb_video.data.datasets.clips import Clips
from cdb_video.data.datasets.image_lists import ImageLists
from cdb_video.errors import CdbVideoError
from cdb_video.options import Config

KEYS = sorted(key for key, _, _ in known_keys(Config))
SCALARS = ["0", "-1", "1e309", ".nan", "0x_", "2024-02-30", "12:30:05", "true", "null", "~", "''"]
SCALARS += ["!!bool 7", "!!python/name:os.system", "[/x]", "*a", "&a 1", "<<", "1_0", "9" * 5000]
SCALARS += ["cdb_ce", "clips", "[1, 2]", "[[left, right]]", "{a: 1}", "auto", "'.os'", "\\x00"]
text = st.text(max_size=40)
value = st.one_of(st.sampled_from(SCALARS), text, st.integers().map(str), st.floats().map(str))
line = st.tuples(st.sampled_from([*KEYS, "DATA", "TRAIN", "_BASE_", "[1, 2]", "X"]), value)


def answer(work):
    """What ``work`` says to the user in an error; nothing where it goes well."""
    try:
        work()
    except CdbVideoError as error:
        return str(error)
    return ""


def is_one_line(said):
    return "\n" not in said and len(said) < 2000


def as_yaml(pairs):
    """A file of sections: not always one, as values are random text."""
    out = io.StringIO()
    out.write("DATA: {NAME: clips}\n")
    for key, content in pairs:
        for depth, part in enumerate(key.split(".")):
            end = f": {content}\n" if depth == key.count(".") else ":\n"
            out.write("  " * depth + part + end)
    return out.getvalue()


@given(st.one_of(text, st.lists(line, max_size=4).map(as_yaml), st.binary(max_size=60)))
def test_a_file_of_options(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "random.yaml"
    data = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
    path.write_bytes(data)
    assert is_one_line(answer(lambda: options.load(path)))


@given(st.lists(line.flatmap(st.permutations), max_size=3), st.booleans())
def test_options_on_the_command_line(tmp_path_factory, pairs, odd):
    path = tmp_path_factory.getbasetemp() / "plain.yaml"
    path.write_text("DATA: {NAME: clips}\n")
    words = [word for pair in pairs for word in pair]
    assert is_one_line(answer(lambda: options.load(path, words[odd:])))


cell = st.one_of(
    st.sampled_from(["a.mp4", "b.png", "0", "1", "-1", "1e9", "nan", '"', "", "é"]), text
)
rows = st.lists(st.lists(cell, max_size=5).map(",".join), max_size=5)
header = st.sampled_from(
    ["path,label", "path,label,start,end", "label,path,start", "path;label", ""]
)


@given(header, rows, st.sampled_from(["\n", "\r\n", "\r", "\n\0"]))
def test_a_list_of_clips(tmp_path_factory, first, lines, end):
    root = tmp_path_factory.getbasetemp() / "random clips"
    root.mkdir(exist_ok=True)
    content = end.join([first, *lines]).encode("utf-8", "surrogatepass")
    (root / "train.csv").write_bytes(content)
    assert is_one_line(answer(lambda: Clips(Clips.Options(root=str(root))).records("train")))


class Lists(ImageLists):
    """Lists of images of nobody."""

    command = "nothing"


@given(st.lists(st.lists(cell, max_size=3).map(" ".join), max_size=5).map("\n".join))
def test_a_list_of_images(tmp_path_factory, content):
    root = tmp_path_factory.getbasetemp() / "random images"
    root.mkdir(exist_ok=True)
    (root / "list.txt").write_bytes(content.encode("utf-8", "surrogatepass"))
    lists = Clips.Options(root=str(root), train="list.txt", val="", test="")
    assert is_one_line(answer(lambda: Lists(lists).records("train")))
