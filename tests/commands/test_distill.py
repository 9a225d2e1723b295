"""`hf-rnn distill` trains a teacher where there is none, a student from its vectors and answers, and ends with a table of both."""

import json
import shutil

import pytest
import torch
from runs import SAMPLES
from transformers import BertConfig, BertModel

import hf_rnn
from hf_rnn import RnnConfig, RnnForTokenClassification
from hf_rnn.commands import cli, distill, token_classification
from hf_rnn.data.files.readers import read_rows
from hf_rnn.data.locking import LOCK
from hf_rnn.data.rows.splits import draw_validation
from hf_rnn.data.tokenizers.encoder_vectors import borrow_word_vectors, list_words
from hf_rnn.data.tokenizers.training import train_tokenizer
from hf_rnn.distillation import distill as distilling
from hf_rnn.distillation import teachers
from hf_rnn.distillation.teaching import Teaching
from hf_rnn.distillation.training import GROUPS, bundle
from hf_rnn.inference.loading import load
from hf_rnn.linear.choice import choose_linear_fit
from hf_rnn.models.hashing import UNUSED_KEY
from hf_rnn.models.layouts import Packed
from hf_rnn.options import parse_arguments
from hf_rnn.tasks.defaults import features_beside
from hf_rnn.training import rows as training_rows
from hf_rnn.training.train import train_task


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
    tokenizer = train_tokenizer([row["document"] for row in rows[:200]], "wordpiece", 1400)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    BertModel(BertConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(folder / "encoder")
    tokenizer.save_pretrained(folder / "encoder")
    options = {"embedding_size": 16, "hidden_size": 16, "num_hidden_layers": 1, "num_train_epochs": 1, "vocab_size": 1370, "use_cpu": True}
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
    drawn = []

    def draw(*values):
        drawn.append(draw_validation(*values))
        return drawn[-1]

    with monkeypatch.context() as patch:
        patch.setattr(training_rows, "draw_validation", draw)
        lines = run(data, tmp_path / "student")
    # checked, then of the teacher and of the student: none has learnt the rows by which the student is judged
    assert len(drawn) == 3 and drawn[0].any() and (drawn[0] == drawn).all()
    assert list(lines) == ["student", "teacher"]
    assert lines["teacher"]["agreement"] == 1
    assert 0 <= lines["student"]["accuracy"] <= 1
    assert lines["student"]["parameters"] < lines["teacher"]["parameters"]
    assert all(line["texts/s alone"] > 0 and line["texts/s in batches"] > 0 for line in lines.values())
    card = (tmp_path / "student" / "README.md").read_text()
    assert "## Beside its teacher" in card
    assert "Trained from the vectors of `encoder` with hf_rnn." in card
    assert "- answers of `teacher`" in card and "- 60 rows made up from the training rows, answered likewise" in card
    assert card.count("| student |") == card.count("| teacher |") == 1
    student = load(str(tmp_path / "student"))
    assert student.model.config.vocab_size == len(student.tokenizer) == 1370
    assert student.model.config.model_type == "hf_rnn"

    def never(*_):
        raise AssertionError("the teacher was asked again")

    monkeypatch.setattr(teachers.HeadTeacher, "answer", never)
    shutil.copytree(tmp_path / "student" / "teacher", tmp_path / "again" / "teacher")
    again = run(data, tmp_path / "again")
    assert again["teacher"]["accuracy"] == lines["teacher"]["accuracy"]


@pytest.mark.thorough
def test_a_run_that_broke_off_goes_on(data, tmp_path):
    """With checkpoints and no results neither teacher nor student starts anew, and both end as they did."""
    lines = run(data, tmp_path / "student")
    for folder in (tmp_path / "student", tmp_path / "student" / "teacher"):
        assert list(folder.glob("checkpoint-*"))
        (folder / "all_results.json").unlink()
    # as versions without a note left it
    (tmp_path / "student" / "distillation.json").unlink()
    again = run(data, tmp_path / "student")
    for name, values in lines.items():
        assert again[name]["accuracy"] == values["accuracy"] and again[name]["agreement"] == values["agreement"]
    # what is finished is not written over
    with pytest.raises(ValueError, match=r"distillation.json says that the run there is finished. Pass another --output_dir"):
        run(data, tmp_path / "student")


def files(folder):
    """Return what the files of a folder hold."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.thorough
def test_what_broke_off_after_the_training_is_finished(data, tmp_path, monkeypatch):
    """Nothing is trained again; the end is as it would have been; other rows or options are refused."""
    student, train = tmp_path / "student", data / "train.jsonl"

    def broken(*_):
        raise OSError("no power")

    for name in ("compare", "describe"):
        with monkeypatch.context() as patch:
            patch.setattr(distilling, name, broken)
            with pytest.raises(OSError, match="no power"):
                run(data, student)
        # nothing is trained twice
        monkeypatch.setattr(distilling, "train_by_options", None)
    before, rows = files(student), train.read_bytes()
    train.write_bytes(rows.splitlines(keepends=True)[0] + rows)
    with pytest.raises(ValueError, match=r"distillation.json is of a run with another train_file. Pass the same"):
        run(data, student)
    train.write_bytes(rows)
    with pytest.raises(ValueError, match=r"is of a run with another augment and seed. Pass the same"):
        run(data, student, "--augment", "61", "--seed", "3")
    assert files(student) == before
    # as of a run that was killed when its teacher was whole
    (student / "teacher" / LOCK).touch()
    lines = run(data, student)
    assert not list(student.rglob(LOCK))
    assert list(lines) == ["student", "teacher"]
    card = (student / "README.md").read_text()
    assert card.count("## Beside its teacher") == card.count("| student |") == 1
    assert json.loads((student / "distillation.json").read_text())["result"] == lines
    assert str(data) not in (student / "distillation.json").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"embedding_size": 33}, "`embedding_size` must be at most 32, the width of '.*encoder', got 33. Pass a smaller one."),
        ({"hidden_siz": 4}, "There is no option --hidden_siz here"),
        ({"pooling": "last", "use_crf": True}, "`use_crf` means nothing to text-classification"),
    ],
)
def test_the_student_is_checked_before_a_teacher_is_trained(options, message, data, tmp_path):
    """Its options, in the file, are told before minutes are spent; nothing is left."""
    (tmp_path / "wrong.json").write_text(json.dumps({**json.loads((data / "options.json").read_text()), **options}))
    with pytest.raises(ValueError, match=message):
        run(data, tmp_path / "student", "--options_file", str(tmp_path / "wrong.json"))
    assert not (tmp_path / "student").exists()


def test_spans_are_refused_before_a_teacher_is_trained(data, tmp_path, monkeypatch):
    """No teacher answers units of raw text: that is said at once."""
    rows = [{"text": "We flew to Seoul", "label": [[11, 16, "place"]]}] * 12
    (tmp_path / "spans.jsonl").write_text("\n".join(map(json.dumps, rows)))
    monkeypatch.setattr(distilling, "train_by_options", None)
    files = {name: str(tmp_path / "spans.jsonl") for name in ("train", "test")}
    with pytest.raises(ValueError, match="`teacher_name_or_path` is there for texts and tokens, and these rows are spans of raw text"):
        hf_rnn.distill(str(data / "encoder"), task="token-classification", **files, output_dir=str(tmp_path / "student"), use_cpu=True)
    assert not (tmp_path / "student").exists()


def test_rows_in_memory(data, tmp_path):
    """`hf_rnn.distill` takes lists of rows and of texts, and the same call again says that all is done."""
    rows = list(read_rows(str(data / "train.jsonl")))
    options = json.loads((data / "options.json").read_text())
    given = {"train": rows[:60], "test": rows[60:80], "unlabeled": ["아주 좋은 영화"] * 3, "augment": 0, "fine_tune": False}
    result = hf_rnn.distill(str(data / "encoder"), **given, output_dir=str(tmp_path / "student"), **options)
    assert list(result.table) == ["student"]
    assert result.predictor("좋은 영화")[0]["label"] in {row["label"] for row in rows}
    with pytest.raises(ValueError, match="says that the run there is finished"):
        hf_rnn.distill(str(data / "encoder"), **given, output_dir=str(tmp_path / "student"), **options)


def test_the_folder_of_another_training_is_no_student(data, classifier, tmp_path):
    """It is refused before a teacher is trained, and stays as it is."""
    shutil.copytree(classifier[0], tmp_path / "student")
    before = files(tmp_path / "student")
    with pytest.raises(ValueError, match="holds checkpoints of an earlier run"):
        run(data, tmp_path / "student")
    assert files(tmp_path / "student") == before


def test_a_narrow_encoder(data, tmp_path):
    """A student has vectors no wider than its teacher's where nothing else is asked for."""
    options = json.loads((data / "options.json").read_text())
    del options["embedding_size"]
    (tmp_path / "options.json").write_text(json.dumps(options))
    run(data, tmp_path / "student", "--options_file", str(tmp_path / "options.json"), "--fine_tune", "false", "--augment", "0")
    assert load(str(tmp_path / "student")).model.config.embedding_size == 32


def test_as_many_rows_as_there_is_time_for(data, tmp_path, monkeypatch):
    """The teacher's speed says how many rows are made up, within bounds; a run that is begun again goes by what was found at first."""
    monkeypatch.setattr(distilling, "FEWEST", 1000)
    counts, rates = [], iter([1e-3, 3.5, 1e9])
    monkeypatch.setattr(distilling, "train_by_options", lambda task, options: counts.append(options["augment"]) or 1 / 0)
    monkeypatch.setattr(Teaching, "rate", lambda *_: next(rates))
    rows = {name: str(data / f"{name}.jsonl") for name in ("train", "test")}
    for folder in ("slow", "usual", "fast", "fast"):
        with pytest.raises(ZeroDivisionError):
            hf_rnn.distill(str(data / "encoder"), **rows, fine_tune=False, output_dir=str(tmp_path / folder), embedding_size=16)
    assert counts == [1000, 2000, 120_000, 120_000]


@pytest.mark.thorough
def test_several_teachers(data, tmp_path):
    """One that has a head is asked as it is, an encoder is trained; their mean probability counts, and both stand in the table."""
    lines = run(data, tmp_path / "first")
    trained = str(tmp_path / "first" / "teacher")
    both = run(data, tmp_path / "student", "--teacher", str(data / "encoder"), trained)
    assert list(both) == ["student", "teacher", "teacher 2"]
    assert (tmp_path / "student" / "teacher").is_dir() and not (tmp_path / "student" / "teacher-2").exists()
    assert both["teacher 2"]["accuracy"] == lines["teacher"]["accuracy"]
    assert "- answers of `teacher`, `teacher`" in (tmp_path / "student" / "README.md").read_text()
    with pytest.raises(ValueError, match="`teacher` names no model. Pass an encoder or a trained model"):
        hf_rnn.distill([], train=str(data / "train.jsonl"), test=str(data / "test.jsonl"), output_dir=str(tmp_path / "none"))


def test_the_speed_of_a_teacher(data):
    """Texts a second, as it is asked, of as many as there are."""
    texts = [row["text"] for row in read_rows(str(data / "train.jsonl"))]
    teacher = teachers.EmbeddingTeacher(str(data / "encoder"), ["0", "1"])
    asked = []
    answer, teacher.answer = teacher.answer, lambda texts: asked.append(len(texts)) or answer(texts)
    assert teachers.answers_a_second(teacher, texts) > 1
    assert asked == [16, 200]


def test_vectors_alone(data, tmp_path):
    """Without fine-tuning a regression on the vectors answers, and the student stands alone in the table."""
    lines = run(data, tmp_path / "student", "--fine_tune", "false")
    assert list(lines) == ["student"]
    assert not (tmp_path / "student" / "teacher").exists()


def test_words_of_a_tagger(data, tmp_path):
    """A tagger keeps a tokenizer of its own; its words, and those that only the encoder knows, have the encoder's vectors."""
    rows = [{"tokens": ["좋은", "영화"], "tags": ["ADJ", "NOUN"]}, {"tokens": ["영화", "좋은"], "tags": ["NOUN", "ADJ"]}] * 8
    (tmp_path / "tags.jsonl").write_text("\n".join(map(json.dumps, rows)))
    tagging = ["--train_file", str(tmp_path / "tags.jsonl"), "--embeddings_from", str(data / "encoder"), "--use_cpu", "true"]
    sizes = ["--hidden_size", "8", "--num_hidden_layers", "1", "--num_train_epochs", "1", "--embedding_size", "16", "--linear_size", "0"]
    output = ["--do_train", "--output_dir", str(tmp_path / "tagger")]
    token_classification.main([*tagging, *sizes, *output, "--word_vocab_size", "50", "--learning_rate", "1e-9"])
    student = load(str(tmp_path / "tagger"))
    # all others have letters that the tokenizer does not know
    unknown = student.tokenizer.unk_token_id
    known = [word for word in list_words(str(data / "encoder")) if unknown not in student.tokenizer(word)["input_ids"]]
    words = list(dict.fromkeys(["영화", "좋은", *known]))[:50]
    assert len(words) > 2
    embeddings = student.model.model.embeddings
    assert (embeddings.word_keys < UNUSED_KEY).sum() == len(words)
    expected = borrow_word_vectors(str(data / "encoder"), words, 16)
    # in the order of hashes; what is learnt at no rate is what was borrowed
    found = embeddings.whole_word_embeddings.weight[1 : len(words) + 1]
    assert torch.allclose(found.norm(dim=1).sort().values, expected.norm(dim=1).sort().values, atol=1e-5)


def test_units_of_raw_text(data, tmp_path):
    """A tagger of raw text keeps its units, and these have the encoder's vectors."""
    rows = [{"text": "좋은영화 영화", "label": [[0, 2, "A"], [2, 4, "N"]]}, {"text": "영화 좋은", "label": [[0, 2, "N"]]}] * 8
    (tmp_path / "spans.jsonl").write_text("\n".join(map(json.dumps, rows)))
    tagging = ["--train_file", str(tmp_path / "spans.jsonl"), "--embeddings_from", str(data / "encoder"), "--use_cpu", "true"]
    sizes = ["--hidden_size", "8", "--num_hidden_layers", "1", "--num_train_epochs", "1", "--embedding_size", "16"]
    token_classification.main([*tagging, *sizes, "--word_vocab_size", "50", "--do_train", "--output_dir", str(tmp_path / "tagger")])
    student = load(str(tmp_path / "tagger"))
    embeddings = student.model.model.embeddings
    encoding = student.tokenizer("좋은 영화", return_tensors="pt")
    layout = Packed(encoding["attention_mask"].bool(), encoding["input_ids"], embeddings.piece_types)
    hashes = embeddings._hash(encoding["input_ids"].flatten(), layout)
    # two units and the end
    assert torch.isin(hashes, embeddings.word_keys).tolist() == [True, True, False]


def test_a_transformer_is_trained_as_one(data, tmp_path):
    """The encoder as a model to go on from has the learning rate of a narrow transformer, and more epochs of few rows."""
    options = ["--model_name_or_path", str(data / "encoder"), "--train_file", str(data / "train.jsonl"), "--use_cpu", "true"]
    groups = parse_arguments([*options, "--do_train", "--max_steps", "1", "--output_dir", str(tmp_path)], None, *GROUPS)
    chosen, _, _ = bundle(*groups)
    train_task("text-classification", chosen)
    training = chosen.training
    assert (training.learning_rate, training.per_device_train_batch_size, training.num_train_epochs) == (3e-4, 32, 20)


@pytest.mark.parametrize(("asked", "features"), [(None, 2**21 // 72), (90_000, 90_000)])
def test_the_linear_tagger_of_a_student_stays_small(asked, features):
    """With many labels it has fewer features, unless so many are asked for."""
    model = RnnForTokenClassification(RnnConfig(vocab_size=50, embedding_size=4, hidden_size=4, num_hidden_layers=1, num_labels=72))
    usual = features_beside(2**17, model.config.num_labels)
    assert choose_linear_fit(model, train_tokenizer(["a b"], "bpe", 50), asked, usual, knows_more=True).size == features


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
