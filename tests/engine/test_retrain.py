"""Decoupled training: kept features, a frozen backbone, four classifiers."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from videos import write_video

from cdb_video import options
from cdb_video.engine.evaluate.test import test as run_test
from cdb_video.engine.prepare.data import make_eval_loader, read_splits
from cdb_video.engine.record.log import RunLog, console
from cdb_video.engine.retrain.fitting import fit_head
from cdb_video.engine.retrain.kept_features import Features
from cdb_video.engine.retrain.retrain import retrain
from cdb_video.engine.retrain.work import Work, evaluate_head
from cdb_video.engine.train.loop import train
from cdb_video.errors import CheckpointError, ConfigError, DataError
from cdb_video.metrics.groups import by_thresholds
from cdb_video.models import Checkpoint, read_checkpoint
from cdb_video.output.run_folder import RunFolder
from cdb_video.registry import RETRAINERS


@pytest.fixture
def configured(tiny_yaml, colour_clips, tmp_path):
    """(*words) -> Config, with clips of its own that a test may delete."""
    shutil.copytree(colour_clips, tmp_path / "clips")

    def configured(*words):
        root = ("DATA.CLIPS.ROOT", str(tmp_path / "clips"), "SOLVER.MAX_EPOCH", "3")
        return options.load(tiny_yaml, [*root, *map(str, words)])

    return configured


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Where the first test that needs a finished run leaves it for the others."""
    return tmp_path_factory.mktemp("finished") / "out"


@pytest.fixture
def trained(configured, finished, tmp_path):
    """The same, with a finished run in OUTPUT_DIR."""
    if not finished.exists():
        train(configured())
        shutil.copytree(tmp_path / "out", finished)
    shutil.copytree(finished, tmp_path / "out", dirs_exist_ok=True)
    return configured


def kept(config, split):
    tensors = load_file(f"{config.output_dir}/features/{split}.safetensors")
    return Features(**{name: tensor.clone() for name, tensor in tensors.items()})


def states(config, method):
    """Model states before and after, and how the second says it was made."""
    before = read_checkpoint(f"{config.output_dir}/checkpoints/best.pt")
    after = read_checkpoint(f"{config.output_dir}/{method}/checkpoints/best.pt")
    return before["model_state"], after["model_state"], after["origin"]


def head_of(state):
    head = nn.Linear(*reversed(state["fc.weight"].shape))
    head.load_state_dict({"weight": state["fc.weight"], "bias": state["fc.bias"]})
    return head


def delete_clips(tmp_path):
    for path in (tmp_path / "clips").glob("*.mp4"):
        path.unlink()


def csv_scores(folder):
    lines = (Path(folder) / "test" / "predictions.csv").read_text().splitlines()
    return torch.tensor([[float(s) for s in line.split(",")[-3:]] for line in lines[1:]])


def test_features_are_what_the_classifier_sees(trained):
    config = trained("RETRAIN.METHOD", "ncm")
    retrain(config)
    clips = read_splits(config, "train", "val")
    model = Checkpoint.read(f"{config.output_dir}/checkpoints/best.pt").open()
    for split in ("train", "val"):
        features, labels, _ = kept(config, split)
        for batch in make_eval_loader(config, clips, split, torch.device("cpu")).batches():
            with torch.no_grad():
                logits = model(batch.video)
                assert torch.allclose(model.fc(features[batch.index, 0]), logits, atol=1e-5)
            assert torch.equal(labels[batch.index], batch.label)
    assert features.any()


