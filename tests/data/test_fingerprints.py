"""Data is known by what its files hold, and only options that name files count."""

from hf_rnn.data.fingerprints import contents


def test_contents(tmp_path, monkeypatch):
    """Of one file, several, or a folder of a model; the name does not count, nor does a file that is called as a value is."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.csv", "b.csv", "text", "ko"):
        (tmp_path / name).write_text(name)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    options = {"train_file": "a.csv", "train_files": ["a.csv", "b.csv"], "model_name_or_path": "model", "seed": 3, "bf16": True}
    other = {"text_column_name": "text", "language": ["ko"], "validation_file": "gone.csv", "vectors_file": None, "test_file": ""}
    known = contents({**options, **other})
    assert known.keys() == {"train_file", "train_files", "model_name_or_path"}
    (tmp_path / "a.csv").rename(tmp_path / "c.csv")
    assert contents({"train_file": "c.csv"}) == {"train_file": known["train_file"]}
    (tmp_path / "a.csv").write_text("b")
    (tmp_path / "model" / "model.safetensors").write_text("b")
    changed = contents(options)
    assert all(changed[name] != known[name] for name in known)
