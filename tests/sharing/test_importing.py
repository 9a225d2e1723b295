"""Weights of plain PyTorch models become checkpoints that compute the same, and what does not fit is named."""

import pickle
import re
import resource
import zipfile

import pytest
import torch
from runs import SAMPLES
from safetensors.torch import save_file
from torch import nn
from transformers import pipeline

from hf_rnn.commands import cli
from hf_rnn.data.files.readers import read_rows
from hf_rnn.data.tokenizers.training import train_tokenizer
from hf_rnn.sharing.importing import import_state, read_weights


class Plain(nn.Module):
    """A model as tutorials write it."""

    def __init__(self, kind=nn.LSTM, layers=2, bidirectional=True, bias=True, vocab_size=30) -> None:
        super().__init__()
        self.emb = nn.Embedding(vocab_size, 6)
        self.encoder = kind(6, 4, layers, bidirectional=bidirectional, bias=bias, batch_first=True)
        self.out = nn.Linear(8 if bidirectional else 4, 3, bias=bias)


NAMES = {"embedding": "emb", "rnn": "encoder", "linear": "out"}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("pooling", ["last", "mean", "max"])
def test_classifier_computes_the_same(kind, bidirectional, bias, pooling):
    """Every shape of a plain classifier, against PyTorch's layers on packed rows of unequal length."""
    plain = Plain(kind, 2, bidirectional, bias)
    model = import_state(plain.state_dict(), labels=["a", "b", "c"], pooling=pooling, **NAMES)
    lengths, ids = torch.tensor([5, 2]), torch.randint(30, (2, 5))
    mask = torch.arange(5) < lengths[:, None]
    packed = nn.utils.rnn.pack_padded_sequence(plain.emb(ids), lengths, batch_first=True)
    out, final = plain.encoder(packed)
    out, _ = nn.utils.rnn.pad_packed_sequence(out, batch_first=True)
    h = final[0] if kind is nn.LSTM else final
    pooled = {
        "last": torch.cat(list(h[-2:] if bidirectional else h[-1:]), 1),
        "mean": out.sum(1) / lengths[:, None],
        "max": out.masked_fill(~mask[..., None], -9).amax(1),
    }[pooling]
    assert torch.allclose(model(ids, mask).logits, plain.out(pooled), atol=1e-6)
    assert model.config.id2label == {0: "a", 1: "b", 2: "c"}


def test_tagger_from_a_file_works_in_a_pipeline(tmp_path, capsys):
    """The command writes a checkpoint with its tokenizer that loads by name."""
    texts = [row["document"] for row in read_rows(str(SAMPLES / "nsmc_train.tsv"))][:200]
    tokenizer = train_tokenizer(texts, "bpe", 300)
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    save_file(Plain(vocab_size=len(tokenizer)).state_dict(), tmp_path / "weights.safetensors")
    arguments = ["--weights_file", str(tmp_path / "weights.safetensors"), "--task", "token-classification", "--labels", "X", "Y", "Z"]
    arguments += ["--embedding", "emb", "--rnn", "encoder", "--linear", "out", "--tokenizer_name", str(tmp_path / "tokenizer")]
    assert cli.main(["import", *arguments, "--output_dir", str(tmp_path / "model")]) == 0
    assert "Saved a lstm for token-classification" in capsys.readouterr().out
    found = pipeline("token-classification", model=str(tmp_path / "model"))("정말 재미있어요")
    assert {tag["entity"] for tag in found} <= {"X", "Y", "Z"}


def test_what_does_not_fit_is_named(tmp_path):
    """Missing parts, other shapes, left-overs, wrong labels, NaN, and files that are no state dict."""
    state = Plain().state_dict()
    with pytest.raises(ValueError, match=r"no embedding called 'embedding'; there are \['emb', 'encoder', 'out'\]. Pass --embedding"):
        import_state(state)
    with pytest.raises(ValueError, match=r"holds more than embedding, rnn and linear: \['extra'\]"):
        import_state({**state, "extra": torch.zeros(1)}, **NAMES)
    with pytest.raises(ValueError, match="`labels` must name the 3 outputs of the linear layer, got 2"):
        import_state(state, labels=["a", "b"], **NAMES)
    with pytest.raises(ValueError, match="must take 2 x 4 = 8 features of the recurrent layer, got 5"):
        import_state({**state, "out.weight": torch.zeros(3, 5)}, **NAMES)
    with pytest.raises(ValueError, match=r"4 \(LSTM\) or 3 \(GRU\) or 1 \(RNN\) times as many rows"):
        import_state({**state, "encoder.weight_hh_l0": torch.zeros(9, 4)}, **NAMES)
    with pytest.raises(ValueError, match="do not make a LSTM: .*size mismatch for weight_ih_l1"):
        import_state({**state, "encoder.weight_ih_l1": torch.zeros(16, 9)}, **NAMES)
    with pytest.raises(ValueError, match="are there NaN weights"):
        import_state({**state, "out.bias": torch.full((3,), float("nan"))}, **NAMES)
    with pytest.raises(ValueError, match="is no file. Pass --weights_file"):
        read_weights(str(tmp_path / "none.pt"))
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(ValueError, match="must hold a state dict"):
        read_weights(str(tmp_path / "list.pt"))


