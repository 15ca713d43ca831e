"""Video transformers of the library transformers: ``pip install cdb_video[transformers]``.

Each is the library's ``...ForVideoClassification`` without its classifier; the features are the
classifier's input. The library is imported when a network is built, because the import takes
seconds and the library is optional.
"""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from cdb_video.config.types import FractionBelowOne, PositiveInt
from cdb_video.errors import ConfigError
from cdb_video.models.backbone import Backbone, InputFormat
from cdb_video.registry import BACKBONES

IMAGENET = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
"""Mean and standard deviation of ImageNet's red, green and blue in [0, 255]."""


@dataclass(frozen=True)
class TransformerOptions:
    """Options of every network; null takes the value in CONFIG."""

    config: str = ""
    """Published architecture: a name on the Hugging Face hub, or a folder with a config.json. Empty
    is the authors' base model."""
    num_frames: PositiveInt | None = None
    """Frames of a clip."""
    crop_size: PositiveInt | None = None
    """Height and width of a clip, in pixels."""
    hidden_size: PositiveInt | None = None
    """Length of tokens and features, a multiple of NUM_HEADS. The hidden layers of the MLPs keep
    their ratio to it."""
    num_layers: PositiveInt | None = None
    """Layers of the encoder."""
    num_heads: PositiveInt | None = None
    """Heads of each attention."""


@dataclass(frozen=True)
class Patches(TransformerOptions):
    """A network whose tokens are square."""

    patch_size: PositiveInt | None = None
    """Height and width in pixels of the patch that becomes a token. It divides CROP_SIZE."""


@dataclass(frozen=True)
class Tubelets(Patches):
    """A network whose tokens span several frames."""

    tubelet_size: PositiveInt | None = None
    """Frames of the block that becomes a token. It divides NUM_FRAMES."""


class VideoTransformer(Backbone):
    """A network of the library, for clips of one length and size."""

    fixed_input = True
    family: ClassVar[str]
    """What the library calls the architecture."""
    classifier: ClassVar[str]
    """The library's class of the whole network."""
    embeddings: ClassVar[str]
    layers: ClassVar[str]
    after_layers: ClassVar[tuple[str, ...]]
    """Where that class has the first stage, the list of encoder layers, and what may follow."""
    projection: ClassVar[str] = "projection"
    """The convolution that makes patches tokens, within the patch embeddings of the first stage."""
    config_names: ClassVar[dict[str, str]] = {
        "crop_size": "image_size",
        "num_layers": "num_hidden_layers",
        "num_heads": "num_attention_heads",
    }
    """Option -> the library's name, where that is another."""
    published_names: ClassVar[tuple[tuple[str, str], ...]] = ()
    """Part of a name in published files -> what the library calls it since."""

    def __init__(self, options: TransformerOptions) -> None:
        super().__init__()
        network_class = _library_class(self.family, self.classifier)
        config = self._config(network_class.config_class, options)
        self.network: Any = network_class(config)
        self.network.classifier = nn.Identity()
        self.num_features: int = config.hidden_size
        self.stages = self._stages()
        self.token_layer = (
            f"network.{self.layers}.{len(self.network.get_submodule(self.layers)) - 1}"
        )
        self.token_map = f"network.{self.embeddings}.patch_embeddings.{self.projection}"

    def _config(self, config_class: Any, options: TransformerOptions) -> Any:
        """The library's config of a network. Sets ``input_format`` to match it."""
        config = _read_config(config_class, options.config) if options.config else config_class()
        if options.hidden_size and hasattr(config, "intermediate_size"):
            ratio = config.intermediate_size / config.hidden_size
            config.intermediate_size = round(ratio * options.hidden_size)
        for key, value in vars(options).items():
            if key != "config" and value is not None:
                setattr(config, self.config_names.get(key, key), value)
        frames = getattr(config, self.config_names.get("num_frames", "num_frames"))
        size = getattr(config, self.config_names["crop_size"])
        depth, height, width = _token_shape(config)
        self._check("num_frames", frames, "the frames of a token", depth)
        self._check("crop_size", size, "the height of a token", height)
        self._check("crop_size", size, "the width of a token", width)
        self._check("hidden_size", config.hidden_size, "num_heads", config.num_attention_heads)
        self.input_format = self.input_format._replace(num_frames=frames, size=size)
        return config

    def _check(self, key: str, value: Any, what: str, divisor: Any) -> None:
        if not isinstance(value, int) or not isinstance(divisor, int) or value % divisor:
            raise ConfigError(
                f"{self.family}: {key} must be a multiple of {what}, {divisor}, got {value}"
            )

    def _stages(self) -> tuple[tuple[str, ...], ...]:
        names = [name for name, _ in self.named_parameters()]
        after = [f"network.{part}" for part in self.after_layers]
        after = [part for part in after if any(name.startswith(f"{part}.") for name in names)]
        count = len(self.network.get_submodule(self.layers))
        *layers, last = [f"network.{self.layers}.{index}" for index in range(count)]
        first = f"network.{self.embeddings}"
        return ((first,), *((layer,) for layer in layers), (last, *after))

    def forward(self, video: Tensor) -> Tensor:
        """Features (B, num_features) of clips (B, 3, T, H, W).

        Raises:
            ConfigError: T, H and W are not those of ``input_format``.
        """
        frames, size = self.input_format.num_frames, self.input_format.size
        if video.shape[2:] != (frames, size, size):
            got, height, width = video.shape[2:]
            raise ConfigError(
                f"{self.family}: clips must be {frames} frames of {size}x{size}, "
                f"got {got} of {height}x{width}"
            )
        return self.features(video.transpose(1, 2))

    def features(self, frames: Tensor) -> Tensor:
        """Features (B, num_features) of frames (B, T, 3, H, W)."""
        features: Tensor = self.network(frames).logits  # the classifier is the identity
        return features

    @classmethod
    def local_name(cls, name: str) -> str:
        """Reads names of the library's classifiers and encoders, in files and in memory."""
        library_name = name
        for published, current in cls.published_names:
            library_name = library_name.replace(published, current)
        top = library_name.split(".")[0]
        if top == "classifier":
            return library_name.replace("classifier", "fc", 1)
        parts = (cls.embeddings, cls.layers, *cls.after_layers)
        if top in {part.split(".")[0] for part in parts}:
            return f"network.{library_name}"
        if any(f"{cls.family}.{library_name}".startswith(f"{part}.") for part in parts):
            return f"network.{cls.family}.{library_name}"
        return name


