"""Push a folder to the Hub: in one commit, after it has proved itself in a clean process."""

import json
import os
import subprocess
import sys
import tempfile
from fnmatch import fnmatch
from pathlib import Path

import torch
import transformers
from huggingface_hub import CommitInfo, HfApi, ModelCard
from huggingface_hub.errors import HfHubHTTPError
from safetensors.torch import load_file
from transformers import AutoTokenizer

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
    "*.png",
    "*_results.json",
    "report.txt",
    "*.onnx",
)
# all that travels with a checkpoint
CODE = tuple(sorted(path.name for path in (Path(__file__).parents[1] / "models").glob("*.py") if path.stem != "__init__"))
SECRETS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")


def push(
    folder: str | Path,
    repo_id: str,
    private: bool | None = True,
    commit_message: str = "Upload model",
    revision: str | None = None,
    create_pr: bool = False,
    token: str | None = None,
) -> CommitInfo:
    """Push card, weights, tokenizer, curves and code of a folder in one commit, once `verify` has passed.

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

    Raises:
        ValueError: The folder lacks something or does not work.
        HfHubHTTPError: The Hub refuses.
    """
    included, _ = plan(folder)
    verify(folder)
    api = HfApi(token=token)
    try:
        repo_id = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
    except HfHubHTTPError as error:
        if error.response is not None and error.response.status_code == 401:
            raise ValueError(
                "The Hub does not know you (401). Log in with `hf auth login`, or set HF_TOKEN to a token that may write."
            ) from None
        raise
    name_in_card(Path(folder) / "README.md", repo_id)
    # shards and modules of an earlier revision would stay beside the new ones
    stale = ["*.safetensors", "*.safetensors.index.json", "*.py"]
    return api.upload_folder(
        repo_id=repo_id,
        folder_path=folder,
        allow_patterns=included,
        delete_patterns=stale,
        commit_message=commit_message,
        revision=revision,
        create_pr=create_pr,
    )


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
    included = [name for name in names if any(fnmatch(name, pattern) for pattern in wanted)]
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


def verify(folder: str | Path) -> None:
    """Load a folder in a process that cannot import hf_rnn, sees no token and no network, and compare what it computes.

    Raises:
        ValueError: It does not load there, computes something else, or something that is no number.
    """
    folder = Path(folder).resolve()
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
    vocabulary = len(AutoTokenizer.from_pretrained(folder))
    if vocabulary > config.vocab_size:
        raise ValueError(
            f"{folder}: the tokenizer has {vocabulary} entries, the embedding {config.vocab_size} rows. Save the one it learnt with."
        )
    if not expected.isfinite().all():
        raise ValueError(f"{folder}: the model computes NaN or infinity. Train again with a smaller --learning_rate.")
    with tempfile.TemporaryDirectory() as scratch:
        environment = {name: value for name, value in os.environ.items() if name not in SECRETS}
        environment |= {"HF_HOME": scratch, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": str(torch.get_num_threads())}
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
