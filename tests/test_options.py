"""Options are checked as they are described, before anything is done, and every error is one line with a remedy."""

import math
import re
from contextlib import suppress
from dataclasses import fields

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hf_rnn.commands import cli, language_model
from hf_rnn.commands.training import GROUPS
from hf_rnn.options import HelpText, Range, parse_arguments

pytestmark = pytest.mark.lowest

KINDS = {"labelled": GROUPS, "language model": language_model.KINDS}

# what a line may not be longer than, and no traceback is shorter than
LONGEST = 3000


def refuse(kinds, *argv):
    """Return the message of a refusal."""
    with pytest.raises(ValueError, match=r".") as error:
        parse_arguments(["--output_dir", "out", *argv], None, *kinds)
    message = str(error.value)
    assert len(message.splitlines()) == 1 and len(message) < LONGEST
    return message


def test_ranges():
    """Brackets hold their ends, parentheses do not; NaN and infinity are in no range; words say the same."""
    assert 0 in Range("[0, 1)") and 1 not in Range("[0, 1)") and 1 in Range("(0, 1]") and 0 not in Range("(0, 1]")
    assert math.nan not in Range("(-inf, inf)") and math.inf not in Range("[1, inf)") and 10**400 in Range("[1, inf)")
    assert [str(Range(text)) for text in ("[0, 1)", "(0, inf)", "(-inf, inf)", "[-2, 2]")] == [
        "at least 0 and below 1",
        "above 0",
        "finite",
        "at least -2 and at most 2",
    ]
    for text in ("", "0, 1", "[0]", "[a, 1]"):
        with pytest.raises(ValueError, match=r"interval|convert"):
            Range(text)


@pytest.mark.parametrize("kinds", KINDS.values(), ids=KINDS)
def test_every_number_is_checked(kinds):
    """NaN, infinity, and the nearest number outside are refused for every option that takes numbers, by its name."""
    for kind in kinds:
        for each in fields(kind):
            if not each.init or not {"int", "float"} & set(str(each.type).replace("<class '", "").replace("'>", "").split(" | ")):
                continue
            is_float = "float" in str(each.type)
            bad = ["nan", "inf", "-inf"] if is_float else []
            within = getattr(each.metadata.get("help"), "within", None) or Range(getattr(kind, "ranges", {}).get(each.name, "(-inf, inf)"))
            low = float(within.text[1:-1].split(",")[0])
            bad += [f"{low - 1:.0f}"] if math.isfinite(low) and low - 1 != each.default else []
            for value in bad:
                assert f"`{each.name}` must be {within}, got " in refuse(kinds, f"--{each.name}={value}")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--vocab_size", "0"], "`vocab_size` must be at least 5 and at most 1e+07, got 0"),
        (["--max_length", "-5"], "`max_length` must be at least 1, got -5"),
        (["--num_train_epochs", "0"], "`num_train_epochs` must be above 0"),
        (["--num_train_epochs", "inf"], "`num_train_epochs` must be above 0"),
        (["--gradient_accumulation_steps", "0"], "`gradient_accumulation_steps` must be at least 1"),
        (["--label_smoothing_factor", "5"], "`label_smoothing_factor` must be at least 0 and below 1"),
        (["--adversarial_epsilon", "nan"], "`adversarial_epsilon` must be at least 0, got nan"),
        (["--max_eval_samples", "0"], "`max_eval_samples` must be at least 1"),
        (["--hidden_size", "x"], "`hidden_size`: invalid int value: 'x'"),
        (["--learning_rat", "1"], "There is no option --learning_rat here. Did you mean --learning_rate"),
        (["--xyzzy=1"], "There is no option --xyzzy here. --help-all lists all options."),
        (["stray"], "Unexpected 'stray': every option starts with --"),
        (["--lr_scheduler_kwargs", "{bad"], "`lr_scheduler_kwargs` must be a JSON object, got '{bad'"),
        (["--lr_scheduler_kwargs", "[]"], "`lr_scheduler_kwargs` must be a JSON object, got '[]' (a list)"),
        (["--deepspeed", "x.json"], "`deepspeed` needs the package deepspeed"),
        (["--neftune_noise_alpha", "5"], "`neftune_noise_alpha` is made for transformers. Pass --adversarial_epsilon"),
        (["--optim", "foo"], "`optim`: invalid choice: 'foo'"),
        (["--seed"], "`seed`: expected one argument"),
        (["--text_column_name=--"], "`text_column_name`: expected one argument"),
    ],
)
def test_wrong_options(argv, message):
    """What was given, what is allowed, and what to do."""
    assert message in refuse(GROUPS, *argv)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("o.yaml", "seed: 1\nlearning_rate: 1\nseed: 2\n", "o.yaml, line 3: the option 'seed' stands twice"),
        ("o.json", '{"seed": 1, "seed": 2}', "o.json, line 1: the option 'seed' stands twice"),
        ("o.yaml", "a: [1\nb: 2", "o.yaml, line 2: expected"),
        ("o.json", '{"a": 1', "o.json, line 1: expected"),
        ("o.yaml", "x: !!python/object:os.system 1", "o.yaml, line 1: could not determine a constructor"),
        ("o.yaml", "1: 2", "1 is no name of an option"),
        ("o.yaml", "", "expected options as `name: value`, got NoneType"),
        ("o.yaml", b"\xff\xfe", "o.yaml: 'utf-8' codec can't decode"),
        ("o.yaml", "learning_rate: .inf", "`learning_rate` must be above 0, got inf"),
        ("o.yaml", "learning_rate: [1, 2]", "Unexpected '2'"),
        ("o.yaml", "lerning_rate: 1", "There is no option --lerning_rate here. Did you mean --learning_rate"),
    ],
)
def test_wrong_files_of_options(tmp_path, name, content, message):
    """File, line and remedy."""
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=re.escape(message)):
        parse_arguments([str(tmp_path / name)], None, *GROUPS)