@BACKBONES.register("videomae")
class VideoMAE(VideoTransformer):
    """VideoMAE: a vision transformer pre-trained by masking; tokens are averaged.

    Tong et al., "VideoMAE: Masked Autoencoders are Data-Efficient Learners for Self-Supervised
    Video Pre-Training", NeurIPS 2022.
    """

    @dataclass(frozen=True)
    class Options(Tubelets):
        """The default is videomae-base."""

    family = "videomae"
    classifier = "VideoMAEForVideoClassification"
    embeddings = "videomae.embeddings"
    layers = "videomae.encoder.layer"
    after_layers = ("videomae.layernorm", "fc_norm")
    published_names = (
        ("attention.q_bias", "attention.query.bias"),
        ("attention.v_bias", "attention.value.bias"),
    )
    input_format = InputFormat(16, 224, *IMAGENET)


@BACKBONES.register("timesformer")
class TimeSformer(VideoTransformer):
    """TimeSformer: attention over space and time in turn; the feature is the class token.

    Bertasius et al., "Is Space-Time Attention All You Need for Video Understanding?",
    ICML 2021.
    """

    @dataclass(frozen=True)
    class Options(Patches):
        """The default is timesformer-base."""

    family = "timesformer"
    classifier = "TimesformerForVideoClassification"
    embeddings = "timesformer.embeddings"
    layers = "timesformer.encoder.layer"
    after_layers = ("timesformer.layernorm",)
    input_format = InputFormat(8, 224, (114.75,) * 3, (57.375,) * 3)


@BACKBONES.register("vivit")
class ViViT(VideoTransformer):
    """ViViT: joint attention over space and time; the feature is the class token.

    Arnab et al., "ViViT: A Video Vision Transformer", ICCV 2021.
    """

    @dataclass(frozen=True)
    class Options(TransformerOptions):
        """The default is vivit-b-16x2."""

        tubelet_size: tuple[PositiveInt, PositiveInt, PositiveInt] | None = None
        """Size (T, H, W) of the block that becomes a token. It divides NUM_FRAMES and CROP_SIZE."""

    family = "vivit"
    classifier = "VivitForVideoClassification"
    embeddings = "vivit.embeddings"
    layers = "vivit.layers"
    after_layers = ("vivit.layernorm",)
    published_names = (
        ("encoder.layer.", "layers."),
        ("attention.attention.query", "attention.q_proj"),
        ("attention.attention.key", "attention.k_proj"),
        ("attention.attention.value", "attention.v_proj"),
        ("attention.output.dense", "attention.o_proj"),
        ("intermediate.dense", "mlp.fc1"),
        ("output.dense", "mlp.fc2"),
    )
    input_format = InputFormat(32, 224, (127.5,) * 3, (127.5,) * 3)


