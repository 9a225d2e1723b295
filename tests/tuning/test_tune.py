"""`hf-rnn tune`: the defaults first, a study that goes on where it stopped, and a recipe that the training command takes."""

import json
from types import SimpleNamespace

import optuna
import pytest
import yaml

import hf_rnn
from hf_rnn.commands import cli, text_classification, tune
from hf_rnn.distillation.training import DEFAULTS
from hf_rnn.distillation.training import GROUPS as KINDS
from hf_rnn.options import given_options, parse_arguments
from hf_rnn.tasks import text_classification as task_module
from hf_rnn.tasks.defaults import UNKNOWN, Size, classifier_defaults, tagger_defaults
from hf_rnn.tuning import study as studies
from hf_rnn.tuning import tune as tuning
from hf_rnn.tuning.search_space import BUILT, SHARED, Candidates, default_space, read_candidates, spread

pytestmark = pytest.mark.lowest

WORDS = {"1": ("good", "fine", "lovely"), "0": ("bad", "dull", "awful")}
TEXTS = [{"text": f"{word} film {number % 5}", "label": label} for number in range(12) for label, words in WORDS.items() for word in words]
TAGGED = [{"tokens": ["in", name], "tags": ["O", "B-city"]} for _ in range(15) for name in ("Seoul", "Busan", "Daegu")]
TINY = "--vocab_size 300 --embedding_size 8 --linear_size 0 --use_cpu true --search hidden_size=4,8 num_train_epochs=1,2,3".split()


def write(folder, rows):
    """Write rows as JSON Lines; return options of a tiny study."""
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return ["--train_file", str(path), *TINY, "--output_dir", str(folder / "out")]


def open_study(folder):
    """Return the study of a folder."""
    return optuna.load_study(study_name=studies.STUDY, storage=studies.storage_of(folder))


@pytest.mark.thorough
def test_study_recipe_and_table(tmp_path, capsys):
    """Runs are counted over calls; the recipe is taken by the training command, means the best options, and gives their score."""
    argv = [*write(tmp_path, TEXTS), "--runs", "2", "--test_file", "never read", "--do_predict", "true"]
    tune.main(argv)
    assert len(open_study(tmp_path / "out").trials) == 2
    best = tune.main([*argv, "--runs", "4"]).options
    study = open_study(tmp_path / "out")
    assert len(study.trials) == 4
    # other draws than those of the first call
    assert len({json.dumps(trial.params) for trial in study.trials}) == 4
    # the defaults are tried first, as far as they are among the candidates
    usual = classifier_defaults(Size.of(row["text"] for row in TEXTS))
    assert study.trials[0].params["learning_rate"] == usual["learning_rate"]
    assert study.trials[0].params["dropout"] == usual["input_dropout"]
    assert study.trials[0].params["cell_type"] == "lstm"
    assert study.best_value == max(trial.value for trial in study.get_trials(states=(optuna.trial.TrialState.COMPLETE,)))

    path = tmp_path / "out" / tuning.RECIPE
    recipe = yaml.safe_load(path.read_text())
    assert recipe["input_dropout"] == recipe["hidden_dropout"] == recipe["classifier_dropout"] == best["input_dropout"]
    read = parse_arguments([str(path)], None, *KINDS)
    values = {name: value for each in read for name, value in vars(each).items()}
    expected = {**usual, "vocab_size": 300, "embedding_size": 8, "linear_size": 0, "load_best_model_at_end": True, **best}
    assert {name: values[name] for name in expected} == expected
    metrics = text_classification.main([str(path), "--do_predict", "false", "--output_dir", str(tmp_path / "best")])
    assert metrics["eval_accuracy"] == pytest.approx(study.best_value)
    out = capsys.readouterr().out
    assert (tmp_path / "out" / tuning.TABLE).read_text() in out
    assert f"hf-rnn text-classification {path} --output_dir outputs/best" in out
    assert (tmp_path / "out" / tuning.PICTURE).stat().st_size > 5000
    assert not list((tmp_path / "out").glob("**/*.safetensors"))


