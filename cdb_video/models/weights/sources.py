"""Finds, or downloads, the file or folder that MODEL.PRETRAINED names."""

import hashlib
import re
import sys
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit
from urllib.request import url2pathname

import torch

from cdb_video.errors import CheckpointError
from cdb_video.models.weights.files import FOLDER_FILES, INDEX
from cdb_video.system.download import DownloadError, download
from cdb_video.system.files import sha256

HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,})\.")
"""The first digits of a file's SHA-256, as PyTorch puts them into the names of its files."""
FILE_SUFFIXES = {".pt", ".pth", ".pyth", ".bin", ".ckpt", ".safetensors"}
"""Endings that make a text a path, although it could be a name on the hub."""


def locate(source: str | Path) -> Path:
    """The file or folder that ``source`` names. A missing one is downloaded once.

    Args:
        source: a path; an ``http(s)://`` URL, whose file goes to the ``checkpoints`` folder of
            ``torch.hub.get_dir()``, and which may end in ``#sha256=...``; a ``file://`` URL; or the
            name ``owner/model`` of a model on the transformers hub, which goes to the cache of
            huggingface_hub.

    Raises:
        CheckpointError: a download failed, or ``source`` is a URL of another kind. Whether a path
            exists is not checked.
    """
    if isinstance(source, Path):
        return source
    if "://" in source:
        try:
            url = urlsplit(source)
        except ValueError as error:
            raise CheckpointError(f"{source} is not a URL: {error}") from None
        if url.scheme in ("http", "https"):
            return _download(source)
        if url.scheme == "file":
            return Path(url2pathname(url.path))
        raise CheckpointError(
            "weights come from a path, an http://, https:// or file:// URL, or the name "
            f"owner/model of a model on the transformers hub, got {source}"
        )
    path = Path(source)
    is_name = HUB_NAME.fullmatch(source) and path.suffix not in FILE_SUFFIXES
    return _from_hub(source) if is_name and not path.exists() else path


def _download(source: str) -> Path:
    """Downloads the file of a URL, completely or not at all, and checks its contents.

    Its folder is named after the URL: files of different networks often have the same name.
    """
    url, _, promise = source.partition("#")
    name = PurePosixPath(urlsplit(url).path).name
    folder = Path(torch.hub.get_dir(), "checkpoints", hashlib.sha256(url.encode()).hexdigest()[:8])
    path = folder / name
    if not name or name == "..":
        raise CheckpointError(f"the URL of a weight file must end in its name, got {url}")
    if path.exists():
        return path
    print(f"downloading {url} to {path}", file=sys.stderr)
    try:
        download(url, path)
    except DownloadError as error:
        raise CheckpointError(
            f"cannot download {url}: {error}; where there is no network, give the path of a copy"
        ) from None
    in_name = HASH_IN_NAME.search(name)
    expected = promise.removeprefix("sha256=") or (in_name[1] if in_name else "")
    if not sha256(path).startswith(expected.lower()):
        path.unlink()
        raise CheckpointError(f"{url}: its SHA-256 must begin with {expected}, which it does not")
    return path


def forget(source: str | Path) -> None:
    """Deletes the download of a URL, so that ``locate`` downloads it again."""
    if isinstance(source, str) and source.startswith(("http://", "https://")):
        locate(source).unlink(missing_ok=True)


def _from_hub(name: str) -> Path:
    """Downloads a model of the transformers hub: its settings, and its weights in one format."""
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise CheckpointError(
            f"{name}: no such file or folder; as the name of a model on the transformers hub it "
            "needs pip install 'cdb_video[transformers]'"
        ) from None
    safe, pickled = (Path(file) for file in FOLDER_FILES)
    settings = ["config.json", "*preprocessor_config.json"]
    try:
        for form in (safe, pickled):
            patterns = [*settings, f"{form.stem}*{form.suffix}", form.name + INDEX]
            folder = Path(snapshot_download(name, allow_patterns=patterns))
            if any(folder.glob(f"{form.stem}*{form.suffix}")):
                break
    except Exception as error:  # the network, the hub or its client can raise anything
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"{name}: no such file or folder, and the transformers hub does not give a model of "
            f"this name: {reason}"
        ) from None
    return folder
