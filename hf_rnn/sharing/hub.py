"""Push a folder to the Hub: in one commit, after it has proved itself in a clean process."""

import difflib
import json
import os
import site
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from glob import escape
from itertools import islice
from pathlib import Path

import torch
import transformers
from huggingface_hub import CommitInfo, HfApi, ModelCard
from huggingface_hub.errors import HfHubHTTPError, HTTPError, OfflineModeIsEnabled
from huggingface_hub.utils import validate_repo_id
from safetensors.torch import load_file

from ..data.loading import load_tokenizer
from ..data.writing import write_whole
from ..models.pretrained import AUTO_MAP, name_in_card

NEEDED = {
    "config.json": "the model's config",
    "*.safetensors": "weights",
    "tokenizer.json": "the tokenizer",
    "README.md": "a model card",
}
# what goes up beside that and the code; predictions, for one, hold the text of the data, and training_args.bin is a pickle
SHARED = (
    "*.safetensors.index.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "generation_config.json",
    "curves.png",
    "confusion_matrix.png",
    "reliability.png",
    "train_results.json",
    "eval_results.json",
    "test_results.json",
    "all_results.json",
    "report.txt",
    "*.onnx",
    "handler.py",
)
# what inference endpoints run
HANDLER = Path(__file__).parent / "handler.py"
# all that travels with a checkpoint
PACKAGE_CODE = Path(__file__).parents[1] / "models"
CODE = tuple(sorted(path.name for path in PACKAGE_CODE.glob("*.py") if path.stem != "__init__"))
# variables with such words in their names stay out of the clean process
SECRETS = ("TOKEN", "SECRET", "PASSWORD", "CREDENTIAL", "API_KEY", "ACCESS_KEY")


def push(
    folder: str | Path,
    repo_id: str,
    private: bool | None = True,
    commit_message: str = "Upload model",
    revision: str | None = None,
    create_pr: bool = False,
    token: str | None = None,
    trust_remote_code: bool = False,
) -> CommitInfo:
    """Push card, weights, tokenizer, curves, code and `handler.py` of a folder in one commit, once `verify` has passed.

    A commit is made of all files or of none, so an upload that breaks off leaves the old revision as it was; pushed again, weights that
    have arrived are not sent again.

    Args:
        folder (`str`): Folder of a saved model.
        repo_id (`str`): Repository, made if it does not exist.
        private (`bool`, *optional*): Whether a new repository is private; None for the owner's setting.
        commit_message (`str`): Message.
        revision (`str`, *optional*): Branch.
        create_pr (`bool`): Whether to open a pull request.
        token (`str`, *optional*): That of the login or of HF_TOKEN by default.
        trust_remote_code (`bool`): Whether to run code of the folder that is not the package's.

    Raises:
        ValueError: The name is none, the folder lacks something or does not work, or the Hub cannot be reached.
        HfHubHTTPError: The Hub refuses.
    """
    validate_repo_id(repo_id)
    write_handler(folder)
    included, _ = plan(folder)
    verify(folder, trust_remote_code)
    api = HfApi(token=token)
    with _explained():
        repo_id = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
        name_in_card(Path(folder) / "README.md", repo_id)
        return api.upload_folder(
            repo_id=repo_id,
            folder_path=folder,
            # names of files, which may hold signs of patterns
            allow_patterns=[escape(name) for name in included],
            # shards and modules of an earlier revision would stay beside the new ones
            delete_patterns=["*.safetensors", "*.safetensors.index.json", "*.py"],
            commit_message=commit_message,
            revision=revision,
            create_pr=create_pr,
        )


def write_handler(folder: str | Path) -> None:
    """Write into the folder of a saved model the `handler.py` that inference endpoints run, unless somebody wrote one of their own."""
    path, ours = Path(folder) / HANDLER.name, HANDLER.read_text(encoding="utf-8")
    if Path(folder).is_dir() and (not path.exists() or path.read_text(encoding="utf-8", errors="replace").startswith(ours.split("\n")[0])):
        write_whole(path, ours)


