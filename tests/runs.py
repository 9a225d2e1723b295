"""What tests that run commands share: where scripts and samples are, and arguments of tiny runs."""

import json
import random
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
    # texts may hold other ends of lines
    return [json.loads(line) for line in (Path(folder) / "predictions.jsonl").read_bytes().split(b"\n") if line]


NAMES = ("Kim Yuna", "Park", "민수", "김영희", "Anna-Lena", "O'Neill")
PLACES = ("Seoul", "New York", "부산", "Köln", "東京")
FRAMES = ("{} flew to {}.", "({}, {})", "{}이 {}에 갔다!", "In {1} lives {0}; who else?", "nobody went anywhere", "😀 {} —\r\n{}?")


def annotated_texts(count, seed=0):
    """Return rows of raw texts with the spans of names and places in them, some of which end inside words."""
    draw = random.Random(seed)
    rows = []
    for _ in range(count):
        frame, name, place = draw.choice(FRAMES), draw.choice(NAMES), draw.choice(PLACES)
        text = frame.format(name, place)
        spans = [[text.index(part), text.index(part) + len(part), kind] for part, kind in ((name, "PER"), (place, "LOC")) if part in text]
        rows.append({"text": text, "label": sorted(spans)})
    return rows


def spans(folder, *more):
    """Return arguments that train a tiny tagger of raw text."""
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    for split, count in (("train", 240), ("test", 60)):
        lines = [json.dumps(row) for row in annotated_texts(count, seed=count)]
        (folder.parent / f"{split}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    files = ["--train_file", str(folder.parent / "train.jsonl"), "--test_file", str(folder.parent / "test.jsonl")]
    sizes = [
        "--per_device_train_batch_size",
        "16",
        "--embedding_size",
        "32",
        "--hidden_size",
        "32",
        "--num_hidden_layers",
        "1",
        "--learning_rate",
        "0.02",
    ]
    dropouts = [f"--{name}_dropout=0" for name in ("embedding", "input", "hidden", "classifier")]
    return [
        *files,
        *sizes,
        *dropouts,
        "--use_cpu",
        "true",
        "--disable_tqdm",
        "true",
        "--num_train_epochs",
        "8",
        "--output_dir",
        str(folder),
        *more,
    ]
