"""Masked language models: a row never sees its batch, only labelled positions cost, the body serves other heads."""

import gzip
import json
import math
import shlex
from contextlib import redirect_stdout
from io import StringIO
from types import SimpleNamespace

import pytest
import torch
from datasets import Dataset
from runs import SAMPLES, TINY
from safetensors.torch import load_file
from tiny import assert_close, build, gradients, rows_and_batches
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSequenceClassification, AutoTokenizer, pipeline

from hf_rnn import RnnConfig, RnnForMaskedLM, train_tokenizer
from hf_rnn.commands import cli, language_model, token_classification
from hf_rnn.commands import train_tokenizer as train_tokenizer_command
from hf_rnn.data.files.readers import DataError, read_rows
from hf_rnn.options import parse_arguments


@pytest.mark.parametrize("cell_type", ["lstm", "gru"])
@pytest.mark.parametrize("tied", [True, False])
def test_row_alone_equals_row_in_batch(cell_type, tied):
    """Loss and gradient are those of the rows one by one, in training and evaluation, and those of all logits."""
    model = build(RnnForMaskedLM, cell_type=cell_type, tie_word_embeddings=tied)
    assert (model.decoder.weight is model.get_input_embeddings().weight) is tied
    for training in (True, False):
        model.train(training)
        for rows, ids, mask, order, places in rows_and_batches():
            hidden = [torch.where(torch.arange(len(row)) % 2 == 0, row, -100) for row in rows]
            # labels at masked positions count for nothing
            labels = torch.full_like(ids, 1)
            for index, row in enumerate(order):
                labels[index, places[index]] = hidden[row]
            count = sum((row != -100).sum() for row in hidden)
            together = model(ids, mask, labels=labels)
            alone = [model(row[None], labels=wanted[None], num_items_in_batch=count) for row, wanted in zip(rows, hidden, strict=True)]
            total = sum(output.loss for output in alone)
            assert_close(together.loss, total)
            assert_close(gradients(together.loss, model), gradients(total, model))
            assert (together.logits is None) is training
            logits = model.eval()(ids, mask).logits
            assert_close(together.loss, nn.functional.cross_entropy(logits[mask == 1], labels[mask == 1]))
            model.train(training)


def test_no_labels_are_a_zero_loss():
    """A batch in which nothing is hidden, or that has no rows, trains on."""
    model = build(RnnForMaskedLM).train()
    for shape in ((2, 3), (0, 3), (2, 0)):
        ids = torch.ones(shape, dtype=torch.long)
        loss = model(ids, labels=torch.full_like(ids, -100)).loss
        loss.backward()
        assert loss.item() == 0


def test_words_are_refused():
    """A recurrence over words cannot tell pieces apart."""
    with pytest.raises(ValueError, match="predicts pieces, but `word_pooling` makes words of them; got 'mean'"):
        RnnForMaskedLM(RnnConfig(vocab_size=9, word_pooling="mean"))


@pytest.mark.parametrize("tied", [True, False])
def test_save_load_and_resize(tied, tmp_path):
    """A tied matrix is stored once and stays tied; new pieces widen both ends."""
    model = build(RnnForMaskedLM, dtype=torch.float32, tie_word_embeddings=tied).eval()
    model.save_pretrained(tmp_path)
    ids = torch.tensor([[1, 2, 3]])
    loaded, report = AutoModelForMaskedLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report.values())
    assert torch.equal(loaded(ids).logits, model(ids).logits)
    loaded.resize_token_embeddings(23)
    assert loaded(ids).logits.shape[-1] == 23
    assert (loaded.decoder.weight is loaded.get_input_embeddings().weight) is tied


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """Pretrain on a compressed text file and a table; return folder and metrics."""
    folder = tmp_path_factory.mktemp("pretrained")
    texts = [row["document"] for row in read_rows(str(SAMPLES / "nsmc_train.tsv"))]
    with gzip.open(folder / "texts.txt.gz", "wt", encoding="utf-8") as file:
        file.write("\n".join(["", *texts[:600], "  "]))
    arguments = ["--train_files", str(folder / "texts.txt.gz"), str(SAMPLES / "nsmc_test.tsv"), "--do_train", "--do_eval", *TINY]
    more = ["--validation_rows", "50", "--max_length", "30", "--num_train_epochs", "6", "--learning_rate", "0.02"]
    return folder / "body", language_model.main([*arguments, *more, "--output_dir", str(folder / "body")])


