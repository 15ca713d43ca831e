"""Sections of the config that belong to no single component."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from cdb_video.config.tree import Selection
from cdb_video.config.types import (
    FractionBelowOne,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveFraction,
    PositiveInt,
    may_change,
)
from cdb_video.registry import GROUPINGS, RETRAINERS, Registry


@dataclass(frozen=True, kw_only=True)
class Train:
    """How a run trains."""

    batch_size: PositiveInt = 16
    """Clips in one optimiser step, summed over all processes and accumulation steps."""
    eval_period: NonNegativeInt = 1
    """Epochs between validations. The last epoch is always validated. 0 never validates, and
    best.pt is then the newest epoch."""
    checkpoint_period: PositiveInt = may_change(1)
    """Epochs between checkpoints. The last epoch always leaves one."""
    checkpoint_minutes: NonNegativeFloat = may_change(0.0)
    """Minutes between checkpoints within an epoch. They are written to latest.pt, and a run that
    was cut off resumes there without decoding earlier clips again. 0 saves at the end of epochs
    only. On a GPU they are saved when the loss is read, every LOG_PERIOD steps."""
    keep_checkpoints: NonNegativeInt = may_change(0)
    """Number of newest epoch checkpoints to keep. 0 keeps all. best.pt and latest.pt always
    stay."""
    auto_resume: bool = may_change(True)
    """Resume from OUTPUT_DIR's newest checkpoint if there is one. false starts anew and deletes the
    earlier run in OUTPUT_DIR."""
    changed_lists: Literal["refuse", "accept"] = may_change("refuse")
    """What happens to a run whose lists of clips have changed since it began. 'refuse' stops and
    says what changed. 'accept' goes on with the new lists."""
    best_metric: Literal["mean_class_recall", "mean_class_precision", "mean_class_f1", "top1"] = (
        "mean_class_recall"
    )
    """Validation metric that picks best.pt. The highest value wins."""
    precision: Literal["fp32", "tf32", "bf16", "fp16", "auto"] = "fp32"
    """Number format in which the network computes. Weights and the loss stay in float32. 'fp32'
    keeps torch's own switches, so convolutions may use TF32 on a GPU. 'tf32' also allows TF32 in
    matrix products. 'bf16' and 'fp16' use autocast, and 'fp16' scales the gradient. 'auto' times
    one step of each when a run begins (fp32 and bf16 on a CPU) and keeps the fastest."""
    on_nan: Literal["stop", "skip"] = may_change("stop")
    """What happens to a step whose loss is not finite. 'stop' ends the run and names the step and
    its clips. On a CPU or with LOG_PERIOD 1 it also writes OUTPUT_DIR/bad_batch.pt, which
    ``cdb-video replay-batch`` runs again. 'skip' leaves the step out, also where only its gradient
    is not finite, and reads the device after each step."""
    max_skipped: NonNegativeInt = may_change(10)
    """Steps of one epoch that may be skipped before the run stops."""
    ema_decay: FractionBelowOne = 0.0
    """Decay of an exponential moving average of the weights, in [0, 1). The average is what is
    validated, tested and kept. Each step computes average = EMA_DECAY * average + (1 - EMA_DECAY) *
    weights. 0 is off."""


@dataclass(frozen=True, kw_only=True)
class Solver:
    """Optimiser and learning rate."""

    optimizing_method: Literal["sgd", "adamw"] = "sgd"
    """Optimiser."""
    base_lr: PositiveFloat = 1e-3
    """Learning rate after warm-up, for the whole BATCH_SIZE. It is never rescaled."""
    max_epoch: PositiveInt = may_change(100)
    """Epochs to train."""
    lr_policy: Literal["cosine", "steps_with_relative_lrs"] = "steps_with_relative_lrs"
    """Schedule of the learning rate. 'cosine' falls from BASE_LR to COSINE_END_LR along half a
    cosine. 'steps_with_relative_lrs' takes BASE_LR * LRS[i] from epoch STEPS[i] on."""
    cosine_end_lr: NonNegativeFloat = 0.0
    """Learning rate at the end of LR_POLICY cosine."""
    steps: tuple[NonNegativeFloat, ...] = (0, 60)
    """Epochs at which each of LRS begins. The first is 0, and they ascend."""
    lrs: tuple[PositiveFloat, ...] = (1.0, 0.1)
    """Factors on BASE_LR, one for each of STEPS."""
    warmup_epochs: NonNegativeFloat = 0.0
    """Epochs over which the learning rate rises linearly from WARMUP_START_LR."""
    warmup_start_lr: NonNegativeFloat = 0.0
    """Learning rate of the first step if there is a warm-up."""
    momentum: FractionBelowOne = 0.0
    """Momentum of SGD, in [0, 1)."""
    nesterov: bool = False
    """Nesterov momentum of SGD."""
    weight_decay: NonNegativeFloat = 5e-4
    """L2 penalty of SGD, or decoupled weight decay of AdamW."""
    zero_wd_1d_param: bool = False
    """Exempt norms, biases, class tokens and position embeddings from weight decay."""
    layer_decay: PositiveFraction = 1.0
    """Layer-wise learning-rate decay, in (0, 1]. The backbone's last stage learns at this multiple
    of the classifier's rate, the stage before it at its square, and so on. 1 is off."""
    clip_grad_l2norm: NonNegativeFloat = 0.0
    """Longest gradient, as an L2 norm over all parameters. 0 does not clip."""
    accumulation_steps: PositiveInt = may_change(1)
    """Parts into which each BATCH_SIZE is split to fit in memory. The step uses the mean of their
    gradients."""

    def __post_init__(self) -> None:
        if len(self.steps) != len(self.lrs) or list(self.steps[:1]) != [0]:
            raise ValueError(
                f"STEPS must start at 0 and be as many as LRS, got {self.steps}, {self.lrs}"
            )
        if list(self.steps) != sorted(set(self.steps)):
            raise ValueError(f"STEPS must ascend, got {self.steps}")
        if self.warmup_epochs > self.max_epoch:
            raise ValueError(
                f"WARMUP_EPOCHS must be at most MAX_EPOCH {self.max_epoch}, "
                f"got {self.warmup_epochs}"
            )
        if self.nesterov and not self.momentum:
            raise ValueError("NESTEROV needs MOMENTUM > 0, got 0")


