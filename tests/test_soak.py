"""A day in one process: memory stays flat."""

import gc
import random
from pathlib import Path

import pytest
from runs import SAMPLES, reviews, sentences

import hf_rnn
from hf_rnn.commands import text_classification, token_classification
from hf_rnn.data.files.readers import read_rows


def resident():
    """Return the resident memory of this process in MiB."""
    gc.collect()
    fields = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) / 1024


@pytest.mark.slow
def test_predictions(classifier, tagger):
    """20,000 mixed predictions, one by one and in batches, of all lengths: once warm, memory does not grow by more than 50 MiB."""
    models = [hf_rnn.load(str(folder)) for folder, _ in (classifier, tagger)]
    texts = [row["document"] for row in read_rows(str(SAMPLES / "nsmc_test.tsv"))] + ["", "a " * 500, "x" * 3000, "\ufffd"]
    generator = random.Random(0)
    done, memory = 0, []
    while done < 20_000:
        model, count = generator.choice(models), generator.choice((1, 1, 7, 64))
        done += len(model.predict([generator.choice(texts) for _ in range(count)]))
        if done // 2000 > len(memory):
            memory.append(resident())
    assert memory[-1] - memory[2] < 50, memory


@pytest.mark.slow
def test_trainings(tmp_path):
    """50 short trainings: the last forty do not add more than 100 MiB."""
    memory = []
    for index in range(50):
        command, arguments = ((text_classification, reviews), (token_classification, sentences))[index % 2]
        limits = ["--max_train_samples", "60", "--max_predict_samples", "20", "--num_train_epochs", "1", "--save_strategy", "no"]
        command.main(arguments(tmp_path / str(index), *limits, "--do_train", "--do_predict"))
        memory.append(resident())
    assert memory[-1] - memory[9] < 100, memory