def test_evaluations_hide_the_same_pieces(tmp_path):
    """The loss of the same weights is the same whenever it is measured, and training draws on as if it had not been."""
    tokenizer = train_tokenizer(["a good film", "a bad film"] * 20, "wordpiece", 100)
    torch.manual_seed(5)
    rows = Dataset.from_dict({"input_ids": [torch.randint(5, len(tokenizer), (9,)).tolist() for _ in range(20)]})
    trainer = language_model.PretrainingTrainer(
        args=language_model.PretrainingArguments(output_dir=str(tmp_path), use_cpu=True, disable_tqdm=True),
        model=RnnForMaskedLM(RnnConfig(vocab_size=len(tokenizer), embedding_size=6, hidden_size=8)),
        data_collator=language_model.MaskedObjective.collator(tokenizer, 0.2),
    )
    state = torch.get_rng_state()
    first = trainer.evaluate(rows)["eval_loss"]
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(3)
    assert trainer.evaluate(rows)["eval_loss"] == first


def test_pretraining_learns(pretrained):
    """Masked pieces are predicted better than by chance, and everything a user needs is written."""
    folder, metrics = pretrained
    assert metrics["eval_perplexity"] < 700
    assert json.loads((folder / "eval_results.json").read_text())["eval_perplexity"] == metrics["eval_perplexity"]
    assert 0 < metrics["eval_accuracy"] < 1
    assert (folder / "curves.png").stat().st_size > 1000
    settings = json.loads((folder / "tokenizer.json").read_text())
    assert settings["truncation"] is settings["padding"] is None
    answers = pipeline("fill-mask", model=str(folder), device="cpu")("정말 [MASK] 영화")
    assert len(answers) == 5
    assert answers[0]["score"] >= answers[-1]["score"] > 0


def test_long_texts_lose_nothing(pretrained):
    """A text beyond the limit goes on in the next row."""
    tokenizer = AutoTokenizer.from_pretrained(pretrained[0])
    text = "정말 재미있는 영화 " * 20
    (whole,) = tokenizer([text], truncation=False)["input_ids"]
    rows = language_model.MaskedObjective.encode({"text": [text]}, tokenizer=tokenizer, max_length=30)["input_ids"]
    assert max(map(len, rows)) == 30
    assert [piece for row in rows for piece in row[:-1]] == whole[:-1]


def test_the_body_serves_a_classifier(pretrained, tmp_path):
    """`--model_name_or_path` starts a classifier from the pretrained body, whose weights arrive unchanged."""
    classifier = AutoModelForSequenceClassification.from_pretrained(pretrained[0], num_labels=2)
    body = AutoModelForMaskedLM.from_pretrained(pretrained[0]).model
    for name, value in body.state_dict().items():
        assert torch.equal(classifier.model.state_dict()[name], value)
    assert all(parameter.isfinite().all() for parameter in classifier.parameters())


def test_the_body_serves_a_tagger_of_spans(pretrained, tmp_path):
    """Its head is that of a new one: a CRF whose scores are probabilities of spans, a linear tagger; who goes on from it keeps both."""
    rows = [{"tokens": ["정말", name, "좋은", "영화"], "tags": ["O", "B-PS", "O", "O"]} for name in ("철수", "영희", "민수") * 20]
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    arguments = [
        "--train_file",
        str(tmp_path / "rows.jsonl"),
        "--do_train",
        "--num_train_epochs",
        "1",
        "--use_cpu",
        "true",
        "--disable_tqdm",
        "true",
    ]
    for source, folder, more in (
        (pretrained[0], tmp_path / "tagger", []),
        (tmp_path / "tagger", tmp_path / "again", []),
        (pretrained[0], tmp_path / "plain", ["--use_crf", "false", "--linear_size", "0"]),
    ):
        token_classification.main([*arguments, *more, "--model_name_or_path", str(source), "--output_dir", str(folder)])
        config = AutoConfig.from_pretrained(folder)
        assert (config.use_crf, config.span_scores, config.linear_size > 0) == ((not more,) * 3)
        assert config.hidden_size == AutoConfig.from_pretrained(pretrained[0]).hidden_size


