"""Hostile and broken folders: nothing in them runs, nothing outside them is read, and the error says what is wrong."""

import json
import pickle
import re
import shutil
import struct
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

import hf_rnn
from hf_rnn.commands import cli
from hf_rnn.sharing import hub


class Bomb:
    """Unpickled, it writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.write_text, (self.path, "executed")


EVIL = "import pathlib\npathlib.Path({path!r}).write_text('executed')\n"


def config(folder, **fields):
    """Change fields of the config."""
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**content, **fields}))


def weights(folder, change):
    """Change the tensors."""
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def header(folder, length, text=b""):
    """Write a safetensors file with a header of our own."""
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", length) + text)


def tokenizer(folder, **fields):
    """Change fields of the tokenizer's config."""
    content = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**content, **fields}))


def normalizer(folder, *rules):
    """Put rules in place of the tokenizer's normalizer."""
    content = json.loads((folder / "tokenizer.json").read_text())
    content["normalizer"] = {"type": "Sequence", "normalizers": list(rules)}
    (folder / "tokenizer.json").write_text(json.dumps(content))


def entry(**fields):
    """Return the header of one tensor."""
    text = json.dumps({"classifier.bias": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **fields}}).encode()
    return len(text), text


def pickled(folder, mark, name="model.safetensors"):
    """Put a pickle in place of the weights."""
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(pickle.dumps(Bomb(mark)))


def archived(folder, mark):
    """Put a bomb into what torch.save writes."""
    (folder / "model.safetensors").unlink()
    torch.save({"classifier.bias": Bomb(mark)}, folder / "pytorch_model.bin")


def evil_code(folder, mark, **maps):
    """Add code, and maybe point the config to it."""
    for name in ("evil.py", "modeling_rnn.py", "configuration_rnn.py"):
        (folder / name).write_text(EVIL.format(path=str(mark)))
    if maps:
        config(folder, auto_map=maps, model_type="not_known_here")


def outside(folder):
    """Point the index of shards at a file beside the folder."""
    shutil.move(folder / "model.safetensors", folder.parent / "outside.safetensors")
    names = load_file(folder.parent / "outside.safetensors")
    index = {"metadata": {}, "weight_map": dict.fromkeys(names, "../outside.safetensors")}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def rename(tensors):
    """Give the body's weights other names."""
    for name in [name for name in tensors if name.startswith("model.layers")]:
        tensors["x." + name] = tensors.pop(name)


