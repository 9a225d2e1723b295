"""Outputs are whole or not there, and never take the place of an input."""

import os

import pytest

from hf_rnn.data.files.readers import DataError
from hf_rnn.data.writing import STAGE, check_output_dir, check_output_file, staged, written_whole


def test_a_failure_leaves_what_was_there(tmp_path):
    """The old file stays whole and nothing lies beside it; a block that ends well replaces it."""
    path = tmp_path / "a.txt"
    path.write_text("old")

    with pytest.raises(UnicodeEncodeError), written_whole(path) as file:
        file.write("new \ud800")
    assert path.read_text() == "old"
    with written_whole(path) as file:
        file.write("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def contents(folder):
    """Return what the files of a folder hold."""
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_folders_are_whole_or_old(tmp_path, monkeypatch):
    """Killed at any change, files of two runs never stand beside the one that makes the folder whole; an error changes nothing."""
    folder = tmp_path / "out"

    def write(version):
        with staged(folder, ["whole"]) as stage:
            assert not list(stage.iterdir())
            (stage / "deep").mkdir()
            for name in ("a", "deep/b", "whole", "z"):
                (stage / name).write_text(version)

    def all_of(version):
        return dict.fromkeys(("a", "deep/b", "whole", "z"), version)

    write("0")
    assert contents(folder) == all_of("0") and sorted(os.listdir(folder)) == ["a", "deep", "whole", "z"]
    with pytest.raises(UnicodeEncodeError), staged(folder, ["whole"]) as stage:
        (stage / "whole").write_text("cut \ud800")
    assert contents(folder) == all_of("0")
    replace, unlink = os.replace, type(folder).unlink
    for changes in range(6):
        left = iter(range(changes))

        def change(act, left=left):
            return lambda *values, **options: act(*values, **options) if next(left, None) is not None else os._exit(9)

        if not (child := os.fork()):
            monkeypatch.setattr(os, "replace", change(replace))
            monkeypatch.setattr(type(folder), "unlink", change(unlink))
            write("1")
            os._exit(0)
        ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        found = {name: text for name, text in contents(folder).items() if not name.startswith(STAGE)}
        assert ended == (0 if changes == 5 else 9)
        assert "whole" not in found or found in (all_of("0"), all_of("1"))
    assert contents(folder) == all_of("1") and not (folder / STAGE).exists()


def test_outputs_are_no_models(tmp_path):
    """A file that makes up a model stays, and what is new beside it may be written; data that is called as what a run writes stays."""
    (tmp_path / "model").mkdir()
    model = str(tmp_path / "model")
    for name in ("config.json", "tokenizer.json", "model.safetensors", "README.md", "modeling_rnn.py"):
        with pytest.raises(DataError, match="is a file of the model, which would be lost. Pass another --output_file"):
            check_output_file(f"{model}/{name}", "output_file", model)
    check_output_file(f"{model}/answers.jsonl", "output_file", model)
    (tmp_path / "predictions.jsonl").write_text("")
    data = str(tmp_path / "predictions.jsonl")
    with pytest.raises(DataError, match=r"holds the input '.*predictions.jsonl', which would be lost. Pass another --output_dir"):
        check_output_dir(str(tmp_path), "output_dir", data, written=["report.txt", "predictions.jsonl"])
    check_output_dir(str(tmp_path), "output_dir", data, written=["report.txt"])


def test_outputs_are_no_inputs(tmp_path):
    """The same file under another name, or through a link, counts as the same; so does a folder in place of a file."""
    source = tmp_path / "in.txt"
    source.write_text("text")
    (tmp_path / "link.txt").symlink_to(source)
    os.link(source, tmp_path / "second.txt")
    for name in ("in.txt", "./in.txt", "link.txt", "second.txt"):
        with pytest.raises(DataError, match="is the input itself, which would be lost. Pass another --output_file"):
            check_output_file(f"{tmp_path}/{name}", "output_file", str(source))
    with pytest.raises(DataError, match="is a folder"):
        check_output_file(str(tmp_path), "output_file")
    with pytest.raises(DataError, match="there is no folder"):
        check_output_file(str(tmp_path / "no" / "a.txt"), "output_file")
    check_output_file(str(tmp_path / "out.txt"), "output_file", str(source), None)
    (tmp_path / "model").mkdir()
    (tmp_path / "same").symlink_to(tmp_path / "model")
    with pytest.raises(DataError, match="is the folder of the model itself"):
        check_output_dir(str(tmp_path / "same"), "output_dir", str(tmp_path / "model"))
    for path in (source, source / "deeper"):
        with pytest.raises(DataError, match="in.txt' is a file. Pass a folder as --output_dir"):
            check_output_dir(str(path))
    with pytest.raises(DataError, match="is empty"):
        check_output_dir("")
    check_output_dir(str(tmp_path / "new" / "er"))
