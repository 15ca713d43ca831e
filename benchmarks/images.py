"""Times what brings images to the network: the loader of small images next to the training that it
feeds, and one worker's way from a JPEG file to a clip.

python benchmarks/images.py [--batch 128] [--threads 1] [--device cpu] [--rounds 5]
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.nn import functional as F

from cdb_video.data.batches.batch import Batch, BatchLoader
from cdb_video.data.batches.clip_loader import ClipLoader
from cdb_video.data.batches.image_loader import ImageLoader
from cdb_video.data.batches.loading import Loading, Training
from cdb_video.data.frames.augmentation import Augmentation
from cdb_video.data.frames.sampling import ClipSampling
from cdb_video.data.lists.records import Record
from cdb_video.data.samplers.shuffle import Shuffle
from cdb_video.models import build_model

CIFAR = Augmentation(pad=4, flip=0.5)
IMAGENET = Augmentation(
    crop_scale=(0.08, 1.0), crop_by="area", aspect_ratio=(0.75, 1.3333), flip=0.5
)
JITTERED = Augmentation(**{**vars(IMAGENET), "color_jitter": 0.4})
NUM_CLASSES = 100
STILL = ClipSampling(num_frames=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    device = torch.device(args.device)
    print(f"torch {torch.__version__}, OpenCV {cv2.__version__}, {args.threads} threads, ", end="")
    print(f"{device}; images/s, best of {args.rounds} rounds")
    loader = small_images(args.batch, device)
    step = training_step(device)
    loads, trains = [], []
    for _ in range(args.rounds):
        loads.append(rate(loader, lambda batch: batch.video, device))
        trains.append(rate(loader, step, device, num_batches=5))
    print(f"32 x 32, pad 4 and flip, batches of {args.batch}: {max(loads):.0f}")
    print(f"training ResNet-32 on them: {max(trains):.0f}; ratio {max(loads) / max(trains):.0f}")
    with tempfile.TemporaryDirectory() as folder:
        records = write_jpegs(Path(folder), 64)
        for name, augmentation in (("crop by area", IMAGENET), ("and jitter", JITTERED)):
            files = jpeg_files(records, augmentation)
            best = max(rate(files, lambda batch: batch.video, device) for _ in range(args.rounds))
            print(f"JPEG to 224 x 224, {name}, one worker: {best:.0f}")


def small_images(batch_size: int, device: torch.device) -> ImageLoader:
    """Training batches of as many images as CIFAR-100-LT has at a ratio of 100."""
    images = np.random.default_rng(0).integers(0, 256, (10847, 3, 32, 32), dtype=np.uint8)
    records = [Record("", number % NUM_CLASSES) for number in range(len(images))]
    loading = Loading(sampling=STILL, size=32, batch_size=batch_size, device=device)
    return ImageLoader(images, records, loading, training(records, CIFAR))


def training(records: list[Record], augmentation: Augmentation) -> Training:
    labels = np.array([record.label for record in records])
    return Training(
        sampler=Shuffle(Shuffle.Options(), labels=labels, num_classes=NUM_CLASSES, seed=0),
        augmentation=augmentation,
        class_names=[str(number) for number in range(NUM_CLASSES)],
        seed=0,
    )


def training_step(device: torch.device) -> Callable[[Batch], object]:
    """Forward, backward and optimiser step of ResNet-32, as the engine takes them."""
    model = build_model("resnet_cifar", NUM_CLASSES).to(device)
    model.to(memory_format=torch.channels_last_3d)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    def step(batch: Batch) -> None:
        F.cross_entropy(model(batch.video), batch.label).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def rate(
    loader: BatchLoader,
    use: Callable[[Batch], object],
    device: torch.device,
    num_batches: int | None = None,
) -> float:
    """Images a second of an epoch, or of its first batches, after one batch that is not timed."""
    batches = loader.batches(1)
    use(next(batches))
    synchronize(device)
    start, seen = time.perf_counter(), 0
    for number, batch in enumerate(batches, start=1):
        use(batch)
        seen += len(batch.label)
        if number == num_batches:
            break
    synchronize(device)
    return seen / (time.perf_counter() - start)


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def write_jpegs(folder: Path, count: int) -> list[Record]:
    """Made pictures of 500 x 375 pixels, with detail of every size as photos have."""
    rng = np.random.default_rng(0)
    records = []
    for number in range(count):
        picture = np.zeros((375, 500, 3))
        for octave, height in enumerate((6, 24, 96, 375)):
            noise = rng.normal(size=(height, height * 4 // 3, 3))
            picture += cv2.resize(noise, (500, 375)) * 60 / 2**octave
        path = folder / f"{number}.jpg"
        pixels = np.clip(127 + picture, 0, 255).astype(np.uint8)
        cv2.imwrite(str(path), pixels, [cv2.IMWRITE_JPEG_QUALITY, 95])
        records.append(Record(str(path), number % NUM_CLASSES))
    kilobytes = sum(path.stat().st_size for path in folder.iterdir()) / count / 1000
    print(f"{count} JPEGs of 500 x 375, {kilobytes:.0f} kB each on average")
    return records


def jpeg_files(records: list[Record], augmentation: Augmentation) -> BatchLoader:
    """Decoded in this process, as each of the DATA_LOADER.NUM_WORKERS does it."""
    loading = Loading(sampling=STILL, size=224, batch_size=8)
    return ClipLoader(records, loading, training(records, augmentation))


if __name__ == "__main__":
    main()