def push_checkpoint(folder: str | Path, repo_id: str, commit_message: str, revision: str | None = None, token: str | None = None) -> None:
    """Push what a model is made of from a checkpoint in a repository that is there, in one commit; see `push`.

    Nothing else goes up: what a checkpoint is resumed from names folders of this machine.

    Args:
        folder (`str`): Folder of the checkpoint.
        repo_id (`str`): Repository.
        commit_message (`str`): Message.
        revision (`str`, *optional*): Branch.
        token (`str`, *optional*): That of the login or of HF_TOKEN by default.

    Raises:
        ValueError: The Hub cannot be reached or does not know the user.
        HfHubHTTPError: The Hub refuses.
    """
    patterns = [*NEEDED, *SHARED, *CODE]
    with _explained():
        HfApi(token=token).upload_folder(
            repo_id=repo_id, folder_path=folder, allow_patterns=patterns, commit_message=commit_message, revision=revision
        )


def push_space(
    folder: str | Path, files: list[str], repo_id: str, private: bool | None = True, commit_message: str = "Upload page"
) -> CommitInfo:
    """Push a page as a static Space, in one commit.

    Args:
        folder (`str`): Folder of the page; its README says `sdk: static`.
        files (`list`): Its files that go up.
        repo_id (`str`): Space, made if it does not exist.
        private (`bool`, *optional*): Whether a new Space is private; None for the owner's setting.
        commit_message (`str`): Message.

    Raises:
        ValueError: The name is none, or the Hub cannot be reached or does not know the user.
        HfHubHTTPError: The Hub refuses.
    """
    validate_repo_id(repo_id)
    api = HfApi()
    with _explained():
        repo_id = api.create_repo(repo_id, private=private, exist_ok=True, repo_type="space", space_sdk="static").repo_id
        return api.upload_folder(
            repo_id=repo_id, folder_path=folder, allow_patterns=files, repo_type="space", commit_message=commit_message
        )


@contextmanager
def _explained() -> Iterator[None]:
    """Say what to do where the Hub does not know the user or cannot be reached."""
    try:
        yield
    except HfHubHTTPError as error:
        if error.response is not None and error.response.status_code == 401:
            raise ValueError(
                "The Hub does not know you (401). Log in with `hf auth login`, or set HF_TOKEN to a token that may write."
            ) from None
        raise
    except (HTTPError, OfflineModeIsEnabled) as error:
        raise ValueError(f"The Hub cannot be reached ({error}). Nothing was changed there; try again when the network is back.") from error


def plan(folder: str | Path) -> tuple[list[str], list[str]]:
    """Return the names of the files of a folder that go up, and of those that do not.

    Raises:
        ValueError: Something is missing, or the card is no card.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"`model_path` {str(folder)!r} is no folder. Pass that of a saved model.")
    names = sorted(path.name for path in folder.iterdir() if path.is_file() and not path.is_symlink())
    for pattern, what in NEEDED.items():
        if not any(fnmatch(name, pattern) for name in names):
            raise ValueError(
                f"{folder}: {pattern} is missing, {what}. Save model and tokenizer there; the training commands write all of it."
            )
    missing = [name for name in CODE if name not in names]
    if missing:
        raise ValueError(f"{folder}: the code {missing[0]} is missing. Load the model and save it again with save_pretrained.")
    try:
        # reads the metadata, results included
        ModelCard.load(folder / "README.md")
    except Exception as error:
        raise ValueError(f"{folder}/README.md: its metadata cannot be read ({error}). Correct the lines between the two '---'.") from error
    wanted = (*NEEDED, *SHARED, *CODE)
    # what the Hub cannot have, or no terminal shows, is no name that a model is saved under
    included = [name for name in names if name.isprintable() and any(fnmatch(name, pattern) for pattern in wanted)]
    return included, [name for name in names if name not in included]


# runs in the clean process: argv holds the folder, the ids, and where to write
PROBE = """
import json, sys
sys.modules["hf_rnn"] = None
import torch, transformers
from safetensors.torch import save_file
folder, auto_class, ids, output = sys.argv[1:]
ids = torch.tensor(json.loads(ids))
model = getattr(transformers, auto_class).from_pretrained(folder, trust_remote_code=True, dtype="auto").eval()
with torch.inference_mode():
    save_file({"output": model(ids).to_tuple()[0].contiguous()}, output)
transformers.AutoTokenizer.from_pretrained(folder)(["a b"])
"""


class ForeignCodeError(ValueError):
    """The code of a folder is not the package's; the message shows the difference."""

    runs_over_lines = True


