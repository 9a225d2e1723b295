"""A disk that fills while a checkpoint is written: the one before it is whole, and said to be what to go on from."""

import json
import resource

import pytest
from breaking import call

from hf_rnn.training.checkpoints import last_complete_checkpoint
from hf_rnn.training.trainer import RnnTrainer

SMALL = "--embedding_size 8 --hidden_size 8 --num_hidden_layers 1 --linear_size 0 --vocab_size 200 --num_train_epochs 2".split()


def fill_at_the_second():
    """Let no file become longer than a tokenizer from the second checkpoint on."""
    save, seen = RnnTrainer._save_checkpoint, []

    def fill(self, *values):
        seen.append(1)
        if len(seen) == 2:
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
        save(self, *values)

    RnnTrainer._save_checkpoint = fill


@pytest.mark.thorough
def test_a_disk_that_fills_in_a_checkpoint(tmp_path):
    """One line with the remedy; with room again it goes on to its end."""
    rows = [{"text": f"a {word} film {number}", "label": word} for number in range(20) for word in ("good", "bad")]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "place").mkdir()
    command = ["text-classification", "--train_file", "../rows.jsonl", "--output_dir", "out", "--do_train", "--use_cpu", "true", *SMALL]
    done = call(command, tmp_path / "place", setup=fill_at_the_second)
    assert done.status == 1 and "Traceback" not in done.said, done.said
    first, second = sorted((tmp_path / "place" / "out").glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    way_on = f"Pass --resume_from_checkpoint last to go on from out/{first.name}."
    assert f"error: 'out' cannot be written: File too large. Make room there. {way_on}" in done.said.splitlines(), done.said
    assert last_complete_checkpoint(str(first.parent)) == str(first)
    done = call([*command, "--resume_from_checkpoint", "last"], tmp_path / "place")
    assert done.status == 0, done.said
    assert last_complete_checkpoint(str(first.parent)) == str(second)
