"""The settings of a run: what they hold, that they compile, and that they name nobody."""

import getpass
import platform
import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from transformers.trainer_utils import PredictionOutput

from hf_rnn import RnnConfig, RnnForTokenClassification
from hf_rnn.arguments import RnnTrainingArguments
from hf_rnn.training.appendix import machine, write_appendix


def settings_of(folder):
    """Write the settings of a run that is made up; return those of `settings.md` by name."""
    model = RnnForTokenClassification(RnnConfig(vocab_size=20, embedding_size=4, hidden_size=8, num_hidden_layers=1, use_crf=True))
    arguments = RnnTrainingArguments(output_dir=str(folder), learning_rate=0.0123, seed=7, do_eval=True, use_cpu=True)
    history = [{"step": 5, "epoch": 1.0, "loss": 1.0}, {"step": 10, "epoch": 2.0, "train_runtime": 1234.5}]
    state = SimpleNamespace(global_step=10, epoch=2.0, best_global_step=5, log_history=history)
    trainer = SimpleNamespace(model=model, args=arguments, state=state, train_dataset=range(1500), eval_dataset=[1, 2])
    output = PredictionOutput(None, (np.zeros((3, 4)),), {"test_f1": 0.5, "test_loss": 1.0, "test_runtime": 2.0})
    write_appendix(trainer, ("train.tsv", "- training: `train_50%.tsv`\n- Rows in memory"), {"test": output})
    text = (folder / "settings.md").read_text()
    return {name.strip(): value.strip() for name, value in re.findall(r"^\| (.*?) \| (.*?) \|$", text, re.MULTILINE)}, model


def test_what_they_hold(tmp_path):
    """Rows, sizes, options, the epoch that was kept, time, scores, machine and versions."""
    found, model = settings_of(tmp_path)
    expected = {
        "training": "train_50%.tsv",
        "data": "Rows in memory",
        "training rows": "1,500",
        "validation rows": "2",
        "test rows": "3",
        "parameters": f"{model.num_parameters():,}",
        "hidden_size": "8",
        "use_crf": "True",
        "learning_rate": "0.0123",
        "lr_scheduler_type": "linear",
        "seed": "7",
        "steps": "10",
        "weights of epoch": "1",
        "seconds of training": "1,234",
        "test_f1": "0.5000",
        "Python": platform.python_version(),
    }
    assert {name: found.get(name) for name in expected} == expected
    assert not {"test_loss", "test_runtime"} & set(found)
    assert dict(machine())["threads"] == found["threads"]


def test_they_name_nobody(tmp_path):
    """No folder, user or host, in either file."""
    settings_of(tmp_path)
    for name in ("settings.md", "settings.tex"):
        text = (tmp_path / name).read_text()
        for part in (str(tmp_path), tmp_path.name, str(Path.home()), platform.node()):
            assert part not in text
        assert not re.search(rf"\b{re.escape(getpass.getuser())}\b", text)


def test_latex(tmp_path):
    """What LaTeX would take for something else is escaped; where there is a LaTeX, it compiles."""
    settings_of(tmp_path)
    text = (tmp_path / "settings.tex").read_text()
    assert r"learning\_rate & 0.0123 \\" in text and r"train\_50\%.tsv" in text
    if shutil.which("pdflatex"):
        paper = r"\documentclass{article}\usepackage{booktabs}\begin{document}\input{settings.tex}\end{document}"
        (tmp_path / "paper.tex").write_text(paper)
        subprocess.run(["pdflatex", "-interaction=nonstopmode", "paper.tex"], cwd=tmp_path, check=True, capture_output=True)
