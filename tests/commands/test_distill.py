"""`hf-rnn distill` trains a teacher where there is none, a student from its vectors and answers, and ends with a table of both."""

import json

import pytest
from runs import SAMPLES
from transformers import BertConfig, BertModel

from hf_rnn.commands import cli, distill
from hf_rnn.data.readers import read_rows
from hf_rnn.data.tokenization import train_tokenizer
from hf_rnn.inference.loading import load
from hf_rnn.training import teachers


@pytest.fixture(autouse=True)
def store(monkeypatch, tmp_path_factory):
    """Keep answers where the test does."""
    monkeypatch.setattr(teachers, "STORE", tmp_path_factory.mktemp("answers"))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Write reviews, options of a tiny student, and a tiny encoder; return the folder."""
    folder = tmp_path_factory.mktemp("distill")
    rows = list(read_rows(str(SAMPLES / "nsmc_train.tsv")))
    for name, part in (("train", rows[:200]), ("test", rows[200:260])):
        (folder / f"{name}.jsonl").write_text("\n".join(json.dumps({"text": r["document"], "label": r["label"]}) for r in part))
    tokenizer = train_tokenizer([row["document"] for row in rows[:200]], "wordpiece", 1200)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    BertModel(BertConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(folder / "encoder")
    tokenizer.save_pretrained(folder / "encoder")
    options = {"embedding_size": 16, "hidden_size": 16, "num_hidden_layers": 1, "num_train_epochs": 1, "use_cpu": True}
    (folder / "options.json").write_text(json.dumps(options))
    return folder


def run(data, output, *more):
    """Run the command."""
    files = [
        "--train_file",
        str(data / "train.jsonl"),
        "--test_file",
        str(data / "test.jsonl"),
        "--options_file",
        str(data / "options.json"),
    ]
    return distill.main(["--teacher", str(data / "encoder"), *files, "--augment", "60", "--output_dir", str(output), *more])


def test_one_command(data, tmp_path, monkeypatch):
    """A trained teacher, a student that needs it no more, a table in the card; done again, nobody is asked and nothing trained twice."""
    lines = run(data, tmp_path / "student")
    assert list(lines) == ["student", "teacher"]
    assert lines["teacher"]["agreement"] == 1
    assert 0 <= lines["student"]["accuracy"] <= 1
    assert lines["student"]["parameters"] < lines["teacher"]["parameters"]
    assert all(line["texts/s alone"] > 0 and line["texts/s in batches"] > 0 for line in lines.values())
    card = (tmp_path / "student" / "README.md").read_text()
    assert "## Beside its teacher" in card
    assert card.count("| student |") == card.count("| teacher |") == 1
    student = load(str(tmp_path / "student"))
    assert student.model.config.vocab_size == len(student.tokenizer)
    assert student.model.config.model_type == "hf_rnn"

    def never(*_):
        raise AssertionError("the teacher was asked again")

    monkeypatch.setattr(teachers.HeadTeacher, "answer", never)
    teacher = str(tmp_path / "student" / "teacher")
    again = run(data, tmp_path / "again", "--teacher", teacher)
    assert again["teacher"]["accuracy"] == lines["teacher"]["accuracy"]


def test_vectors_alone(data, tmp_path):
    """Without fine-tuning a regression on the vectors answers, and the student stands alone in the table."""
    lines = run(data, tmp_path / "student", "--fine_tune", "false")
    assert list(lines) == ["student"]
    assert not (tmp_path / "student" / "teacher").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "`teacher` is needed: an encoder or a trained model. Pass --teacher."),
        (["--teacher", "x"], "`train_file` is needed: labelled rows. Pass --train_file."),
        (["--teacher", "x", "--train_file", "y"], "`test_file` is needed"),
    ],
)
def test_wrong_calls(arguments, message, capsys):
    """One line says what is wrong."""
    assert cli.main(["distill", *arguments]) == 1
    assert message in capsys.readouterr().err