def test_the_test_split_keeps_all_its_views(trained, tmp_path):
    picture = np.linspace(0, 255, 32 * 48 * 3).reshape(48, 32, 3).transpose(1, 0, 2)
    for path in (tmp_path / "clips").glob("test *.mp4"):  # brighter in time and to the right
        write_video(
            path, 8, (32, 48), "mpeg4", frame=lambda i: (picture * (i + 1) / 8).astype(np.uint8)
        )
    words = ("TEST.NUM_ENSEMBLE_VIEWS", 2, "TEST.NUM_SPATIAL_CROPS", 3, "RETRAIN.METHOD", "ncm")
    config = trained(*words)
    run_test(config)
    retrain(config)
    features = kept(config, "test")
    assert features.features.shape[:2] == (7, 6)
    for view, other in ((0, 1), (1, 2), (0, 3)):
        assert not torch.allclose(features.features[:, view], features.features[:, other])
    before, _, _ = states(config, "ncm")
    scores = evaluate_head(head_of(before), features).scores
    assert torch.allclose(scores.float(), csv_scores(config.output_dir), atol=1e-5)


@pytest.mark.parametrize("method", RETRAINERS.names())
def test_only_the_classifier_changes_and_test_net_agrees(trained, method):
    # The best tau may be 0, which changes nothing.
    words = ("RETRAIN.LOGIT_ADJUST.TAUS", [1.0]) if method == "logit_adjust" else ()
    config = trained("RETRAIN.METHOD", method, *words)
    metrics = retrain(config)
    before, after, _ = states(config, method)
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert changed <= {"fc.weight", "fc.bias"}
    folder = Path(config.output_dir, method)
    scores = csv_scores(folder)
    assert json.loads((folder / "test" / "metrics.json").read_text()) == metrics
    again = run_test(options.load(folder / "config.yaml"))
    assert again == metrics
    assert torch.allclose(csv_scores(folder), scores, atol=2e-6)
    path = folder / "checkpoints" / "best.pt"
    named = trained("TEST.CHECKPOINT_FILE_PATH", path, "OUTPUT_DIR", folder.parent / "named")
    (folder.parent / "named").mkdir()
    assert run_test(named) == metrics


def test_lws_scales_each_class(trained):
    config = trained("RETRAIN.METHOD", "lws")
    retrain(config)
    before, after, origin = states(config, "lws")
    scale = torch.tensor(origin["scale"])
    assert (scale != 1).all()
    assert torch.allclose(after["fc.weight"], scale[:, None] * before["fc.weight"])
    assert torch.allclose(after["fc.bias"], scale * before["fc.bias"])


def test_tau_is_the_smallest_that_validates_best(trained):
    taus = (1.5, 0.0, 0.5)
    config = trained("RETRAIN.METHOD", "tau_norm", "RETRAIN.TAU_NORM.TAUS", list(taus))
    retrain(config)
    before, after, origin = states(config, "tau_norm")
    w, (features, labels, _) = before["fc.weight"], kept(config, "val")
    recall = {}
    for tau in sorted(taus):
        right = (features[:, 0] @ (w / w.norm(dim=1, keepdim=True) ** tau).T).argmax(1) == labels
        recall[tau] = sum(float(right[labels == c].float().mean()) for c in range(3)) / 3
    best = next(tau for tau in recall if recall[tau] == max(recall.values()))
    assert origin["tau"] == best
    assert origin["scores"] == pytest.approx(recall)
    assert torch.allclose(after["fc.weight"], w / w.norm(dim=1, keepdim=True) ** best)


def test_ncm_takes_the_training_means(trained):
    config = trained("RETRAIN.METHOD", "ncm", "RETRAIN.NCM.DISTANCE", "euclidean")
    retrain(config)
    features, labels, _ = kept(config, "train")
    _, after, _ = states(config, "ncm")
    for c in range(3):
        mean = features[labels == c].mean(dim=(0, 1))
        assert torch.allclose(after["fc.weight"][c], 2 * mean, atol=1e-5)
        assert float(after["fc.bias"][c]) == pytest.approx(-float(mean @ mean), rel=1e-4)


def work_of(features, head, log):
    counts = torch.bincount(features["train"].labels).tolist()
    return Work(
        best_metric="top1",
        seed=0,
        class_names=["blue", "green", "red"],
        grouping=by_thresholds(counts, "mean", ("minority", "majority")),
        features=features,
        leave_out=True,
        trained=head,
        mix_options=None,
        log=log,
        screen=console(),
    )


