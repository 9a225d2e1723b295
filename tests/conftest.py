"""Settings and fixtures of all tests: no network, one thread, uninitialised memory full of NaN."""

import os
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import pytest
import torch
from runs import reviews, sentences, spans

from hf_rnn.models.workspace import Workspace

LARGE_DATA = Path(os.environ.get("HF_RNN_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(autouse=True)
def poisoned_workspace(monkeypatch) -> None:
    """Let the kernels' own memory serve small tensors too, full of NaN."""
    empty = Workspace.empty
    monkeypatch.setattr(Workspace, "smallest", 1)
    monkeypatch.setattr(Workspace, "empty", lambda self, *shape, dtype: empty(self, *shape, dtype=dtype).fill_(float("nan")))


@pytest.fixture(autouse=True)
def reproducible() -> None:
    """Seed torch, and let `torch.empty` return NaN so that reading what was never written shows."""
    torch.manual_seed(0)
    # two threads on a busy machine wait for each other
    torch.set_num_threads(1)
    torch.utils.deterministic.fill_uninitialized_memory = True
    torch.use_deterministic_algorithms(True, warn_only=True)


@pytest.fixture
def large_data() -> Path:
    """Return the folder of the full data sets, or skip: they are not part of the project."""
    if not LARGE_DATA.is_dir():
        pytest.skip(f"the full data sets are not at {LARGE_DATA}; set HF_RNN_DATA to run this test")
    return LARGE_DATA


@pytest.fixture(scope="session")
def classifier(tmp_path_factory):
    """Train a classifier once; return its folder and metrics."""
    from hf_rnn.commands import text_classification

    folder = tmp_path_factory.mktemp("classifier") / "reviews"
    return folder, text_classification.main(reviews(folder, "--do_train", "--do_eval", "--do_predict", "--report_to", "tensorboard"))


@pytest.fixture(scope="session")
def tagger(tmp_path_factory):
    """Train a tagger with a CRF once; return its folder and metrics."""
    from hf_rnn.commands import token_classification

    folder = tmp_path_factory.mktemp("tagger") / "pos"
    return folder, token_classification.main(sentences(folder, "--do_train", "--do_eval", "--do_predict", "--use_crf", "true"))


@pytest.fixture(scope="session")
def span_tagger(tmp_path_factory):
    """Train a tagger of raw text once; return its folder and metrics."""
    from hf_rnn.commands import token_classification

    folder = tmp_path_factory.mktemp("span_tagger") / "entities"
    return folder, token_classification.main(spans(folder, "--do_train", "--do_eval", "--do_predict"))
