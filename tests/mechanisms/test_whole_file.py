"""A file is replaced as a whole, and a write that fails leaves the old one and nothing beside it."""

import os

import pytest

from mechanisms.whole_file import write_whole


def test_folders_are_made_and_the_place_is_returned(tmp_path):
    place = tmp_path / "new" / "file.bin"
    assert write_whole(place, b"first") == place
    assert write_whole(str(place), b"second") == place
    assert place.read_bytes() == b"second"
    assert list(place.parent.iterdir()) == [place]


@pytest.mark.parametrize("call", ["replace", "write"])
def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch, call):
    def fail(*_):
        raise OSError("no space")

    place = write_whole(tmp_path / "file.bin", b"old")
    monkeypatch.setattr(*(("os.replace", fail) if call == "replace" else ("pathlib.Path.write_bytes", fail)))
    with pytest.raises(OSError, match="no space"):
        write_whole(place, b"new")
    assert place.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file.bin"]