def check_code(folder: str | Path) -> None:
    """Raise a ValueError if the code of a folder, which it shows, or what its config asks to run is not the package's."""
    folder = Path(folder)
    for name in CODE:
        ours, theirs = ((path / name).read_text(encoding="utf-8", errors="replace").splitlines() for path in (PACKAGE_CODE, folder))
        changed = list(islice(difflib.unified_diff(ours, theirs, f"hf_rnn/models/{name}", str(folder / name), lineterm="", n=1), 40))
        if changed:
            raise ForeignCodeError(
                f"{folder / name} is not the code of this package, and checking the folder would run it. Load the model and save it again, "
                "or pass --trust_remote_code true if you have read it:\n" + "\n".join(changed)
            )
    for name in ("config.json", "tokenizer_config.json"):
        path = folder / name
        maps = json.loads(path.read_text(encoding="utf-8")).get("auto_map") or {} if path.is_file() else {}
        foreign = [value for key, value in maps.items() if value != AUTO_MAP.get(key)]
        if foreign:
            raise ValueError(
                f"{path}: `auto_map` asks for code that is not this package's: {foreign[0]!r}. Load the model and save it again, or pass "
                "--trust_remote_code true if you trust it."
            )


def verify(folder: str | Path, trust_remote_code: bool = False) -> None:
    """Load a folder in a process that cannot import hf_rnn, and compare what it computes.

    The process has an empty home, no variables that look like secrets, and the Hub switched off. That keeps honest code from using what
    is not in the folder; it is no prison for hostile code, so code that is not the package's is shown and not run.

    Args:
        folder (`str`): Folder of a saved model.
        trust_remote_code (`bool`): Whether to run code of the folder that is not the package's.

    Raises:
        ValueError: It does not load there, computes something else, something that is no number, or holds other code.
    """
    folder = Path(folder).resolve()
    if not trust_remote_code:
        check_code(folder)
    config = transformers.AutoConfig.from_pretrained(folder)
    head = (config.architectures or [""])[0]
    auto_class = next((auto for auto, target in AUTO_MAP.items() if target.endswith(f".{head}")), None)
    if auto_class is None:
        raise ValueError(
            f"{folder}: `architectures` names {head!r}, which is no model of this package. Push others with their push_to_hub."
        )
    ids = [[index % config.vocab_size for index in range(start, start + 12)] for start in (1, 7)]
    model = getattr(transformers, auto_class).from_pretrained(folder, dtype="auto").eval()
    with torch.inference_mode():
        expected = model(torch.tensor(ids)).to_tuple()[0]
    vocabulary = len(load_tokenizer(str(folder)))
    if vocabulary > config.vocab_size:
        raise ValueError(
            f"{folder}: the tokenizer has {vocabulary} entries, the embedding {config.vocab_size} rows. Save the one it learnt with."
        )
    if not expected.isfinite().all():
        raise ValueError(f"{folder}: the model computes NaN or infinity. Train again with a smaller --learning_rate.")
    with tempfile.TemporaryDirectory() as scratch:
        environment = {name: value for name, value in os.environ.items() if not any(word in name.upper() for word in SECRETS)}
        # packages may be installed in the home that is left behind
        environment |= {"HOME": scratch, "PYTHONUSERBASE": site.getuserbase(), "HF_HOME": scratch, "HF_HUB_OFFLINE": "1"}
        environment["OMP_NUM_THREADS"] = str(torch.get_num_threads())
        output = str(Path(scratch) / "output.safetensors")
        arguments = [str(folder), auto_class, json.dumps(ids), output]
        done = subprocess.run(
            [sys.executable, "-c", PROBE, *arguments], capture_output=True, text=True, cwd=scratch, env=environment, check=False
        )
        if done.returncode != 0:
            reason = done.stderr.strip().splitlines()[-1:] or ["no message"]
            raise ValueError(f"{folder}: the model does not load without hf_rnn: {reason[0]}. Save it again with save_pretrained.")
        found = load_file(output)["output"]
    if not torch.equal(found, expected):
        raise ValueError(f"{folder}: loaded without hf_rnn the model computes something else. Save it again with save_pretrained.")