@BACKBONES.register("vjepa2")
class VJEPA2(VideoTransformer):
    """V-JEPA 2: encoder and attentive pooler.

    Assran et al., "V-JEPA 2: Self-Supervised Video Models Enable Understanding, Prediction and
    Planning", 2025.
    """

    @dataclass(frozen=True)
    class Options(Tubelets):
        """The default is vjepa2-vitl-fpc64-256."""

        drop_path_rate: FractionBelowOne | None = None
        """Chance in training that a clip skips a branch of the last layer. It is lower in earlier
        layers."""

    family = "vjepa2"
    classifier = "VJEPA2ForVideoClassification"
    embeddings = "vjepa2.encoder.embeddings"
    layers = "vjepa2.encoder.layer"
    after_layers = ("vjepa2.encoder.layernorm", "pooler")
    projection = "proj"
    config_names: ClassVar[dict[str, str]] = {
        **VideoTransformer.config_names,
        "num_frames": "frames_per_clip",
        "crop_size": "crop_size",
    }
    input_format = InputFormat(64, 256, *IMAGENET)

    def __init__(self, options: TransformerOptions) -> None:
        super().__init__(options)
        del self.network.vjepa2.predictor  # which only pre-training uses

    def _config(self, config_class: Any, options: TransformerOptions) -> Any:
        config = super()._config(config_class, options)
        config.pred_num_hidden_layers = 0
        return config

    def features(self, frames: Tensor) -> Tensor:
        """Features (B, num_features) of frames (B, T, 3, H, W)."""
        # The whole model would also copy all tokens through an empty mask: 96 MiB for a clip of
        # the default size.
        tokens = self.network.vjepa2.encoder(frames).last_hidden_state
        features: Tensor = self.network.pooler(tokens)
        return features


def _token_shape(config: Any) -> tuple[int, int, int]:
    """(T, H, W) of a token."""
    tubelet = getattr(config, "tubelet_size", 1)
    if isinstance(tubelet, int):
        return tubelet, config.patch_size, config.patch_size
    return tuple(tubelet)


def _read_config(config_class: Any, name: str) -> Any:
    """The library's config in a folder or on the hub.

    Raises:
        ConfigError: it cannot be loaded, or is of another architecture.
    """
    family = config_class.model_type
    try:
        content, _ = config_class.get_config_dict(name)
        if content.get("model_type") != family:
            raise ValueError(f"its model_type is {content.get('model_type')}")
        return config_class.from_dict(content)
    except Exception as error:  # the library can raise anything for a bad config
        raise ConfigError(
            f"{family}: config must be a folder with the config.json of a {family} or its name on "
            f"the Hugging Face hub, got {name!r}: {_one_line(error)}"
        ) from None


def _library_class(family: str, name: str) -> Any:
    try:
        with _torchvision_hidden():
            module = importlib.import_module(f"transformers.models.{family}.modeling_{family}")
    except (ImportError, RuntimeError) as error:  # a broken torchvision raises RuntimeError
        raise ConfigError(
            f"backbone {family!r} needs the library transformers, got {_one_line(error)!r}: "
            "pip install 'cdb_video[transformers]'"
        ) from None
    return getattr(module, name)


@contextmanager
def _torchvision_hidden() -> Iterator[None]:
    """Makes the library believe that torchvision is not installed.

    It does not need torchvision, but imports an installed one for image processing, and fails if
    that one is broken. If the library is already imported, nothing is changed.
    """
    if "transformers" in sys.modules:
        yield
        return
    modules: dict[str, Any] = sys.modules
    before = {name: modules[name] for name in ("torchvision",) if name in modules}
    modules["torchvision"] = None
    try:
        yield
    finally:
        del modules["torchvision"]
        modules.update(before)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