@pytest.mark.thorough
def test_a_folder_is_no_url(tmp_path):
    """What means something in a URL is part of a name: each folder has a study of its own, in it; other rows are another study."""
    argv = [*write(tmp_path, TEXTS)[:-2], "--runs", "1", "--num_train_epochs", "1"]
    argv.remove("num_train_epochs=1,2,3")
    for name in ("x?a=1", "x?a=2", "x#y %41 {z}"):
        tune.main([*argv, "--output_dir", str(tmp_path / name)])
        assert (tmp_path / name / "study.db").stat().st_size
        assert len(open_study(tmp_path / name).trials) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["rows.jsonl", "x?a=1", "x?a=2", "x#y %41 {z}"])
    write(tmp_path, TEXTS[2:])
    with pytest.raises(ValueError, match="is a study with other options: contents of train_file differ"):
        tune.main([*argv, "--output_dir", str(tmp_path / "x?a=1")])


@pytest.mark.thorough
def test_broken_off_runs_are_done_again_and_other_options_refused(tmp_path):
    """What was in the queue of a killed run is tried next, once; a folder is not shared by studies of other options."""
    argv = [*write(tmp_path, TEXTS), "--runs", "1"]
    tune.main(argv)
    study = open_study(tmp_path / "out")
    study.enqueue_trial({"hidden_size": 8})
    study.ask()
    studies.open_study(tmp_path / "out", study.user_attrs["run"], True)
    tune.main([*argv, "--runs", "2"])
    trials = open_study(tmp_path / "out").trials
    assert [trial.state.name for trial in trials] == ["COMPLETE", "FAIL", "COMPLETE"]
    assert trials[2].params["hidden_size"] == 8
    assert "the best of 2 runs" in (tmp_path / "out" / tuning.RECIPE).read_text()
    with pytest.raises(ValueError, match="a study with other options: batch_size|per_device_train_batch_size differ"):
        tune.main([*argv, "--per_device_train_batch_size", "7"])


def test_rows_in_memory(tmp_path):
    """A study goes on with the same rows, whatever file they were in for a while; others make another; the recipe names no such file."""
    options = {"search": ["hidden_size=4,8"], "search_default": False, "output_dir": str(tmp_path / "out"), "use_cpu": True}
    options |= {"vocab_size": 300, "embedding_size": 8, "linear_size": 0, "num_train_epochs": 1}
    hf_rnn.tune(train=TEXTS, validation=TEXTS[:9], runs=1, **options)
    found = hf_rnn.tune(train=TEXTS, validation=TEXTS[:9], runs=2, **options)
    assert found.runs == 2 and found.options.keys() == {"hidden_size"} and found.metric == "accuracy"
    recipe = yaml.safe_load(found.recipe.read_text())
    assert recipe["hidden_size"] == found.options["hidden_size"] and not {"train_file", "validation_file"} & recipe.keys()
    with pytest.raises(ValueError, match="is a study with other options: contents of train_file differ"):
        hf_rnn.tune(train=TEXTS[1:], validation=TEXTS[:9], runs=3, **options)


@pytest.mark.thorough
def test_a_study_that_is_broken_off_ends_as_a_whole_one(tmp_path):
    """The same options are tried, what stands in the queue first, whichever run is broken off, in the middle of its draws."""

    def draw(folder, broken_off=None):
        study = None
        for number in range(8):
            if study is None:
                study = studies.open_study(folder, {}, True)
                study.sampler = studies.SteadySampler(3)
                if not study.trials:
                    study.enqueue_trial({"size": 0.5})
            trial = study.ask()
            size = trial.suggest_float("size", 0, 1)
            if number == broken_off:
                if number % 2:
                    # as the library tells of Ctrl-C
                    study.tell(trial, state=optuna.trial.TrialState.FAIL)
                study = None
                continue
            trial.suggest_categorical("cell", ("lstm", "gru"))
            trial.set_user_attr(studies.ENDED, "complete")
            study.tell(trial, size)
        return [each.params for each in study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))]

    for folder in ("whole", "first", "late"):
        (tmp_path / folder).mkdir()
    whole = draw(tmp_path / "whole")
    assert whole[0]["size"] == 0.5 and len({each["size"] for each in whole}) == 8
    for folder, number in (("first", 0), ("late", 5)):
        assert draw(tmp_path / folder, number) == whole[:7]


