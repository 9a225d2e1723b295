"""Checkpoints load by plain `from_pretrained` where hf_rnn cannot be imported, and stay whole when they are saved again."""

import itertools
import json
import os
import subprocess
import sys
import textwrap

import pytest
import torch
from tiny import build
from transformers import AutoModel, AutoModelForTokenClassification

from hf_rnn import RnnForMaskedLM, RnnForSequenceClassification, RnnForTokenClassification, RnnModel
from hf_rnn.models.pretrained import AUTO_MAP

IDS, MASK = torch.tensor([[1, 2, 3, 4, 5], [6, 7, 8, 0, 0]]), torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
HEADS = {
    "AutoModel": (RnnModel, {}),
    "AutoModelForSequenceClassification": (RnnForSequenceClassification, {}),
    "AutoModelForTokenClassification": (RnnForTokenClassification, {"use_crf": False}),
    "AutoModelForMaskedLM": (RnnForMaskedLM, {}),
    "AutoModelForTokenClassification with a CRF": (
        RnnForTokenClassification,
        {"use_crf": True, "word_pooling": "rnn", "word_vocab_size": 4, "intents": ["a", "b"]},
    ),
}


def run_elsewhere(code: str, home) -> str:
    """Run code in a process that cannot import hf_rnn, with caches of its own; return what it prints."""
    code = "import sys\nsys.modules['hf_rnn'] = None\n" + textwrap.dedent(code)
    environment = {**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=home, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.thorough
def test_every_head_loads_without_the_package(tmp_path):
    """Every head, cell and dtype gives bit-identical outputs by remote code, and saved from there is whole again."""
    cases, dtypes = [], (torch.float32, torch.bfloat16, torch.float16)
    for (head, (model_class, fields)), cell, dtype in itertools.product(HEADS.items(), ("lstm", "gru"), dtypes):
        folder = tmp_path / f"{head}-{cell}-{dtype}".replace(" ", "_").replace(".", "_")
        model = build(model_class, dtype=dtype, cell_type=cell, **fields).eval()
        model.save_pretrained(folder)
        with torch.no_grad():
            torch.save(model(IDS, MASK)[0], folder / "expected.pt")
        cases.append([head.split()[0], str(folder)])
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    printed = run_elsewhere(
        f"""
        import json, os, torch, transformers
        for head, folder in json.load(open({str(tmp_path / "cases.json")!r})):
            auto = getattr(transformers, head)
            expected = torch.load(os.path.join(folder, "expected.pt"))
            for step in range(2):
                model = auto.from_pretrained(folder, trust_remote_code=True, dtype="auto").eval()
                with torch.no_grad():
                    out = model(torch.tensor({IDS.tolist()}), torch.tensor({MASK.tolist()}))[0]
                assert type(model).__module__.startswith("transformers_modules"), type(model)
                assert out.dtype == expected.dtype and torch.equal(out, expected), folder
                files, folder = set(os.listdir(folder)), folder + "_again"
                model.save_pretrained(folder)
                assert set(os.listdir(folder)) == files - {{"expected.pt"}}, set(os.listdir(folder)) ^ files
            print(head)
        """,
        tmp_path,
    )
    assert len(printed.splitlines()) == len(cases) == 30


def test_heads_swap_without_the_package(tmp_path):
    """The body of a classifier serves a tagger with other labels, whose fresh weights are finite; a config alone makes a model."""
    build(RnnForSequenceClassification, dtype=torch.float32).save_pretrained(tmp_path / "classifier")
    assert json.loads((tmp_path / "classifier" / "config.json").read_text())["auto_map"] == AUTO_MAP
    printed = run_elsewhere(
        """
        import torch
        from transformers import AutoConfig, AutoModelForTokenClassification
        options = {"trust_remote_code": True, "num_labels": 7, "use_crf": True}
        tagger = AutoModelForTokenClassification.from_pretrained("classifier", ignore_mismatched_sizes=True, **options)
        assert tagger.classifier.out_features == 7 and all(p.isfinite().all() for p in tagger.parameters())
        tagger.save_pretrained("tagger")
        config = AutoConfig.from_pretrained("tagger", trust_remote_code=True)
        print(type(AutoModelForTokenClassification.from_config(config, trust_remote_code=True)).__name__)
        """,
        tmp_path,
    )
    assert printed.strip() == "RnnForTokenClassification"
    # and back where the package is: local code is taken without asking
    tagger = AutoModelForTokenClassification.from_pretrained(tmp_path / "tagger")
    assert type(tagger) is RnnForTokenClassification
    body = AutoModel.from_pretrained(tmp_path / "classifier")
    loaded = RnnForSequenceClassification.from_pretrained(tmp_path / "classifier")
    assert torch.equal(body(IDS, MASK)[0], loaded.model(IDS, MASK)[0])


def test_package_and_remote_code_live_in_one_process(tmp_path):
    """Operators are defined by both; either form still runs in a graph."""
    build(RnnModel, dtype=torch.float32).save_pretrained(tmp_path / "model")
    printed = run_elsewhere(
        """
        import torch
        from transformers import AutoModel
        remote = AutoModel.from_pretrained("model", trust_remote_code=True).eval()
        del sys.modules["hf_rnn"]
        import hf_rnn
        local = hf_rnn.RnnModel.from_pretrained("model").eval()
        ids = torch.tensor([[1, 2, 3], [4, 5, 6]])
        for model in (remote, local):
            compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
            assert torch.allclose(compiled(ids)[0], local(ids)[0], atol=1e-6)
        print(type(remote) is type(local))
        """,
        tmp_path,
    )
    assert printed.strip() == "False"


def test_without_consent_nothing_runs(tmp_path):
    """Where the package is missing and remote code is not allowed, loading stops with the library's error."""
    build(RnnModel, dtype=torch.float32).save_pretrained(tmp_path / "model")
    with pytest.raises(AssertionError, match="trust_remote_code=True"):
        run_elsewhere(
            """
            from transformers import AutoModel
            AutoModel.from_pretrained("model", trust_remote_code=False)
            """,
            tmp_path,
        )