class Evil:
    """Runs a command when it is unpickled."""

    def __reduce__(self):
        """Say what to run."""
        import os

        return os.mkdir, ("executed",)


@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors"])
def test_nothing_is_unpickled(name, tmp_path, monkeypatch):
    """A pickle, whatever it is called, is refused and not run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "raw").write_bytes(pickle.dumps({"a": Evil()}))
    torch.save({"a": Evil()}, tmp_path / "zipped")
    for source in ("raw", "zipped"):
        (tmp_path / name).write_bytes((tmp_path / source).read_bytes())
        with pytest.raises(ValueError, match="is no state dict of tensors"):
            read_weights(str(tmp_path / name))
    assert not (tmp_path / "executed").exists()


def zipped(path):
    """Write a file that is small and unpacks to a hundred megabytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("weights/data.pkl", bytes(10**8))


ODD = {
    "a bomb": (zipped, "is compressed, which torch.save does not do"),
    "nothing": (lambda path: torch.save({}, path), "has no embedding called 'emb'"),
    "no names": (lambda path: torch.save({1: torch.ones(2)}, path), "names with tensors"),
    "no dictionary": (lambda path: torch.save([1], path), "must hold a state dict"),
    "one number seen a trillion times": (
        lambda path: torch.save({"emb.weight": torch.zeros(1).expand(10**6, 10**6)}, path),
        "'emb.weight' claims 1.0e.12 numbers, more than the file holds",
    ),
    "complex numbers": (lambda path: torch.save({"emb.weight": torch.zeros(9, 9, dtype=torch.complex64)}, path), "got torch.complex64"),
    "whole numbers": (lambda path: torch.save({"emb.weight": torch.zeros(9, 9, dtype=torch.int8)}, path), "got torch.int8"),
    "sparse numbers": (lambda path: torch.save({"emb.weight": torch.zeros(9, 9).to_sparse()}, path), "torch.sparse_coo"),
    "a vector": (
        lambda path: torch.save({**Plain().state_dict(), "emb.weight": torch.zeros(9)}, path),
        "`embedding` must be a matrix, got .9.",
    ),
    "no width": (lambda path: torch.save({**Plain().state_dict(), "emb.weight": torch.zeros(9, 0)}, path), "`embedding` must be a matrix"),
    "no first layer": (
        lambda path: torch.save({k: v for k, v in Plain().state_dict().items() if "hh_l0" not in k}, path),
        "`rnn` must be a matrix, got None",
    ),
    "a billion layers": (
        lambda path: torch.save({**Plain().state_dict(), "encoder.weight_hh_l1000000000": torch.zeros(16, 4)}, path),
        "`num_hidden_layers` must be at most",
    ),
    "text": (lambda path: path.write_text("weights"), "is no state dict of tensors"),
    "no bytes": (lambda path: path.write_bytes(b""), "is no state dict of tensors"),
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_files_end_in_a_line(kind, tmp_path, capsys):
    """Whatever the file holds, the command says what is wrong, and unpacks and builds nothing large."""
    write, message = ODD[kind]
    write(tmp_path / "weights.pt")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    names = ["--embedding", "emb", "--rnn", "encoder", "--linear", "out"]
    status = cli.main(["import", "--weights_file", str(tmp_path / "weights.pt"), *names, "--output_dir", str(tmp_path / "out")])
    error = capsys.readouterr().err
    assert status == 1
    assert re.search(message, error), error
    assert len(error.strip().splitlines()) == 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 80_000
    assert not (tmp_path / "out").exists()
