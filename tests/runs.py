"""What tests that run commands share: where scripts and samples are, and arguments of tiny runs."""

import json
from pathlib import Path

SCRIPTS = Path(__file__).parents[1] / "scripts"
SAMPLES = Path(__file__).parents[1] / "hf_rnn" / "samples"
TINY = "--vocab_size 1500 --embedding_size 16 --hidden_size 16 --num_hidden_layers 1 --use_cpu true --disable_tqdm true".split()


def reviews(folder, *more):
    """Return arguments that train a tiny classifier on the reviews."""
    files = ["--train_file", str(SAMPLES / "nsmc_train.tsv"), "--test_file", str(SAMPLES / "nsmc_test.tsv")]
    limits = ["--max_train_samples", "800", "--max_eval_samples", "100", "--max_predict_samples", "150", "--validation_share", "0.2"]
    return [*files, *limits, *TINY, "--num_train_epochs", "2", "--output_dir", str(folder), *more]


def sentences(folder, *more):
    """Return arguments that train a tiny tagger on the treebank."""
    files = ["--train_file", str(SAMPLES / "ewt_train.conllu"), "--test_file", str(SAMPLES / "ewt_test.conllu")]
    return [*files, "--max_train_samples", "300", *TINY, "--num_train_epochs", "2", "--output_dir", str(folder), *more]


def predictions(folder):
    """Return the rows of the predictions file of a run."""
    return [json.loads(line) for line in (Path(folder) / "predictions.jsonl").read_text().splitlines()]