def test_classes_are_drawn_equally_often(trained):
    """Where features say nothing, a classifier learns how often it has seen each class."""
    own = RETRAINERS.get("crt").Options(max_epoch=150, batch_size=200, base_lr=1)
    config = trained()
    labels = torch.tensor([0] * 150 + [1] * 40 + [2] * 10)
    features = {
        split: Features(torch.zeros(len(of), 1, 5), of, torch.ones(len(of), dtype=torch.bool))
        for split, of in {"train": labels, "val": torch.arange(3)}.items()
    }
    log = RunLog(RunFolder(config.output_dir).retrained("crt"))
    head = nn.Linear(5, 3)
    fit_head(work_of(features, head, log), own, head)
    log.close()
    assert head.bias.softmax(dim=0).tolist() == pytest.approx([1 / 3] * 3, abs=0.03)


def test_crt_learns_and_repeats_to_the_bit(trained):
    # The default rate suits the features of a trained network; those of this one are far larger.
    words = ("RETRAIN.CRT.MAX_EPOCH", 40, "RETRAIN.CRT.BASE_LR", 1e-4, "RETRAIN.CRT.MOMENTUM", 0)
    runs = {}
    for name, seed in (("one", 0), ("two", 0), ("other", 1)):
        config = trained(*words, "RNG_SEED", seed)
        retrain(config)
        runs[name] = states(config, "crt")[1]["fc.weight"]
        lines = (Path(config.output_dir) / "crt" / "log.jsonl").read_text().splitlines()
        losses = [r["loss"] for r in map(json.loads, lines) if r["kind"] == "train_epoch"]
        assert len(losses) == 40
        assert losses[-1] < losses[0], losses
    assert torch.equal(runs["one"], runs["two"])
    assert not torch.equal(runs["one"], runs["other"])


def test_the_second_call_needs_no_clips(trained, tmp_path):
    config = trained("RETRAIN.METHOD", "crt")
    retrain(config)
    files = sorted(Path(config.output_dir, "features").iterdir())
    assert [file.stem for file in files] == ["test", "train", "val"]
    before = [(file.stat().st_mtime_ns, file.read_bytes()) for file in files]
    delete_clips(tmp_path)
    for method in RETRAINERS.names():
        retrain(trained("RETRAIN.METHOD", method))
    assert [(file.stat().st_mtime_ns, file.read_bytes()) for file in files] == before


@pytest.mark.parametrize(
    ("words", "splits"),
    [
        (("DATA.NUM_FRAMES", 2), {"train", "val", "test"}),
        (("DATA.CROP_SIZE", 24), {"train", "val", "test"}),
        (("TEST.NUM_SPATIAL_CROPS", 3), {"test"}),
        (("TRAIN.BATCH_SIZE", 6), set()),
    ],
)
def test_features_of_other_options_are_computed_anew(trained, tmp_path, words, splits):
    config = trained("RETRAIN.METHOD", "ncm")
    retrain(config)
    files = list(Path(config.output_dir, "features").iterdir())
    before = {file.stem: file.read_bytes() for file in files}
    retrain(trained("RETRAIN.METHOD", "ncm", *words))
    assert {file.stem for file in files if file.read_bytes() != before[file.stem]} == splits
    delete_clips(tmp_path)
    with pytest.raises(DataError, match="clips are missing"):
        retrain(trained("RETRAIN.METHOD", "ncm", *words, "DATA.SAMPLING_RATE", 2))


def test_features_of_another_checkpoint_or_a_damaged_file_are_computed_anew(trained, tmp_path):
    config = trained("RETRAIN.METHOD", "ncm")
    retrain(config)
    first = kept(config, "val").features
    other = replace(trained("RNG_SEED", 1), output_dir=str(tmp_path / "other"))
    train(other)
    path = tmp_path / "other" / "checkpoints" / "best.pt"
    retrain(trained("RETRAIN.METHOD", "ncm", "TEST.CHECKPOINT_FILE_PATH", path))
    second = kept(config, "val").features
    assert not torch.allclose(first, second)
    file = Path(config.output_dir, "features", "val.safetensors")
    file.write_bytes(file.read_bytes()[:50])
    retrain(trained("RETRAIN.METHOD", "ncm", "TEST.CHECKPOINT_FILE_PATH", path))
    assert torch.equal(kept(config, "val").features, second)


