"""The `hf-rnn` command."""

import errno
import os
import sys
from contextlib import suppress
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path

from huggingface_hub.constants import HF_HOME
from huggingface_hub.errors import StrictDataclassError

from hf_rnn.data.visible import visible
from hf_rnn.training.quiet import hide_library_bars

# command: module whose main() runs it, and what it does
COMMANDS = {
    "text-classification": ("text_classification", "train, evaluate and apply a text classifier"),
    "token-classification": ("token_classification", "train, evaluate and apply a tagger"),
    "language-model": ("language_model", "pretrain a body on text without labels, masked or causal"),
    "learning-curve": ("learning_curve", "measure how good a model gets with how many rows, beside a linear baseline"),
    "distill": ("distill", "teach a small model what an encoder knows, and compare the two"),
    "compare": ("compare", "compare models on the same rows: scores with intervals, sizes, speeds"),
    "tune": ("tune", "look for better options of a classifier or tagger, and write them as a recipe"),
    "check": ("check", "look for wrong labels and double texts before a model learns them"),
    "train-tokenizer": ("train_tokenizer", "train a tokenizer"),
    "predict": ("predict", "apply a trained model to texts"),
    "next": ("next", "choose the texts to label next"),
    "explain": ("explain", "show which words make the answer of a classifier"),
    "convert": ("convert", "save a model in half precision and measure what that costs"),
    "export": ("export", "write a model as ONNX, check it and quantise it"),
    "serve": ("serve", "answer texts over HTTP"),
    "demo": ("demo", "write a page that runs a model in the browser"),
    "push": ("push", "push a model to the Hub, once it has proved itself"),
    "import": ("import_weights", "turn the weights of a PyTorch LSTM or GRU model into a checkpoint"),
}


def main(argv: list[str] | None = None) -> int:
    """Run a command; return its exit status, 2 for a wrong call and 1 for wrong data or options."""
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] in ("-h", "--help"):
        print("usage: hf-rnn COMMAND [options]\n")
        print("\n".join(f"  {name:22}{text}" for name, (_, text) in COMMANDS.items()))
        print("\n`hf-rnn COMMAND --help` shows an example and the options that matter most, `--help-all` every option.")
        return 0 if argv else 2
    if argv[0] not in COMMANDS:
        print(f"hf-rnn: there is no command {argv[0]!r}; there are {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    return run(COMMANDS[argv[0]][0], argv[1:])


def run(module: str, argv: list[str] | None = None) -> int:
    """Run main() of a module of this folder; print errors of data and options without a traceback."""
    hide_library_bars()
    if isinstance(sys.stdout, TextIOWrapper):
        # a letter that cannot be shown ends no training
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        _run_whole(module, argv)
    except ModuleNotFoundError as error:
        extra = {"onnx": "onnx", "optu": "tune", "pycr": "baselines", **dict.fromkeys(("star", "uvic", "http", "anyi"), "serve")}.get(
            str(error.name)[:4], "train"
        )
        print(
            f"error: this command needs the package {error.name!r}. Install it with pip install '.[{extra}]' in a clone of hf_rnn",
            file=sys.stderr,
        )
        return 1
    except BrokenPipeError:
        # nothing more can be written there, neither now nor when Python ends
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            print("error: what read the output ended before it. Write to a file to have all of it.", file=sys.stderr)
        return 141
    except (ValueError, OSError, StrictDataclassError) as error:
        # configs of transformers wrap what their checks raise; ours say it as it is
        is_wrapped = isinstance(error, StrictDataclassError) and not isinstance(error, ValueError)
        error = error.__cause__ or error if is_wrapped else error
        # what libraries say runs over lines; ours does where it shows a difference of files
        lines = [visible(line) for line in str(error).splitlines()]
        text = "\n".join(lines) if getattr(error, "runs_over_lines", False) else " ".join(filter(None, map(str.strip, lines)))
        print(f"error: {text}{_about_cache(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as error:
        print(" ".join(["error: interrupted.", *map(str, error.args)]), file=sys.stderr)
        return 130
    except Exception as error:
        # the last resort: a fault of the package, or a library's way of refusing what it was given
        if "HF_RNN_TRACEBACK" in os.environ:
            raise
        reason = visible(" ".join(str(error).split()))[:500]
        print(f"error: {type(error).__name__}: {reason} (HF_RNN_TRACEBACK=1 shows where)", file=sys.stderr)
        return 1
    return 0


def _about_cache(error: BaseException) -> str:
    """Return what to do where a cache of the libraries belongs to somebody else; nothing of other errors."""
    path = getattr(error, "filename", None)
    if getattr(error, "errno", None) not in (errno.EACCES, errno.EPERM, errno.EROFS) or not isinstance(path, str):
        return ""
    for name, folder in (("HF_DATASETS_CACHE", os.environ.get("HF_DATASETS_CACHE")), ("HF_HOME", HF_HOME)):
        if folder is not None and Path(path).is_relative_to(folder):
            return f". The cache of the Hugging Face libraries cannot be written: set {name} to a folder that is yours."
    return ""


def _run_whole(module: str, argv: list[str] | None) -> None:
    """Run main() of a module, until all that it says is read."""
    try:
        import_module(f"hf_rnn.commands.{module}").main(argv)
    except SystemExit:
        # of a help text
        sys.stdout.flush()
        raise
    sys.stdout.flush()