@pytest.fixture(scope="module")
def causal(tmp_path_factory):
    """Train a tiny causal language model; return its folder and metrics; what it printed is beside it."""
    folder = tmp_path_factory.mktemp("causal") / "body"
    files = ["--train_files", str(SAMPLES / "nsmc_test.tsv"), "--max_length", "20"]
    run = ["--do_train", "--do_eval", "--output_dir", str(folder), "--num_train_epochs", "2"]
    with redirect_stdout(StringIO()) as printed:
        metrics = language_model.main(["--objective", "causal", *files, *run, *TINY])
    (folder.parent / "printed.txt").write_text(printed.getvalue(), encoding="utf-8")
    return folder, metrics


def test_the_last_line_generates(causal, capsys):
    """What is printed as the next command goes on with a text of the data."""
    *_, following = (causal[0].parent / "printed.txt").read_text(encoding="utf-8").splitlines()
    python, option, code = shlex.split(following.removeprefix("Next:"))
    assert (python, option) == ("python", "-c")
    exec(code, {})
    prompt = code.partition(")('")[2].partition("'")[0]
    assert prompt and capsys.readouterr().out.startswith(prompt)


@pytest.mark.parametrize("objective", ["masked", "causal"])
def test_a_run_goes_on(objective, tmp_path, caplog, monkeypatch):
    """It ends as one that nobody broke off, without training the tokenizer again, and says nothing of weights that are tied."""
    files = ["--train_files", str(SAMPLES / "nsmc_test.tsv"), "--max_length", "20", "--objective", objective, "--do_train", *TINY]
    run = [*files, "--vocab_size", "800", "--tokenizer_type", "bpe", "--num_train_epochs", "2", "--save_total_limit", "2"]
    language_model.main([*run, "--output_dir", str(tmp_path / "whole")])
    (first, _) = sorted((tmp_path / "whole").glob("checkpoint-*"), key=lambda path: int(path.name.partition("-")[2]))
    (tmp_path / "broken").mkdir()
    first.rename(tmp_path / "broken" / first.name)
    monkeypatch.setattr(language_model, "train_tokenizer", None)
    caplog.clear()
    language_model.main([*run, "--output_dir", str(tmp_path / "broken"), "--resume_from_checkpoint", "last"])
    assert "The tokenizer is that of the checkpoint." in caplog.messages
    assert not [message for message in caplog.messages if "missing keys" in message]
    whole, broken = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "broken"))
    assert broken.keys() == whole.keys()
    for name, weight in whole.items():
        assert torch.equal(broken[name], weight), name
    files = [(tmp_path / name / "tokenizer.json").read_text(encoding="utf-8") for name in ("whole", "broken")]
    assert files[0] == files[1]


@pytest.mark.parametrize(("texts", "wanted", "held_out"), [(400, None, 40), (9, None, 1), (90_000, None, 5000), (400, 399, 399)])
def test_texts_held_out(texts, wanted, held_out):
    """A tenth of few texts, 5,000 of many."""
    assert language_model.count_held_out(range(texts), wanted) == held_out


def test_encoding_and_separator_are_those_given(tmp_path):
    """Files that could be read in two ways are read as the options say, by language models and by tokenizers."""
    path = tmp_path / "texts.csv"
    path.write_bytes("id|text\n1|dzień dobry, świecie\n2|żółw; łoś\n".encode("cp1250"))
    given = ["--encoding", "cp1250", "--separator", "|"]
    kinds = language_model.KINDS[:2]
    own, read = parse_arguments(["--train_files", str(path), *given], None, *kinds)
    texts = language_model.load_texts(SimpleNamespace(**vars(own), **vars(read)), None)
    assert texts["text"][:] == ["dzień dobry, świecie", "żółw; łoś"]
    train_tokenizer_command.main(
        ["--train_file", str(path), "--output_dir", str(tmp_path / "tokenizer"), "--tokenizer_type", "char", *given]
    )
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "tokenizer")
    assert {"ń", "ś", "ż"} <= set(tokenizer.tokenize("ńśż"))