HOSTILE = {
    "pickle as safetensors": (lambda f, mark: pickled(f, mark), "no whole checkpoint: .*header"),
    "pickle as pytorch_model.bin": (lambda f, mark: pickled(f, mark, "pytorch_model.bin"), "error: "),
    "archive with a bomb": (archived, "error: "),
    "header longer than memory": (lambda f, _: header(f, 2**62), "no whole checkpoint: .*header"),
    "header longer than the file": (lambda f, _: header(f, 1000, b"{}"), "no whole checkpoint: .*header"),
    "header that is no JSON": (lambda f, _: header(f, 4, b"{{{{"), "no whole checkpoint: .*header"),
    "header nested a million deep": (lambda f, _: header(f, 10**6, b"[" * 10**6), "no whole checkpoint: .*header"),
    "offsets beyond the file": (lambda f, _: header(f, *entry(data_offsets=[0, 10**9], shape=[25 * 10**7])), "no whole checkpoint: "),
    "shape that overflows": (lambda f, _: header(f, *entry(shape=[2**62, 2**62])), "no whole checkpoint: "),
    "weights cut off": (
        lambda f, _: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:-100]),
        "no whole checkpoint: .*header",
    ),
    "no bytes": (lambda f, _: (f / "model.safetensors").write_bytes(b""), "no whole checkpoint: .*header"),
    "no weights": (lambda f, _: (f / "model.safetensors").unlink(), "error: .*model.safetensors"),
    "wrong shape": (
        lambda f, _: weights(f, lambda t: t.update({"classifier.weight": torch.zeros(2, 3)})),
        "no whole checkpoint: it has, of other sizes than its config says, the weights .'classifier.weight'",
    ),
    "NaN weights": (lambda f, _: weights(f, lambda t: t["classifier.weight"].fill_(float("nan"))), "classifier.weight.*NaN"),
    "infinite embeddings": (
        lambda f, _: weights(f, lambda t: t["model.embeddings.word_embeddings.weight"].fill_(float("inf"))),
        "word_embeddings.weight.*infinity",
    ),
    "missing keys": (lambda f, _: weights(f, rename), "lacks the weights .*model.layers"),
    "shards outside": (lambda f, _: outside(f), r"'../outside.safetensors'.*outside"),
    "config that is no JSON": (lambda f, _: (f / "config.json").write_text("{"), "error: .*config"),
    "config nested a million deep": (lambda f, _: (f / "config.json").write_text("[" * 10**6), "error: .*config"),
    "config that is a list": (lambda f, _: (f / "config.json").write_text("[]"), "error: .*config"),
    "text for a size": (lambda f, _: config(f, hidden_size="8; import os"), "hidden_size.*int"),
    "negative size": (lambda f, _: config(f, vocab_size=-5), "`vocab_size` must be at least 1, got -5"),
    "vocabulary larger than memory": (lambda f, _: config(f, vocab_size=10**12), "`vocab_size` is 1000000000000. Choose smaller sizes"),
    "width beyond any machine": (lambda f, _: config(f, hidden_size=2**40), "`hidden_size` is 1099511627776. Choose smaller sizes"),
    "a billion labels": (lambda f, _: config(f, num_labels=10**9, id2label=None), "`num_labels` must be in .0, 100000., got 1000000000"),
    "labels without a number": (lambda f, _: config(f, num_labels="9; 9", id2label=None), "`num_labels` must be in .*got '9; 9'"),
    "a million labels": (
        lambda f, _: config(f, id2label={str(i): str(i) for i in range(10**6)}),
        "`num_labels` must be in .0, 100000., got 1000000",
    ),
    "pieces of no type": (
        lambda f, _: weights(f, lambda t: t["model.embeddings.piece_types"].fill_(7)),
        "`model.embeddings.piece_types` must be in .0, 3., got values from 7 to 7",
    ),
    "a linear part that the config does not know": (lambda f, _: config(f, linear_size=0), "has beside its own the weights .*linear"),
    "a linear part of another size": (lambda f, _: config(f, linear_size=7), "of other sizes than its config says, the weights .*linear"),
    "a linear part larger than memory": (lambda f, _: config(f, linear_size=2**40), "`linear_size` is 1099511627776. Choose smaller sizes"),
    "n-grams larger than memory": (
        lambda f, _: config(f, ngram_vocab_size=2**40, word_pooling="rnn"),
        "`ngram_vocab_size` is 1099511627776. Choose smaller sizes",
    ),
    "features out of order": (
        lambda f, _: weights(f, lambda t: t.update({"linear.keys": t["linear.keys"].flip(0)})),
        "`linear.keys` must ascend",
    ),
    "negative features": (lambda f, _: weights(f, lambda t: t["linear.keys"].fill_(-5)), "`linear.keys` must ascend from 0"),
    "features without a number": (lambda f, _: weights(f, lambda t: t["linear.weight"].fill_(float("nan"))), "'linear.weight' holds NaN"),
    "infinite frequencies": (lambda f, _: weights(f, lambda t: t["linear.idf"].fill_(float("inf"))), "'linear.idf' holds NaN or infinity"),
    "pieces that spell nothing": (lambda f, _: weights(f, lambda t: t["linear.characters"].fill_(-7)), "`linear.characters` must be in"),
    "labels that are not numbered": (lambda f, _: config(f, id2label={"x": "y", "1": "z"}), "`id2label` must name each of the numbers"),
    "labels in a list": (lambda f, _: config(f, id2label=[1, 2]), "`id2label` must name each of the numbers|no whole c"),
    "a problem of no type": (lambda f, _: config(f, problem_type="x"), "`problem_type` must be one of"),
    "architectures that are none": (lambda f, _: config(f, architectures=[5]), "`architectures` must be a list of names, got .5."),
    "settings of another type": (lambda f, _: tokenizer(f, model_max_length="x"), "has no whole tokenizer: .*str"),
    "normalizer that blows up": (
        lambda f, _: normalizer(f, *({"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 1000} for _ in range(6))),
        "normalizer of the tokenizer makes 1e\\+18 characters of one",
    ),
    "index that is none": (lambda f, _: (f / "model.safetensors.index.json").write_text("[]"), "index.json is no index of weights"),
    "a billion layers": (lambda f, _: config(f, num_hidden_layers=10**9), "`num_hidden_layers` must be at most"),
    "labels that do not fit": (
        lambda f, _: config(f, id2label={str(i): str(i) for i in range(9)}),
        "of other sizes than its config says, the weights .*classifier",
    ),
    "another architecture": (lambda f, _: config(f, architectures=["os.system"]), "must be a classifier or a tagger, got os.system"),
    "unknown type": (lambda f, _: config(f, model_type="../../evil", auto_map={}), "error: .*evil"),
    "code under the names of ours": (lambda f, mark: evil_code(f, mark), None),
    "auto_map to code of its own": (lambda f, mark: evil_code(f, mark, AutoConfig="evil.Evil"), "error: .*trust_remote_code"),
    "auto_map out of the folder": (lambda f, mark: evil_code(f, mark, AutoConfig="../evil.Evil"), "error: .*trust_remote_code"),
    "tokenizer with code": (
        lambda f, mark: (evil_code(f, mark), tokenizer(f, auto_map={"AutoTokenizer": ["evil.Evil", "evil.Evil"]}, tokenizer_class="Evil")),
        "error: .*trust_remote_code",
    ),
    "tokenizer that is no JSON": (lambda f, _: (f / "tokenizer.json").write_text("{"), "error: "),
    "tokenizer of an unknown kind": (
        lambda f, _: (f / "tokenizer.json").write_text(json.dumps({"model": {"type": "Evil", "vocab": {}}})),
        "error: ",
    ),
    "no tokenizer": (lambda f, _: (f / "tokenizer.json").unlink(), "error: "),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_folders(classifier, kind, tmp_path, capsys, monkeypatch):
    """Nothing runs; a clear error, or, where only unused code is hostile, the answer of the model."""
    # consent is never asked for: there is nobody to give it
    monkeypatch.setattr("builtins.input", lambda *_: "n")
    folder = shutil.copytree(classifier[0], tmp_path / "model", ignore=shutil.ignore_patterns("checkpoint-*", "*.py"))
    mark = tmp_path / "executed"
    change, message = HOSTILE[kind]
    change(folder, mark)
    status = cli.main(["predict", "--model_name_or_path", str(folder), "--text", "영화"])
    printed = capsys.readouterr()
    assert not mark.exists()
    if message is None:
        assert status == 0
        assert json.loads(printed.out)["label"] in ("negative", "positive")
        return
    assert status == 1
    assert printed.out == ""
    assert "Traceback" not in printed.err
    assert printed.err.count("\n") == 1
    assert re.search(message, printed.err, re.DOTALL), printed.err


def words(keys):
    """Put keys in place of the hashes of words."""
    return lambda tensors: tensors["model.embeddings.word_keys"][: len(keys)].copy_(torch.tensor(keys))


@pytest.mark.parametrize("keys", [[-5, 3], [3, 2, 1], [2, 2]])
def test_words_out_of_order(tagger, keys, tmp_path):
    """Hashes that do not ascend would find the wrong words or none."""
    folder = shutil.copytree(tagger[0], tmp_path / "model", ignore=shutil.ignore_patterns("checkpoint-*"))
    weights(folder, words(keys))
    with pytest.raises(ValueError, match="word_keys` must ascend"):
        hf_rnn.load(str(folder))


def test_links_do_not_lead_out(classifier, tmp_path, monkeypatch):
    """What a link in a folder points at elsewhere is neither converted, nor planned to be pushed, nor pushed from Python."""
    secret = tmp_path / "secret"
    secret.write_text("secret")
    folder = shutil.copytree(classifier[0], tmp_path / "model", ignore=shutil.ignore_patterns("checkpoint-*"))
    for name in ("report.txt", "all_results.json", "tokenizer_config.json"):
        (folder / name).unlink()
        (folder / name).symlink_to(secret)
    (folder / "curves.png").unlink()
    (folder / "curves.png").symlink_to("confusion_matrix.png")
    assert "report.txt" not in hub.plan(folder)[0]
    (folder / "tokenizer_config.json").unlink()
    shutil.copy(classifier[0] / "tokenizer_config.json", folder)
    cli.main(["convert", "--model_name_or_path", str(folder), "--output_dir", str(tmp_path / "half")])
    assert (tmp_path / "half" / "curves.png").is_file()
    assert not {"report.txt", "all_results.json"} & {path.name for path in (tmp_path / "half").iterdir()}
    sent = {}

    def record(self, working_dir, repo_id, *args, **kwargs):
        sent.update({path.name: path.read_bytes() for path in Path(working_dir).iterdir()})

    monkeypatch.setattr(transformers.utils.hub.PushToHubMixin, "_upload_modified_files", record)
    model = hf_rnn.RnnForSequenceClassification.from_pretrained(folder)
    model.save_pretrained(tmp_path / "sent")
    shutil.copy(folder / "README.md", tmp_path / "sent")
    model._upload_modified_files(tmp_path / "sent", "me/model")
    assert {"tokenizer.json", "model.safetensors"} <= set(sent)
    assert "report.txt" not in sent
    assert b"secret" not in sent.values()


@pytest.mark.thorough
def test_a_dry_run_runs_no_foreign_code(classifier, tmp_path, capsys):
    """Code that is not the package's is shown and not run, nor what the config asks for; with consent it runs."""
    folder = shutil.copytree(classifier[0], tmp_path / "model", ignore=shutil.ignore_patterns("checkpoint-*"))
    mark, push = tmp_path / "executed", ["push", "--model_path", str(folder), "--repo_id", "me/model", "--dry_run", "true"]
    for name in ("configuration_rnn.py", "modeling_rnn.py"):
        content = (folder / name).read_text()
        (folder / name).write_text(content + EVIL.format(path=str(mark)))
        assert cli.main(push) == 1
        assert not mark.exists()
        error = capsys.readouterr().err
        assert f"{name} is not the code of this package" in error and "+pathlib.Path(" in error and "trust_remote_code" in error
        (folder / name).write_text(content)
    (folder / "evil.py").write_text(EVIL.format(path=str(mark)))
    maps = json.loads((folder / "config.json").read_text())["auto_map"]
    config(folder, auto_map={**maps, "AutoModelForSequenceClassification": "evil.Evil"})
    assert cli.main(push) == 1
    assert "`auto_map` asks for code that is not this package's: 'evil.Evil'" in capsys.readouterr().err
    config(folder, auto_map=maps)
    assert cli.main(push) == 0
    assert "evil.py" in capsys.readouterr().out.partition("Left out:")[2]
    content = (folder / "modeling_rnn.py").read_text()
    (folder / "modeling_rnn.py").write_text(content + EVIL.format(path=str(mark)))
    assert cli.main([*push, "--trust_remote_code", "true"]) == 0
    assert mark.exists()


@pytest.mark.parametrize("name", ["../up", "a/b/c", "a//b", "me/model.git", "me/ model", "x" * 120])
def test_names_of_repositories_are_checked(classifier, name, capsys):
    """Before anything is loaded or sent, in a dry run too."""
    assert cli.main(["push", "--model_path", str(classifier[0]), "--repo_id", name, "--dry_run", "true"]) == 1
    assert "epo" in (error := capsys.readouterr().err) and name in error


def test_bombs_work(tmp_path):
    """The payload of these tests would be seen."""
    mark = tmp_path / "mark"
    pickle.loads(pickle.dumps(Bomb(mark)))
    assert mark.read_text() == "executed"
