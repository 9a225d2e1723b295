"""An actor pool of Ray Data answers what a predictor answers, where Ray is installed."""

import json
import os
from pathlib import Path

import pytest
from runs import SAMPLES

import hf_rnn
from hf_rnn.data.files.readers import read_rows

ray = pytest.importorskip("ray", reason="Ray is no part of the test extra: pip install 'ray[data]'")


class Answer:
    """What an actor does: load once, answer batches."""

    def __init__(self, name):
        self.predictor = hf_rnn.load(name)

    def __call__(self, batch):
        """Answer a batch."""
        return {**batch, "label": [row["label"] for row in self.predictor.predict(batch["text"].tolist())]}


@pytest.mark.slow
def test_ray_data(classifier, tmp_path):
    """Every row comes back once, with the answer that it gets without Ray."""
    texts = [row["document"] for row in read_rows(str(SAMPLES / "nsmc_test.tsv"))][:300]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"text": text, "row": row}) + "\n" for row, text in enumerate(texts)))
    # actors import this module
    folders = [Path(hf_rnn.__file__).parents[1], Path(__file__).parent, Path(__file__).parents[1]]
    paths = os.pathsep.join([*map(str, folders), os.environ.get("PYTHONPATH", "")])
    ray.init(num_cpus=4, include_dashboard=False, runtime_env={"env_vars": {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}})
    try:
        rows = ray.data.read_json(str(tmp_path / "in.jsonl"))
        options = {"fn_constructor_args": (str(classifier[0]),), "batch_size": 64, "concurrency": 2}
        rows.map_batches(Answer, **options).write_json(str(tmp_path / "out"))
    finally:
        ray.shutdown()
    found = [json.loads(line) for path in (tmp_path / "out").iterdir() for line in path.read_text().splitlines()]
    expected = [row["label"] for row in hf_rnn.load(str(classifier[0])).predict(texts)]
    assert [row["label"] for row in sorted(found, key=lambda row: row["row"])] == expected
