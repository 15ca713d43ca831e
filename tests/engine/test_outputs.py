"""A head each for verb and noun: losses, difficulty and numbers of each, and of the action."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch.nn import functional as F
from video_lists import EPIC_HEADER, make_epic, write
from videos import write_video

from cdb_video import options
from cdb_video.data.lists.records import Record
from cdb_video.difficulty import ClassRecall
from cdb_video.engine.evaluate.evaluation import of_outputs
from cdb_video.engine.evaluate.test import test as run_test
from cdb_video.engine.train.loop import train
from cdb_video.engine.use.export import Exported
from cdb_video.engine.use.predictor import load
from cdb_video.errors import ConfigError
from cdb_video.losses.by_output import OutputLosses
from cdb_video.metrics.pairs import pair_metrics
from cdb_video.models import Architecture, build, read_checkpoint
from cdb_video.models.joint import joint_logits, joint_probabilities, probabilities
from cdb_video.output.run_folder import RunFolder
from cdb_video.outputs import Output, Outputs
from cdb_video.registry import BACKBONES, DATASETS, LOSSES
from cdb_video.report.page import write_report

SEVERAL = (
    Output("verb", ["take", "put", "wash"], [0, 0, 2, 1]),
    Output("noun", ["lid", "cup"], [0, 1, 1, 0]),
)
PARTS = Outputs(["take lid", "take cup", "wash cup", "put lid"], SEVERAL)
# verb, noun, how many training clips
ACTIONS = ((0, 0, 6), (0, 1, 3), (2, 1, 2), (1, 0, 2))


@pytest.fixture
def epic(tmp_path):
    """(*words) -> Config of a tiny EPIC-KITCHENS-100 of real videos."""
    root = make_epic(tmp_path / "epic")
    lists = {"EPIC_100_train": [], "EPIC_100_validation": [], "own_val": []}
    for video, participant in (("P99_07", "P99"), ("P98_01", "P98")):
        path = root / participant / "videos" / f"{video}.MP4"
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(len(video))
        write_video(
            path,
            60,
            (32, 32),
            fps=30,
            frame=lambda i, r=rng: r.integers(0, 256, (32, 32, 3), np.uint8),
        )
    for number, (verb, noun, count) in enumerate(ACTIONS):
        for split, size in (("EPIC_100_train", count), ("own_val", 2), ("EPIC_100_validation", 2)):
            for n in range(size):
                video = "P98_01" if split == "EPIC_100_validation" and n else "P99_07"
                begin = f"00:00:{0.1 * number + 0.02 * n:05.2f}"
                end = f"00:00:{0.1 * number + 0.02 * n + 0.3:05.2f}"
                lists[split].append(
                    f"x,{video[:3]},{video},{begin},{begin},{end},1,9,x,x,{verb},x,{noun},[],[]"
                )
    for name, rows in lists.items():
        write(root / f"annotations/{name}.csv", EPIC_HEADER + "\n".join(rows) + "\n")
    tree = {
        "TRAIN": {"BATCH_SIZE": 4},
        "DATA": {
            "NAME": "epic_kitchens",
            "NUM_FRAMES": 3,
            "CROP_SIZE": 16,
            "EPIC_KITCHENS": {
                "ROOT": str(root),
                "LABEL": "action",
                "VAL": "annotations/own_val.csv",
            },
        },
        "MODEL": {
            "NAME": "resnext3d",
            "HEADS": "parts",
            "RESNEXT3D": {"STAGE_BLOCKS": [1, 1, 1, 1], "WIDTH": 8, "CARDINALITY": 2},
        },
        "LOSS": {"NAME": "cdb_ce"},
        "SOLVER": {"BASE_LR": 0.02, "MAX_EPOCH": 2, "STEPS": [0], "LRS": [1]},
        "DATA_LOADER": {"NUM_WORKERS": 0},
        "DEVICE": "cpu",
        "LOG_PERIOD": 1,
        "OUTPUT_DIR": str(tmp_path / "out"),
    }
    (tmp_path / "epic.yaml").write_text(yaml.safe_dump(tree))
    return lambda *words: options.load(tmp_path / "epic.yaml", list(map(str, words)))


def test_the_logit_of_a_class_is_the_product_of_its_parts():
    logits = torch.randn(3, 5)
    verb, noun = logits.split([3, 2], dim=1)
    expected = verb.softmax(1)[:, [0, 0, 2, 1]] * noun.softmax(1)[:, [0, 1, 1, 0]]
    expected = expected / expected.sum(1, keepdim=True)
    torch.testing.assert_close(joint_logits(logits, PARTS).softmax(1), expected)
    scores = probabilities(logits, PARTS)
    torch.testing.assert_close(scores, torch.cat([verb.softmax(1), noun.softmax(1)], 1))
    torch.testing.assert_close(joint_probabilities(scores, PARTS), expected)


def test_a_single_output_is_the_class_itself():
    one, logits = Outputs(["a", "b", "c"]), torch.randn(2, 3)
    assert [output.of_class for output in one] == [[0, 1, 2]]
    assert one.sizes == [3]
    assert one.rows == [(0, "a"), (1, "b"), (2, "c")]
    assert joint_logits(logits, one) is logits
    assert torch.equal(probabilities(logits, one), logits.softmax(1))
    assert PARTS.rows[:2] == [(4, "verb take"), (5, "verb put")]
    assert PARTS.rows[-1] == (8, "noun cup")


@pytest.mark.parametrize("outputs", [PARTS, Outputs(["a", "b"])])
def test_outputs_come_back_from_plain_values(outputs):
    plain = json.loads(json.dumps(outputs.plain()))
    assert Outputs.of_plain(outputs.class_names, plain) == outputs
    assert Outputs.of_plain(outputs.class_names, None) != PARTS


@pytest.mark.parametrize("of_class", [[0, 1], [0, 1, 2], [0, -1, 1]])
def test_a_class_without_its_part_is_refused(of_class):
    with pytest.raises(ValueError, match="each of the 3 classes must have one of 2 verbs"):
        Outputs(["a", "b", "c"], [Output("verb", ["x", "y"], of_class)])
    with pytest.raises(ValueError, match="outputs must have names and of_class"):
        Outputs.of_plain(["a"], {"verb": [0]})


@pytest.mark.parametrize("name", LOSSES.names())
def test_losses_of_the_parts_are_averaged(name):
    kind = LOSSES.get(name)
    counts = ([9, 2, 2], [8, 5])
    losses = [
        kind(kind.Options(), num_classes=len(c), class_counts=torch.tensor(c)) for c in counts
    ]
    losses = [loss.eval() for loss in losses]
    together = OutputLosses(losses, PARTS, (0.5, 0.5))
    logits, target = torch.randn(6, 5), torch.tensor([0, 1, 2, 3, 0, 2])
    verb, noun = torch.tensor([0, 0, 2, 1]), torch.tensor([0, 1, 1, 0])
    expected = (losses[0](logits[:, :3], verb[target]) + losses[1](logits[:, 3:], noun[target])) / 2
    torch.testing.assert_close(together(logits, target), expected)
    if together.accepts_soft_targets:
        hard = F.one_hot(target, 4).float()
        torch.testing.assert_close(together(logits, hard), expected)
        mixed = together(logits, 0.3 * hard + 0.7 * hard.flip(0))
        assert mixed.isfinite()
    alone = OutputLosses(losses, PARTS, (1, 0))
    torch.testing.assert_close(alone(logits, target), losses[0](logits[:, :3], verb[target]))


def test_each_part_has_a_difficulty_of_its_own():
    kind = LOSSES.get("cdb_ce")
    losses = [kind(kind.Options(tau=1.0), num_classes=n) for n in (3, 2)]
    together = OutputLosses(losses, PARTS, (0.5, 0.5))
    recall = torch.tensor([0.9, 0.6, 0.0]), torch.tensor([0.5, 0.5])
    together.observe([ClassRecall(one, torch.full_like(one, 10)) for one in recall])
    for state, own in zip(together.class_states(2), recall, strict=True):
        torch.testing.assert_close(state.difficulty, 1 - own)
    assert losses[0].class_weights.tolist() == pytest.approx([0.2, 0.8, 2.0])
    assert losses[1].class_weights.tolist() == pytest.approx([1, 1])
    weights = together.weights_in(2)
    assert weights.tolist() == pytest.approx([0.6, 0.6, 1.5, 0.9])


def test_evaluation_of_parts_by_hand():
    scores = torch.tensor([[0.7, 0.2, 0.1, 0.4, 0.6], [0.1, 0.1, 0.8, 0.9, 0.1]]).double()
    target = torch.tensor([0, 2])
    result = of_outputs(scores, torch.tensor([True, True]), target, PARTS, True)
    products = torch.tensor([[0.28, 0.42, 0.06, 0.08], [0.09, 0.01, 0.08, 0.09]]).double()
    torch.testing.assert_close(result.scores, products / products.sum(1, keepdim=True))
    assert result.prediction.tolist() == [1, 0]
    verb, noun = result.several
    assert verb.prediction.tolist() == [0, 2]
    assert noun.prediction.tolist() == [1, 0]
    assert (verb.target.tolist(), noun.target.tolist()) == ([0, 2], [0, 1])
    classes, (verbs, nouns) = result.recalls
    assert (classes.recall.tolist(), classes.counts.tolist()) == ([0, 0, 0, 0], [1, 0, 1, 0])
    assert (verbs.recall.tolist(), verbs.counts.tolist()) == ([1, 0, 1], [1, 0, 1])
    assert (nouns.recall.tolist(), nouns.counts.tolist()) == ([0, 0], [1, 1])


def by_brute_force(verbs, nouns, verb, noun, chosen, k):
    """As the official evaluator: the best k of all pairs by the product of their scores."""
    found = []
    for i in np.flatnonzero(chosen):
        product = {
            (v, n): verbs[i, v] * nouns[i, n]
            for v in range(verbs.shape[1])
            for n in range(nouns.shape[1])
        }
        best = sorted(product, key=product.get, reverse=True)[:k]
        found.append((verb[i], noun[i]) in best)
    return np.mean(found)


def test_the_numbers_of_the_challenge_by_another_way():
    rng = np.random.default_rng(0)
    verbs, nouns = rng.dirichlet(np.ones(7), 60), rng.dirichlet(np.ones(9), 60)
    verb, noun = rng.integers(0, 7, 60), rng.integers(0, 9, 60)
    counts = np.array([100, 40, 20, 6, 5, 4, 3]), np.array([90, 50, 30, 9, 8, 7, 6, 0, 0])
    unseen = np.arange(60) < 12
    found = pair_metrics((verbs, nouns), (verb, noun), counts, unseen)
    # 178 verbs: 3 + 4 + 5 + 6 of 35.6; 200 nouns: 6 + 7 + 8 + 9 of 40, the empty ones in no tail.
    tail = np.isin(verb, [3, 4, 5, 6]), np.isin(noun, [3, 4, 5, 6])
    for subset, flags in (
        ("all", (np.ones(60, bool),) * 3),
        ("tail", (*tail, tail[0] | tail[1])),
        ("unseen", (unseen,) * 3),
    ):
        one = found[subset]
        assert one["num_samples"] == dict(
            zip(("first", "second", "pair"), (int(f.sum()) for f in flags), strict=True)
        )
        for k in (1, 5):
            for name, scores, target, own in (
                ("first", verbs, verb, flags[0]),
                ("second", nouns, noun, flags[1]),
            ):
                best = np.argsort(-scores, axis=1)[:, :k]
                right = (best == target[:, None]).any(axis=1)[own].mean()
                assert one[f"top{k}"][name] == pytest.approx(right)
            pair = by_brute_force(verbs, nouns, verb, noun, flags[2], k)
            assert one[f"top{k}"]["pair"] == pytest.approx(pair)
    assert "unseen" not in pair_metrics((verbs, nouns), (verb, noun), counts)


@pytest.mark.parametrize(("source", "average"), [("val", "probabilities"), ("train", "logits")])
def test_verb_and_noun_train_and_are_tested(epic, source, average):
    views = ("TEST.NUM_ENSEMBLE_VIEWS", 2, "TEST.NUM_SPATIAL_CROPS", 3)
    config = epic("LOSS.CDB_CE.SOURCE", source, *views, "TEST.ENSEMBLE_METHOD", average)
    train(config)
    rows = RunFolder(config.output_dir).difficulties()
    names = {row.name: row.class_id for row in rows}
    assert names == {
        "verb take": 4,
        "verb put": 5,
        "verb wash": 6,
        "noun lid": 7,
        "noun cup": 8,
    }
    assert len(rows) == 2 * 5
    metrics = run_test(config)
    assert set(metrics["heads"]) == {"verb", "noun"}
    assert metrics["num_classes"] == 4
    assert metrics["heads"]["verb"]["num_classes"] == 3
    assert metrics["pairs"]["all"]["num_samples"]["pair"] == 8
    assert metrics["pairs"]["unseen"]["num_samples"]["pair"] == 4, "P98 is not in training"
    verb = metrics["heads"]["verb"]
    assert verb["top1"] == pytest.approx(metrics["pairs"]["all"]["top1"]["first"])
    content = read_checkpoint(RunFolder(config.output_dir).best)
    assert content["model_state"]["fc.weight"].shape[0] == 5
    predictor = load(RunFolder(config.output_dir).best)
    assert predictor.class_names == ["take lid", "take cup", "put lid", "wash cup"]
    with (RunFolder(config.output_dir).path / "test/predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8
    spans = [Record(row["path"], 0, float(row["start"]), float(row["end"])) for row in rows]
    for one, row in zip(predictor.stream(spans), rows, strict=True):
        tested = [float(row[f"score_{c}"]) for c in range(4)]
        np.testing.assert_allclose(one.scores, tested, atol=2e-6)
    page = write_report(config.output_dir).read_text()
    assert "<th>verb</th>" in page
    json.dumps(metrics)


@pytest.mark.parametrize(
    "words",
    [
        ("MIX.NAME", "mixup"),
        ("MIX.NAME", "lmr"),
        ("LOSS.NAME", "balanced_softmax", "LOSS.HEAD_SHARES", "[1, 0]"),
        ("SAMPLER.NAME", "cdb_s", "TRAIN.EMA_DECAY", 0.5),
        ("LOSS.NAME", "ldam", "SOLVER.ACCUMULATION_STEPS", 2),
    ],
)
def test_it_goes_with_everything_else(epic, words):
    config = epic(*words)
    train(config)
    records, _ = RunFolder(config.output_dir).records()
    recalls = [r["mean_class_recall_verb"] for r in records if r["kind"] == "val"]
    assert len(recalls) == 2
    assert all(0 <= recall <= 1 for recall in recalls)


def test_a_run_of_parts_that_goes_on_is_the_same_run(epic, tmp_path):
    train(epic("OUTPUT_DIR", tmp_path / "whole"))
    train(epic("OUTPUT_DIR", tmp_path / "parts", "SOLVER.MAX_EPOCH", 1))
    train(epic("OUTPUT_DIR", tmp_path / "parts"))
    one, other = (read_checkpoint(RunFolder(tmp_path / name).latest) for name in ("whole", "parts"))
    for part in ("model_state", "loss_state"):
        for name, tensor in one[part].items():
            assert torch.equal(tensor, other[part][name]), name


def test_what_has_no_parts_is_refused(epic, configured):
    with pytest.raises(ConfigError, match="needs a data set whose classes have parts"):
        train(configured("out", "MODEL.HEADS", "parts"))
    with pytest.raises(ConfigError, match="LOSS.HEAD_SHARES must be 2 numbers, for verb, noun"):
        train(epic("LOSS.HEAD_SHARES", "[1]"))
    with pytest.raises(ConfigError, match="HEADS parts needs HEAD linear"):
        epic("MODEL.HEAD", "cosine")
    with pytest.raises(ConfigError, match="TEST.TOP_K must be 0"):
        train(epic("TEST.TOP_K", 2))


def test_an_exported_network_gives_classes():
    lenet = BACKBONES.get("lenet").Options()
    model = build(Architecture(name="lenet", options=lenet), PARTS).eval()
    clips = torch.zeros(2, 3, 1, 28, 28, dtype=torch.uint8)
    assert model(clips).shape == (2, 5)
    scores = Exported(model)(clips)
    torch.testing.assert_close(
        scores, joint_probabilities(probabilities(model(clips), PARTS), PARTS)
    )
    assert scores.shape == (2, 4)


def test_a_third_output_costs_nothing(epic, monkeypatch):
    """A hand beside verb and noun: trained, resumed, tested and used like the others."""
    kind, hands = DATASETS.get("epic_kitchens"), Output("hand", ["left", "right"], [0, 1, 1, 0])
    original = kind.__init__

    def with_hands(dataset, options):
        original(dataset, options)
        dataset.outputs = (*dataset.outputs, hands)

    monkeypatch.setattr(kind, "__init__", with_hands)
    train(epic("SOLVER.MAX_EPOCH", 1))
    train(config := epic())
    folder = RunFolder(config.output_dir)
    assert [row.name for row in folder.difficulties()[-2:]] == ["hand left", "hand right"]
    metrics = run_test(config)
    assert set(metrics["heads"]) == {"verb", "noun", "hand"}
    assert "pairs" not in metrics
    predictor = load(folder.best)
    assert predictor.model.outputs.sizes == [3, 2, 2]
    (record,) = [*predictor.stream([Record(folder_clip(config), 0)])]
    assert record.scores.sum() == pytest.approx(1)
    assert len(record.scores) == 4


def folder_clip(config):
    return str(next(Path(config.data.options.root).rglob("P99_07.MP4")))