def test_nothing_is_told_of_an_interrupted_run(monkeypatch):
    """It is begun again, where one that failed is not."""
    told, attributes = [], {}
    trainer = object.__new__(studies.TuningTrainer)
    trainer.tell, trainer.state = lambda *values: told.append(values[-1]), SimpleNamespace(epoch=1.0)
    for error in (KeyboardInterrupt, ValueError):

        def train(*_, error=error):
            raise error

        monkeypatch.setattr(studies.RnnTrainer, "train", train)
        with pytest.raises(error):
            trainer.train(trial=SimpleNamespace(set_user_attr=attributes.__setitem__))
        assert told == ([] if error is KeyboardInterrupt else ["failed"])
    assert attributes == {studies.ENDED: "failed"}


def test_taggers_and_fixed_options(tmp_path):
    """Spans are tuned by F1; what is given is fixed, in all runs and in the recipe."""
    argv = [*write(tmp_path, TAGGED), "--task", "token-classification", "--cell_type", "gru", "--learning_rate", "0.01", "--runs", "1"]
    best = tune.main(argv).options
    recipe = yaml.safe_load((tmp_path / "out" / tuning.RECIPE).read_text())
    assert (recipe["cell_type"], recipe["learning_rate"]) == ("gru", 0.01)
    assert not {"cell_type", "learning_rate"} & best.keys()
    assert "| f1 |" in " ".join((tmp_path / "out" / tuning.TABLE).read_text().split())


@pytest.mark.thorough
def test_runs_are_compared_epoch_by_epoch(tmp_path, monkeypatch):
    """Whatever the batch, a run reports at epochs 1, 2, ...; the score is that of the best; a pruned run is told of and counts."""
    scores = iter([0.3, 0.9, 0.5, 0.2, 0.1, 0.8])
    monkeypatch.setattr(task_module.TextClassification, "score", lambda self, _: {"accuracy": next(scores)})
    monkeypatch.setitem(studies.PRUNERS, "median", lambda epochs: optuna.pruners.ThresholdPruner(lower=0.25))
    options = ["--search_default", "false", "--search", "per_device_train_batch_size=8,16", "--num_train_epochs", "3"]
    argv = write(tmp_path, TEXTS)
    argv = [part for part in argv if part not in ("--search", "hidden_size=4,8", "num_train_epochs=1,2,3")]
    monkeypatch.setattr(task_module.TextClassification, "metric_names", ["accuracy"])
    tune.main([*argv, *options, "--runs", "2", "--early_stopping_patience", "0"])
    first, second = open_study(tmp_path / "out").trials
    assert first.intermediate_values == {1: 0.3, 2: 0.9, 3: 0.9}
    assert (first.value, first.user_attrs["epoch"]) == (0.9, 2)
    assert (second.state.name, second.intermediate_values, second.user_attrs["epoch"]) == ("PRUNED", {1: 0.2}, 1)
    assert next(scores) == 0.1