def test_mistakes(configured, tmp_path):
    with pytest.raises(CheckpointError, match="train first"):
        retrain(configured())
    with pytest.raises(ConfigError, match="RETRAIN.METHOD: unknown way of retraining 'cct'"):
        configured("RETRAIN.METHOD", "cct")
    with pytest.raises(ConfigError, match="TAUS must hold at least one"):
        configured("RETRAIN.METHOD", "tau_norm", "RETRAIN.TAU_NORM.TAUS", "[]")
    assert not (tmp_path / "out").exists()


def test_a_run_trained_before_and_after_goes_on(trained):
    """RETRAIN is no part of what a checkpoint must agree with."""
    train(trained("RETRAIN.CRT.BASE_LR", 1, "SOLVER.MAX_EPOCH", 4))


def test_a_run_started_anew_takes_its_retrained_classifiers_with_it(trained, tmp_path):
    retrain(trained("RETRAIN.METHOD", "ncm"))
    assert {"features", "ncm"} <= {path.name for path in (tmp_path / "out").iterdir()}
    train(trained("TRAIN.AUTO_RESUME", "false", "SOLVER.MAX_EPOCH", 4))
    assert not {"features", "ncm"} & {path.name for path in (tmp_path / "out").iterdir()}


def test_an_output_folder_that_cannot_be_written(trained, tmp_path):
    path = tmp_path / "out" / "checkpoints" / "best.pt"
    (tmp_path / "file").write_text("")
    words = ("OUTPUT_DIR", tmp_path / "file", "TEST.CHECKPOINT_FILE_PATH", path)
    with pytest.raises(ConfigError, match="OUTPUT_DIR must be a folder to write in"):
        retrain(trained(*words))


def test_a_cosine_head_can_be_retrained_where_that_makes_sense(configured):
    words = ("MODEL.HEAD", "cosine", "LOSS.NAME", "ldam", "RETRAIN.CRT.MAX_EPOCH", 2)
    train(configured(*words))
    for method in ("lws", "tau_norm"):
        with pytest.raises(ConfigError, match="must be crt, lmr, ncm for MODEL.HEAD cosine, got"):
            retrain(configured(*words, "RETRAIN.METHOD", method))
    for method in ("crt", "ncm"):
        config = configured(*words, "RETRAIN.METHOD", method)
        metrics = retrain(config)
        own = options.load(Path(config.output_dir) / method / "config.yaml")
        assert run_test(own)["top1"] == metrics["top1"]


def test_logit_adjust_lowers_the_bias_of_large_classes(trained):
    config = trained("RETRAIN.METHOD", "logit_adjust", "RETRAIN.LOGIT_ADJUST.TAUS", [1.0])
    retrain(config)
    before, after, origin = states(config, "logit_adjust")
    assert torch.equal(after["fc.weight"], before["fc.weight"])
    shares = torch.tensor([6.0, 3.0, 2.0]) / 11
    torch.testing.assert_close(after["fc.bias"], before["fc.bias"] - shares.log())
    assert origin["tau"] == 1


def test_max_norm_bounds_every_class(trained):
    longest = 0.05
    config = trained("RETRAIN.METHOD", "crt", "RETRAIN.CRT.MAX_NORM", longest)
    retrain(config)
    _, after, _ = states(config, "crt")
    assert (after["fc.weight"].norm(dim=1) <= longest + 1e-6).all()
    with pytest.raises(ConfigError, match=r"unknown key RETRAIN\.LAS\.MAX_NORM"):
        trained("RETRAIN.METHOD", "las", "RETRAIN.LAS.MAX_NORM", 1)


