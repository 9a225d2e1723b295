"""Make the model in `reference/nsmc`: a teacher, a small student of it, half precision; about 40 minutes on one core."""

import argparse
import gzip
import json
import re
import shutil
from itertools import islice
from pathlib import Path

import hf_rnn
from hf_rnn.commands import convert, text_classification
from hf_rnn.data.files.readers import read_rows

ROOT = Path(__file__).parents[1]
RECIPES = ROOT / "scripts" / "recipes"
SAMPLE_TEST = Path(hf_rnn.__file__).parent / "samples" / "nsmc_test.tsv"
LABELS = {"0": "negative", "1": "positive"}
# what is neither needed to load the model nor to understand it stays behind
KEPT = ("README.md", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "curves.png", "confusion_matrix.png")
UNLABELLED = 150_000
CODE = "Its code is that of the package; saved again with `save_pretrained`, or pushed, it takes the code along.\n"
MADE = """

## How it was made

`python scripts/build_reference.py --data_dir nsmc`, 40 minutes on one core: a teacher by `scripts/recipes/nsmc_teacher.yaml` from the
reviews with labels, then this model by `scripts/recipes/nsmc_reference.yaml` from the same reviews and 150,000 others without labels, nine
parts the teacher's answers and one part the labels. The 1,000 test reviews of `hf_rnn/samples` were left out of its training data. The test
split was read once. Weights are stored in half precision and computed in single precision (`"dtype": "float32"` in the config).

The reviews: Naver sentiment movie corpus (`github.com/e9t/nsmc`), CC0 1.0, raw reviews rated 9-10 (positive) and 1-4 (negative), not the
official split.
"""


def main() -> None:
    """Run both recipes on the full data, and keep the student."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data_dir", type=Path, required=True, help="folder with train.tsv and test.tsv (document, label), unlabeled.txt.gz"
    )
    parser.add_argument("--work_dir", type=Path, default=Path("outputs/reference"), help="folder for both trainings")
    parser.add_argument("--output_dir", type=Path, default=ROOT / "reference" / "nsmc", help="folder for the model")
    arguments = parser.parse_args()
    work = arguments.work_dir
    work.mkdir(parents=True, exist_ok=True)
    # the reviews on which the quickstart compares are left out, so that they are new to the model
    held = {row["document"] for row in read_rows(str(SAMPLE_TEST))}
    write_reviews(arguments.data_dir / "train.tsv", work / "train.tsv", held)
    write_reviews(arguments.data_dir / "test.tsv", work / "test.tsv", set())
    with gzip.open(arguments.data_dir / "unlabeled.txt.gz", "rt", encoding="utf-8") as source:
        (work / "unlabeled.txt").write_text("".join(islice(source, UNLABELLED)), encoding="utf-8")
    teacher, student, half = (work / name for name in ("teacher", "student", "half"))
    train, test = ["--train_file", str(work / "train.tsv")], ["--test_file", str(work / "test.tsv")]
    text_classification.main([str(RECIPES / "nsmc_teacher.yaml"), *train, "--output_dir", str(teacher)])
    taught = ["--teacher_name_or_path", str(teacher), "--unlabeled_file", str(work / "unlabeled.txt")]
    text_classification.main([str(RECIPES / "nsmc_reference.yaml"), *train, *test, *taught, "--output_dir", str(student)])
    convert.main(["--model_name_or_path", str(student), "--output_dir", str(half)])
    arguments.output_dir.mkdir(parents=True, exist_ok=True)
    for name in KEPT:
        shutil.copy(half / name, arguments.output_dir / name)
    card = arguments.output_dir / "README.md"
    card.write_text(amend_card(card.read_text(encoding="utf-8"), (half / "model.safetensors").stat().st_size), encoding="utf-8")
    config = json.loads((half / "config.json").read_text(encoding="utf-8"))
    # stored in half precision, computed in single: what a CPU is quick at
    (arguments.output_dir / "config.json").write_text(json.dumps({**config, "dtype": "float32"}, indent=2) + "\n", encoding="utf-8")


def amend_card(text: str, size: int) -> str:
    """Return the card of the student as that of the reference: its code is the package's, and how it was made is told."""
    text = re.sub(r'model="[^"]*"', 'model="reference/nsmc"', text)
    text = re.sub(r"Without it, by the code.*?\n```\n", CODE, text, count=1, flags=re.DOTALL)
    text = re.sub(r"[\d.]+ MiB on disk", f"{size / 2**20:.1f} MiB on disk in half precision", text)
    return text.rstrip() + MADE


def write_reviews(source: Path, target: Path, left_out: set[str]) -> None:
    """Copy reviews with their labels in words, without some."""
    with open(target, "w", encoding="utf-8") as file:
        file.write("document\tlabel\n")
        for row in read_rows(str(source)):
            if row["document"] not in left_out:
                file.write(f"{row['document']}\t{LABELS[row['label']]}\n")


if __name__ == "__main__":
    main()