def test_nothing_is_left_to_train_on(tmp_path, monkeypatch):
    """That is said before a tokenizer is trained."""
    (tmp_path / "texts.txt").write_text("one\ntwo\n")
    monkeypatch.setattr(language_model, "train_tokenizer", None)
    run = ["--train_files", str(tmp_path / "texts.txt"), "--do_train", "--do_eval", "--output_dir", str(tmp_path / "out")]
    with pytest.raises(DataError, match="`validation_rows` must be fewer than the 2 texts, got 2. Pass a smaller --validation_rows"):
        language_model.main([*run, "--validation_rows", "2"])


def test_causal_metrics_are_those_of_the_next_piece(causal):
    """Perplexity and accuracy on the held-out rows, better than chance; the card shows how to generate."""
    folder, metrics = causal
    assert metrics["eval_perplexity"] == pytest.approx(math.exp(metrics["eval_loss"]))
    assert metrics["eval_perplexity"] < 1500
    assert 0 < metrics["eval_accuracy"] < 1
    card = (folder / "README.md").read_text()
    assert "pipeline_tag: text-generation" in card
    assert 'pipeline("text-generation"' in card


def test_causal_body_generates_and_serves_heads(causal):
    """A prompt is not closed by a token, the empty one has one to start from; a unidirectional classifier starts from the body."""
    folder, _ = causal
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer("영화").input_ids[0] == tokenizer.bos_token_id == tokenizer.eos_token_id
    assert tokenizer("영화").input_ids[-1] != tokenizer.eos_token_id
    generate = pipeline("text-generation", model=str(folder))
    for prompt in ("영화", ""):
        (answer,) = generate(prompt, max_new_tokens=4, do_sample=False)
        assert answer["generated_text"].startswith(prompt)
    classifier = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2)
    assert not classifier.config.bidirectional
    body = AutoModelForCausalLM.from_pretrained(folder).model
    for name, value in body.state_dict().items():
        assert torch.equal(classifier.model.state_dict()[name], value)


def test_causal_rows_lose_nothing(causal):
    """A long text goes on in the next row, between a first and a last token."""
    tokenizer = AutoTokenizer.from_pretrained(causal[0])
    text = "정말 재미있는 영화 " * 20
    encoded = language_model.CausalObjective.encode({"text": [text, ""]}, tokenizer=tokenizer, max_length=30)
    *rows, empty = encoded["input_ids"]
    pieces = tokenizer(text, add_special_tokens=False).input_ids
    assert [piece for row in rows for piece in row] == [tokenizer.bos_token_id, *pieces, tokenizer.eos_token_id]
    assert empty == [tokenizer.bos_token_id, tokenizer.eos_token_id]
    assert max(map(len, rows)) == 30
    assert encoded["labels"] == encoded["input_ids"]


def test_streaming(tmp_path):
    """A stream trains for a number of steps; without one it is refused."""
    arguments = ["--train_files", str(SAMPLES / "nsmc_test.tsv"), "--do_train", "--streaming", "true", "--output_dir", str(tmp_path), *TINY]
    language_model.main([*arguments, "--max_steps", "3", "--save_strategy", "no"])
    assert json.loads((tmp_path / "trainer_state.json").read_text())["global_step"] == 3
    with pytest.raises(ValueError, match="`streaming` needs --max_steps"):
        language_model.main(arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Nothing to do: pass --do_train"),
        (["--do_train", "--mlm_probability", "1.5"], "`mlm_probability` must be above 0 and below 1, got 1.5"),
        (["--do_train"], "Give either --dataset_name or files"),
        (["--do_train", "--train_files", "nowhere.txt"], "nowhere.txt: there is no such file"),
    ],
)
def test_wrong_calls(arguments, message, tmp_path, capsys):
    """One line says what is wrong."""
    assert cli.main(["language-model", *arguments, "--output_dir", str(tmp_path), "--use_cpu", "true"]) == 1
    assert message in capsys.readouterr().err
