"""Locks of other users: one that is held is waited for, one that was left by a killed run is taken over."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hf_rnn.data.files.errors import DataError
from hf_rnn.data.locking import LOCK, locked

HOLD = "import fcntl, sys; file = open(sys.argv[1]); fcntl.flock(file, fcntl.LOCK_EX); print('held', flush=True); sys.stdin.read()"


@pytest.fixture
def foreign(tmp_path, monkeypatch):
    """Return a lock file with a number in it that this process may read but not write."""
    path = tmp_path / LOCK
    path.write_text("77")
    inode, open_file = path.stat().st_ino, os.open

    def refusing(name, flags, *mode, **options):
        is_it = isinstance(name, Path) and name.exists() and name.stat().st_ino == inode
        if is_it and flags & os.O_RDWR:
            raise PermissionError(13, "Permission denied", str(name))
        return open_file(name, flags, *mode, **options)

    monkeypatch.setattr(os, "open", refusing)
    return path


def test_left_by_a_killed_run(foreign):
    """It is replaced by one of this process, and gone at the end."""
    other = foreign.with_name("link")
    os.link(foreign, other)
    with locked(foreign.parent):
        assert foreign.read_text() == str(os.getpid())
    assert not foreign.exists() and other.read_text() == "77"


def test_held(foreign):
    """Who holds it is told."""
    with subprocess.Popen([sys.executable, "-c", HOLD, str(foreign)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(DataError, match="process 77 is writing there. Wait until it ends, or pass another --output_dir"),
            locked(foreign.parent),
        ):
            pass
        holder.stdin.close()
    assert foreign.read_text() == "77"


def test_a_folder_of_another_user(tmp_path, monkeypatch):
    """Where no lock can be made there is an error, not a loop."""

    def refuse(name, *_, **__):
        raise PermissionError(13, "Permission denied", str(name))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(PermissionError, match="hf_rnn.lock"), locked(tmp_path):
        pass
