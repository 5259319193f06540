"""Shared by all tests: the helpers, and the data kept beside them."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest
from hypothesis import settings

from hardscatter import cli

# A shell ignores Ctrl-C for what it runs in the background, and so would every process that a test starts to interrupt.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

# Kernels compile on their first call; a deadline would punish whichever example comes first.
settings.register_profile("hardscatter", deadline=None, max_examples=20, derandomize=True)
settings.load_profile("hardscatter")


@pytest.fixture(scope="session")
def delphes_file():
    """24 dileptonic tt̄ crossings at mean pileup 140, from Delphes."""
    return HERE.parent / "examples" / "delphes_ttbar_pu140.root"


@pytest.fixture(scope="session")
def cms_file():
    """Ten events of CMS full simulation."""
    return HERE / "data" / "cms_pfnano.root"


@pytest.fixture
def run(monkeypatch, capfd):
    """Run the command line in this process; return exit code, stdout, stderr."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["hardscatter", *map(str, arguments)])
        try:
            cli.main()
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
        output = capfd.readouterr()
        return code, output.out, output.err

    return call


@pytest.fixture(scope="session")
def collisions(tmp_path_factory):
    """A cache of libraries shared by the tests that train: set `HARDSCATTER_CACHE` to it."""
    return tmp_path_factory.mktemp("collisions")