@pytest.mark.parametrize("defaults", [classifier_defaults(UNKNOWN), tagger_defaults(UNKNOWN), classifier_defaults(Size(500, 5000, 80))])
def test_space_holds_the_defaults(defaults):
    """So that the first run is the defaults'; every name is an option, and every value one that the training command takes."""
    space = default_space(defaults, [])
    for name, candidates in space.items():
        option = SHARED.get(name, (name,))[0]
        assert (defaults.get(option, DEFAULTS.get(option))) in candidates
        for value in candidates.values:
            parse_arguments([f"--{each}={value}" for each in SHARED.get(name, (name,))] + ["--output_dir", "x"], None, *KINDS)
    assert default_space(defaults, ["hidden_size", "input_dropout"]).keys() == space.keys() - {"hidden_size", "dropout"}
    assert default_space(defaults, ["model_name_or_path"]).keys() == {"learning_rate", "num_train_epochs"}
    assert {"hidden_size", "cell_type", "pooling"} <= set(BUILT) and "vocab_size" not in BUILT


def test_candidates():
    """Ranges are drawn within their ends, wide ones by logarithms, with three digits; a trial done again gives the same."""
    draws = [Candidates((1e-4, 1e-1), True).suggest(optuna.create_study().ask(), "x") for _ in range(40)]
    assert all(1e-4 <= value <= 1e-1 and value == float(f"{value:.3g}") for value in draws)
    assert sum(value < 3e-3 for value in draws) > 8
    assert isinstance(Candidates((4, 6), True).suggest(optuna.create_study().ask(), "x"), int)
    trial = optuna.create_study().ask()
    value = Candidates((0.1, 0.7), True, 0.05).suggest(trial, "x")
    assert Candidates((0.1, 0.7), True, 0.05).used(trial.params["x"]) == value
    assert read_candidates("learning_rate=1e-4:1e-2") == ("learning_rate", ["1e-4", "1e-2"], True)
    assert spread({"dropout": 0.3, "seed": 1}) == {"input_dropout": 0.3, "hidden_dropout": 0.3, "classifier_dropout": 0.3, "seed": 1}


def test_given_options(tmp_path):
    """Those that differ from their defaults, as they are read, from file and command line."""
    (tmp_path / "a.yaml").write_text("hidden_size: 64\nuse_crf: true\nlanguage: [ko, en]\nseed: 1\n")
    assert given_options([str(tmp_path / "a.yaml"), "--seed=2", "--max_seq_length", "9"], *KINDS) == {
        "hidden_size": 64,
        "use_crf": True,
        "language": ["ko", "en"],
        "seed": 2,
        "max_length": 9,
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "Give either --dataset_name or files"),
        (["--runs", "0"], "`runs` must be at least 1, got 0"),
        (["--run", "3"], "There is no option --run here. Did you mean --runs"),
        (["--search", "learning_rate"], "`search` must be NAME=LOW:HIGH or NAME=VALUE,VALUE"),
        (["--search", "learning_rate=1e-2:1e-4"], "`search` must name a range from a lower to a higher number"),
        (["--search", "vocab_size=100,200"], "got 'vocab_size'. Pass other options as they are: they are fixed."),
        (["--search", "hidden_size=0,4"], "`hidden_size` must be at least 1, got 0"),
        (["--search", "hidden_size=4,8", "--hidden_size", "4"], "`hidden_size` is fixed by --hidden_size and tried by --search at once"),
        (["--folds", "5"], "`folds` are of a training"),
        (["--streaming", "true", "--max_steps", "5"], "runs as one process and reads rows whole"),
    ],
)
def test_wrong_calls(options, message, tmp_path, capsys):
    """One line says what is wrong."""
    assert cli.main(["tune", *options, "--output_dir", str(tmp_path / "out")]) == 1
    assert message in capsys.readouterr().err


def test_without_optuna(tmp_path, monkeypatch, capsys):
    """The extra is named before anything is read; help needs no optuna."""
    monkeypatch.setitem(tune.sys.modules, "optuna", None)
    monkeypatch.delitem(tune.sys.modules, "hf_rnn.tuning.study")
    monkeypatch.delattr("hf_rnn.tuning.study")
    assert cli.main(["tune", "--train_file", "gone.csv", "--output_dir", str(tmp_path / "out")]) == 1
    assert "needs the package 'optuna'. Install it with pip install '.[tune]'" in capsys.readouterr().err