def test_smoothed_labels_are_what_is_learnt_where_features_tell_all(trained):
    """Of features that are the class, the scores become the targets, by size for ``las``."""
    common = {"max_epoch": 200, "base_lr": 1, "weight_decay": 0}
    config = trained()
    labels = torch.tensor([0] * 30 + [1] * 15 + [2] * 5)
    split = Features(3 * torch.eye(3)[labels][:, None], labels, torch.ones(50, dtype=torch.bool))
    for method, given, own in (
        ("los", {"over_smoothing": 0.9, "start": "zero"}, [0.4, 0.4, 0.4]),
        ("las", {"smoothing_tail": 0.2, "base_lr": 0.3}, [0.6, 0.6824, 0.8]),
        ("las", {"smoothing_tail": 0.2, "smoothing_head": 0.5, "base_lr": 0.3}, [0.5, 0.6237, 0.8]),
    ):
        log = RunLog(RunFolder(config.output_dir).retrained(method))
        work = work_of({"train": split, "val": split}, nn.Linear(3, 3), log)
        kind = RETRAINERS.get(method)
        head, _ = kind(kind.Options(**{**common, **given})).make(work)
        log.close()
        scores = head(3 * torch.eye(3)).softmax(dim=1)
        assert scores.diagonal().tolist() == pytest.approx(own, abs=0.005), method


def test_lmr_s_options_are_those_of_mix(trained):
    words = ("MIX.NAME", "lmr", "MIX.LMR.CONTRIBUTION", 0.25)
    config = trained("RETRAIN.METHOD", "lmr", *words)
    retrain(config)
    _, _, origin = states(config, "lmr")
    assert max(origin["contributions"]) == pytest.approx(0.25)


def test_options_that_stood_in_the_section_itself_are_those_of_each_method(configured):
    """As in config.yaml of version 0.1, and in commands of its time."""
    words = ("RETRAIN.MAX_EPOCH", 3, "RETRAIN.TAUS", "[0.5]", "RETRAIN.LWS.MAX_EPOCH", 4)
    for method, expected in (("crt", 3), ("las", 3), ("lws", 4)):
        found = configured("RETRAIN.METHOD", method, *words).retrain
        assert found.options.max_epoch == expected
    assert configured("RETRAIN.METHOD", "tau_norm", *words).retrain.options.taus == (0.5,)
    with pytest.raises(ConfigError, match=r"unknown key RETRAIN\.EPOCHS"):
        configured("RETRAIN.EPOCHS", 3)


def test_a_run_without_validation_can_be_retrained(trained, tmp_path):
    trained("RETRAIN.METHOD", "crt")
    without = ("TRAIN.EVAL_PERIOD", 0)
    for method in RETRAINERS.names():
        config = trained("RETRAIN.METHOD", method, *without)
        if len(getattr(config.retrain.options, "taus", ())) > 1:
            with pytest.raises(ConfigError, match=r"TAUS on a validation split.*give one of them"):
                retrain(config)
            taus = (f"RETRAIN.{method}.TAUS".upper(), "[0.5]")
            config = trained("RETRAIN.METHOD", method, *without, *taus)
        assert 0 <= retrain(config)["mean_class_recall"] <= 1


def test_los_goes_on_from_the_trained_classifier(trained):
    slow = ("RETRAIN.METHOD", "los", "RETRAIN.LOS.MAX_EPOCH", 1, "RETRAIN.LOS.BASE_LR", 1e-9)
    config = trained(*slow)
    before = read_checkpoint(RunFolder(config.output_dir).best)["model_state"]
    for start, wanted in (("trained", before["fc.weight"]), ("zero", 0 * before["fc.weight"])):
        config = trained(*slow, "RETRAIN.LOS.START", start)
        retrain(config)
        after = states(config, "los")[1]
        torch.testing.assert_close(after["fc.weight"], wanted, atol=1e-6, rtol=0)
    options = trained("RETRAIN.METHOD", "los").retrain.options
    assert (options.over_smoothing, options.base_lr, options.batch_size) == (0.98, 5e-4, 64)
    assert (options.max_epoch, options.sampler) == (20, "shuffle")