@pytest.mark.parametrize(
    ("command", "argv", "message"),
    [
        ("text-classification", ["--use_crf", "true"], "There is no option --use_crf here. A CRF tags words"),
        ("text-classification", ["--use-crf=true"], "There is no option --use_crf here. A CRF tags words"),
        ("text-classification", ["--from_text", "true"], "There is no option --from_text here. Texts are read as they are"),
        ("text-classification", ["--intent_column_name", "i"], "There is no option --intent_column_name here. Pass --label_column_name"),
        ("token-classification", ["--problem_type", "regression"], "There is no option --problem_type here. Every word has one tag"),
        ("language-model", ["--use_crf", "true"], "There is no option --use_crf here. A CRF tags words"),
        ("language-model", ["--linear_size", "100"], "There is no option --linear_size here. It is of classifiers"),
        ("language-model", ["--word_pooling", "rnn"], "There is no option --word_pooling here. A language model predicts pieces"),
    ],
)
def test_options_without_a_meaning(command, argv, message, capsys):
    """An option that a command would ignore is refused."""
    assert cli.main([command, "--do_train", *argv]) == 1
    assert message in capsys.readouterr().err


def test_the_last_resort(monkeypatch, capsys):
    """What nobody foresaw is one line, with its traceback on demand."""
    monkeypatch.setattr("hf_rnn.commands.push.main", lambda argv: [][0])
    assert cli.main(["push"]) == 1
    assert capsys.readouterr().err == "error: IndexError: list index out of range (HF_RNN_TRACEBACK=1 shows where)\n"
    monkeypatch.setenv("HF_RNN_TRACEBACK", "1")
    with pytest.raises(IndexError):
        cli.main(["push"])


OWN = [each.name for kind in GROUPS for each in fields(kind) if each.init and isinstance(each.metadata.get("help"), HelpText)]
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.lists(st.integers() | st.text(max_size=5), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
    st.sampled_from(["{", "[", "--", "-1", "1e999", "true", "\x00", "\ud800"]),
)


def parse_anything(options, path):
    """Parse a file of options: dataclasses come out, or one line does."""
    path.write_text(yaml.safe_dump(options, allow_unicode=True).encode("utf-8", "replace").decode(), encoding="utf-8")
    # nothing else may be raised
    with suppress(ValueError, OSError):
        parse_arguments([str(path), "--output_dir", "out", "--use_cpu", "true"], None, *GROUPS)


OPTIONS = st.dictionaries(st.sampled_from(OWN) | st.text(max_size=8), VALUES, max_size=4)


@settings(max_examples=40, deadline=None)
@given(OPTIONS)
@example({"language": ["--", "x"]})
def test_any_options(tmp_path_factory, options):
    """Whatever stands in a file of options, it is read or refused by name."""
    parse_anything(options, tmp_path_factory.getbasetemp() / "o.yaml")


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None)
@given(OPTIONS)
def test_any_options_at_length(tmp_path_factory, options):
    """The same, ten thousand times."""
    parse_anything(options, tmp_path_factory.getbasetemp() / "o.yaml")