@dataclass(frozen=True, kw_only=True)
class BatchNorm:
    """Statistics of batch norm."""

    use_precise_stats: bool = False
    """Before each validation, compute means and variances anew with the current weights. They
    replace the running averages over earlier weights."""
    num_batches_precise: PositiveInt = 200
    """Training batches from which precise statistics are computed, at most those of one epoch."""


@dataclass(frozen=True, kw_only=True)
class Test:
    """How validation and test work."""

    batch_size: PositiveInt = 32
    """Views in one forward pass of validation or test, summed over all processes."""
    checkpoint_file_path: str = ""
    """Checkpoint to test. Empty means OUTPUT_DIR's best.pt."""
    num_ensemble_views: PositiveInt = 1
    """Temporal views of each test clip. ENSEMBLE_METHOD averages over them. Validation always takes
    one view."""
    num_spatial_crops: Literal[1, 3] = 1
    """Spatial views of each test clip. 1 is the centre crop. 3 are three crops along the longer
    side."""
    ensemble_method: Literal["probabilities", "logits"] = "probabilities"
    """What is averaged over the views of a clip. 'probabilities' averages class probabilities.
    'logits' averages logits and takes the softmax of their mean, so a view that is sure of itself
    counts more."""
    top_k: NonNegativeInt = 0
    """Number of highest scores to keep for each test clip. predictions.csv then has these scores
    with their classes. 0 keeps the scores of all classes, which takes 8 GB for a million clips of a
    thousand classes. mean_average_precision needs all scores, top5 needs at least 5."""
    on_bad_clip: Literal["leave_out", "wrong"] = "leave_out"
    """How a validation or test clip counts if no view of it can be decoded. 'leave_out' ignores it.
    'wrong' counts it as not recognised. The number of such clips is reported with the scores."""


@dataclass(frozen=True, kw_only=True)
class Groups(Selection):
    """The groups of classes in tables and reports."""

    registry: ClassVar[Registry] = GROUPINGS

    name: str = "by_thresholds"
    """Grouping of classes by their size. Its own options are in the section of its name.
    docs/benchmarks.md compares the groupings."""
    options: Any
    counts: Literal["train", "train+val"] = "train"
    """Splits whose clips make the size of a class."""


@dataclass(frozen=True, kw_only=True)
class Retrain(Selection):
    """How ``cdb-video retrain`` makes a new classifier on the frozen backbone (Kang et al.,
    "Decoupling Representation and Classifier for Long-Tailed Recognition", ICLR 2020)."""

    registry: ClassVar[Registry] = RETRAINERS
    choice: ClassVar[str] = "method"

    method: str = "crt"
    """Way of retraining. Its own options are in the section of its name. docs/retrain.md compares
    the methods."""
    options: Any


@dataclass(frozen=True, kw_only=True)
class Parallel:
    """How several processes share gradients. No effect on one process."""

    static_graph: bool = False
    """Promise that each step uses the same parameters, which saves a search in each step. Do not
    use it for networks that leave parts out at random."""
    gradient_as_bucket_view: bool = False
    """Keep gradients in the memory from which they are sent. This saves as much memory as the
    parameters take."""
    compress: Literal["none", "fp16", "bf16"] = "none"
    """Number format of gradients on their way between processes. 'fp16' and 'bf16' send half the
    bytes. 'bf16' needs NCCL."""
    fully_shard: bool = False
    """Split parameters, gradients and the optimiser's state over the processes (FSDP2), for large
    transformers. Each process holds its share, and one whole block at a time. Checkpoints stay the
    same, so a run may resume with or without it. It excludes the options above, batch norm that
    learns, and 'fp16'. A batch that is not finite is not saved."""

    def __post_init__(self) -> None:
        others = (self.static_graph, self.gradient_as_bucket_view, self.compress)
        if self.fully_shard and others != (False, False, "none"):
            raise ValueError(
                "FULLY_SHARD true needs STATIC_GRAPH false, GRADIENT_AS_BUCKET_VIEW false and "
                f"COMPRESS none, got {', '.join(map(str, others))}"
            )


@dataclass(frozen=True, kw_only=True)
class DataLoader:
    """Worker processes that decode."""

    num_workers: NonNegativeInt = 2
    """Decoding processes of each training process. 0 decodes in the training process itself."""
    pin_memory: bool = True
    """Put batches into page-locked memory for faster copies to a GPU. It has no effect on a CPU."""
    timeout: NonNegativeFloat = 300.0
    """Seconds to wait for a batch before the run stops with an error. 0 waits forever."""
    clip_timeout: NonNegativeFloat = 120.0
    """Seconds that a decoding process may take for one clip, even where native code hangs. The
    process is then replaced, and the clip is bad. 0 sets no limit. NUM_WORKERS 0 has none."""
    clip_memory_mb: NonNegativeInt = 8192
    """Megabytes that a decoding process may use beyond those it starts with. A clip that needs more
    is bad. 0 sets no limit. It works on Linux, and not with NUM_WORKERS 0."""
