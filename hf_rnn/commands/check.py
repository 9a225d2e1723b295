"""Look for errors in labelled rows before a model learns them: wrong labels, tags and spans, texts that stand twice or are too long.

Example:
    hf-rnn check --train_file reviews.csv --test_file test.csv --output_dir outputs/check
"""

import sys
from dataclasses import dataclass
from pathlib import Path

from datasets import disable_progress_bars

from ..arguments import DataArguments, LabelledTrainingArguments
from ..data.files.writers import write_table
from ..data.visible import visible
from ..data.writing import check_output_dir, written_whole
from ..evaluation.checking import Findings, WrongLabel, check_rows
from ..evaluation.findings import FIELDS, accuracy_line, findings_page, lines_of
from ..evaluation.kept_answers import read_answers
from ..options import check_given, option, parse_arguments, pick
from ..tasks.text_classification import MAX_LENGTH
from ..training.outputs import SAME_COMMAND, writing_to

TABLE, PAGE = "check.csv", "check.html"
SHOWN = 10


@dataclass
class CheckArguments:
    """How labels are judged."""

    out_of_fold: str | None = option(
        "Folder of a training with --folds on these rows, whose answers count as much as those of the linear models.", essential=True
    )


READ = (
    *("text_column_name", "label_column_name", "sentence_column_name", "label_names", "missing_labels", "annotators", "overlapping_spans"),
    *("encoding", "separator"),
)
KINDS = (
    pick(DataArguments, "train_file", "validation_file", "test_file", "split_seed", *READ),
    CheckArguments,
    pick(LabelledTrainingArguments, output_dir="check", folds=5),
)


def main(argv: list[str] | None = None) -> Findings:
    """Run the command; return what is found."""
    data, checking, run = parse_arguments(argv, __doc__, *KINDS)
    check_given(data, train_file="labelled rows to check")
    files = {split: path for split in ("train", "validation", "test") if (path := getattr(data, f"{split}_file"))}
    reading = DataArguments(**{name: getattr(data, name) for name in READ}).reading
    answers = read_answers(checking.out_of_fold) if checking.out_of_fold else None
    check_output_dir(run.output_dir, "output_dir", *files.values(), written=(TABLE, PAGE))
    if not sys.stderr.isatty():
        disable_progress_bars()
    with writing_to(run.output_dir, SAME_COMMAND):
        findings = check_rows(files, reading, run.folds, data.split_seed, answers)
        folder = Path(run.output_dir)
        write_table(folder / TABLE, lambda: lines_of(findings), names=FIELDS)
        with written_whole(folder / PAGE) as file:
            file.write(findings_page(findings))
        print("\n".join(visible(line) for line in describe(findings)))
        print(f"Wrote {TABLE} and {PAGE} to {folder}.")
    return findings


def describe(findings: Findings) -> list[str]:
    """Return what is found, in lines."""
    count = findings.counts["train"]
    told, wrong = [accuracy_line(findings)], [each for each in findings.wrong_labels if each.is_likely]
    what = f"of {count:,} labels are" if findings.kind == "label" else f"{findings.kind} are"
    told.append(f"{len(wrong):,} {what} likely errors{', such as' if wrong else '.'}")
    for wrong_label in wrong[:SHOWN]:
        told.append(_line_of(wrong_label))
    for kind, what in (("other label", "the same text with different labels"), ("both splits", "the same text in two splits")):
        twins = [each for each in findings.twins if each.kind == kind]
        told.append(f"{len(twins):,} times {what}{', such as' if twins else '.'}")
        for each in twins[:SHOWN]:
            places = " and ".join(f"{row.split} {row.where} ({row.label[:60]})" for row in (each.first, each.second))
            texts = each.first.text[:80] if each.similarity == 1 else f"{each.first.text[:60]} | {each.second.text[:60]}"
            told.append(f"  {places}: {texts}")
    if findings.too_long:
        longest, words = findings.too_long[0]
        most = f"the longest, {longest.split} {longest.where}, has {words:,}"
        told.append(
            f"{len(findings.too_long):,} texts have more words than the {MAX_LENGTH} tokens that a classifier reads by default; {most}."
        )
    if findings.confused:
        told.append("Taken for each other most often:")
        told += [f"  {label} for {answer}: {number:,} of {size:,}" for label, answer, number, size in findings.confused]
    if findings.unjudged:
        few = ", ".join(f"{label} {number}" for label, number in list(findings.unjudged.items())[:SHOWN])
        told.append(f"Of too few rows to be judged: {few}.")
    return told


def _line_of(wrong: WrongLabel) -> str:
    """Return where a label is likely wrong, and what it should be."""
    where = f"{wrong.row.where}, {wrong.place[:40]}" if wrong.place else wrong.row.where
    return f"  {where}: {wrong.given[:60]}, not {wrong.suggested[:60]}?  {wrong.row.text[:80]}"
