"""What the tests of getting data share: data sets, and clients like those of the registries."""

import os
import sys

import pytest
from small_sets import Cifar, Digits

CLIENT = """#!/bin/sh
# A shell in between, as the path of Python may have a space.
exec "{python}" - "$@" <<'END'
import pathlib, shutil, sys
word, package = sys.argv[1:]
assert word == "{word}"
files = list(pathlib.Path("{registry}").glob(package.replace("@", "-") + "*"))
if not files:
    sys.exit('''{complaint}'''.replace("PACKAGE", package))
shutil.copy(files[0], ".")
print(files[0].name)
END
"""
# What npm 11 and apt 2.6 say.
NPM_COMPLAINT = """npm warn config something is old
npm error code ETARGET
npm error notarget No matching version found for PACKAGE.
npm error notarget In most cases you request a package version that doesn't exist.
npm error A complete log of this run can be found in: /home/me/.npm/_logs/debug-0.log"""
APT_COMPLAINT = """W: Some list is old
E: Unable to locate package PACKAGE"""


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """A folder for packages; ``npm pack`` and ``apt-get download`` take them from there."""
    registry, programs = tmp_path / "registry", tmp_path / "programs"
    registry.mkdir()
    programs.mkdir()
    for name, word, complaint in (
        ("npm", "pack", NPM_COMPLAINT),
        ("apt-get", "download", APT_COMPLAINT),
    ):
        (programs / name).write_text(
            CLIENT.format(python=sys.executable, word=word, registry=registry, complaint=complaint)
        )
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    return registry


@pytest.fixture(scope="session")
def digits():
    return Digits(1, num_train=2, num_test=200)


@pytest.fixture(scope="session")
def clothes():
    return Digits(2, num_train=3, num_test=1)


@pytest.fixture(scope="session")
def cifar():
    return Cifar()
