"""Small lists of public video sets in their own formats."""

import io
import json
import tarfile

EPIC_HEADER = (
    "narration_id,participant_id,video_id,narration_timestamp,start_timestamp,stop_timestamp,"
    "start_frame,stop_frame,narration,verb,verb_class,noun,noun_class,all_nouns,all_noun_classes\n"
)
EPIC = (
    "P99_07_12,P99,P99_07,00:01:02.500,00:01:02.71,00:01:04.30,3762,3858,wash cup,wash,2,cup,1,"
    "\"['cup', 'lid']\",\"[1, 0]\"\n"
    "P99_107_0,P99,P99_107,00:00:00.100,01:00:00.05,01:00:02.00,180002,180100,take lid,take,0,"
    "lid,0,['lid'],[0]\n"
)
KINETICS = """label,youtube_id,time_start,time_end,split,is_cc
"juggling balls",AbCdEfGhIjK,37,47,train,0
massaging person's head,-bCdEfGhIjK,0,10,train,0
massaging person,x_CdEfGhIjK,3.0,13.0,train,1
"""


def write(path, text):
    """A file of text, or of JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text if isinstance(text, str) else json.dumps(text))


def make_list(root):
    for split in ("train", "val", "test"):
        write(root / f"{split}.csv", f"{split}/a b.mp4 0\n{split}/c.mp4 1\n")
    return root


def make_ucf101(root):
    lists = root / "ucfTrainTestlist"
    write(lists / "classInd.txt", "1 ApplyEyeMakeup\n2 Archery\n")
    names = ["ApplyEyeMakeup/v_ApplyEyeMakeup", "Archery/v_Archery"]
    train = [f"{n}_g{g:02}_c01.avi {c}" for c, n in enumerate(names, 1) for g in (8, 9, 23, 25)]
    write(lists / "trainlist01.txt", "\r\n".join(train) + "\r\n")
    write(lists / "testlist01.txt", "".join(f"{name}_g01_c01.avi\n" for name in names))
    (root / "UCF-101").mkdir(exist_ok=True)
    return root


def make_hmdb51(root):
    for name in ("brush_hair", "wave"):
        lines = [f"Film{f}_{name}_u_cm_np1_ri_med_{n}.avi" for f in range(8) for n in range(2)]
        parts = [*[1] * 12, 2, 2, 0, 0]
        text = "".join(f"{clip} {part} \n" for clip, part in zip(lines, parts, strict=True))
        write(root / f"testTrainMulti_7030_splits/{name}_test_split1.txt", text)
        write(root / f"testTrainMulti_7030_splits/{name}_test_split2.txt", "nonsense")
    (root / "hmdb51_org").mkdir()
    return root


def make_kinetics(root):
    for split in ("train", "val", "test"):
        write(root / f"{split}.csv", KINETICS.replace(",train", f",{split}"))
    return root


def make_shards(root):
    root.mkdir(exist_ok=True)
    for split in ("train", "val", "test"):
        with tarfile.open(root / f"{split}-000.tar", "w") as tar:
            for n in range(2):
                for name, data in (
                    (f"{split}{n}.mp4", b"no video"),
                    (f"{split}{n}.cls", b"%d" % n),
                ):
                    info = tarfile.TarInfo(name)
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
    return root


def make_ssv2(root):
    write(
        root / "something-something-v2-labels.json",
        {"Pushing something from left to right": "1", "Dropping something": "0"},
    )
    entry = {"id": "90001", "label": "pushing a cup from left to right"}
    entry |= {"template": "Pushing [something] from left to right", "placeholders": ["a cup"]}
    write(root / "something-something-v2-train.json", [entry])
    write(root / "something-something-v2-validation.json", [{**entry, "id": "7"}])
    write(root / "own-val.json", [{**entry, "id": "8"}])
    return root


def make_epic(root):
    folder = root / "annotations"
    write(folder / "EPIC_100_train.csv", EPIC_HEADER + EPIC)
    write(
        folder / "EPIC_100_validation.csv",
        EPIC_HEADER + EPIC.splitlines()[0].replace("00:01:", "00:02:"),
    )
    write(folder / "own_val.csv", EPIC_HEADER + EPIC.splitlines()[1].replace("01:00:", "01:01:"))
    write(
        folder / "EPIC_100_verb_classes.csv",
        "id,key,instances,category\n0,take,\"['take', 'grab']\",retrieve\n1,put,['put'],leave\n"
        "2,wash,['wash'],clean\n",
    )
    write(
        folder / "EPIC_100_noun_classes.csv",
        "id,key,instances,category\n1,cup,['cup'],a\n0,lid,['lid'],b\n",
    )
    return root
