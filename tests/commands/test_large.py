"""The full data sets, where they are: read whole, and (slow) trained on to the accuracy that the README states, less its spread."""

import pytest

from hf_rnn.commands import text_classification, token_classification
from hf_rnn.data.files.readers import read_rows


@pytest.mark.parametrize(
    ("file", "count"), [("nsmc/train.tsv", 150_000), ("nsmc/test.tsv", 50_000), ("snips/train.jsonl", 13_084), ("snips/valid.jsonl", 700)]
)
def test_rows_are_all_read(large_data, file, count):
    """No row is lost to quotes or odd characters."""
    assert sum(1 for _ in read_rows(str(large_data / file))) == count


@pytest.mark.parametrize(
    ("file", "sentences", "words"),
    [
        ("ud_english_ewt/train.conllu", 12_544, 204_577),
        ("ud_english_ewt/dev.conllu", 2_001, 25_147),
        ("ud_korean_gsd/train.conllu", 4_400, 56_687),
    ],
)
def test_treebanks_have_their_official_counts(large_data, file, sentences, words):
    """Multi-word tokens and empty nodes are not counted."""
    lengths = [len(row["form"]) for row in read_rows(str(large_data / file))]
    assert (len(lengths), sum(lengths)) == (sentences, words)


@pytest.mark.slow
def test_reviews_reach_their_accuracy(large_data, tmp_path):
    """One epoch on all reviews is within two points of the final accuracy; validation only, the test file is not read."""
    arguments = ["--train_file", str(large_data / "nsmc" / "train.tsv"), "--do_train", "--do_eval", "--num_train_epochs", "1"]
    assert text_classification.main([*arguments, "--output_dir", str(tmp_path)])["eval_accuracy"] > 0.855


@pytest.mark.slow
def test_tagger_reaches_its_accuracy(large_data, tmp_path):
    """Four epochs on the English Web Treebank."""
    files = [
        "--train_file",
        str(large_data / "ud_english_ewt/train.conllu"),
        "--validation_file",
        str(large_data / "ud_english_ewt/dev.conllu"),
    ]
    arguments = [*files, "--do_train", "--do_eval", "--num_train_epochs", "4", "--per_device_train_batch_size", "32"]
    assert token_classification.main([*arguments, "--output_dir", str(tmp_path)])["eval_accuracy"] > 0.935
