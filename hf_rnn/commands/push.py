"""Push a folder to the Hub: in one commit, after it has proved itself in a clean process.

Example:
    hf-rnn push --model_path outputs/reviews --repo_id me/reviews
"""

from dataclasses import dataclass
from pathlib import Path

from huggingface_hub.utils import validate_repo_id

from ..arguments import HubArguments, LoadArguments
from ..data.visible import visible
from ..options import check_given, option, pick, read_arguments
from ..sharing import hub


@dataclass
class PushArguments:
    """What to push where."""

    model_path: str = option("Folder of the model.", "", essential=True)
    repo_id: str = option("Repository on the Hub, user/name.", "", essential=True)
    commit_message: str = option("Message of the commit.", "Upload model")
    revision: str | None = option("Branch; main by default.", essential=True)
    create_pr: bool = option("Open a pull request rather than commit to the branch.", False)
    dry_run: bool = option("Check, list what would go up, and send nothing.", False, essential=True)


def main(argv: list[str] | None = None) -> None:
    """Run the command; the token is that of `hf auth login` or HF_TOKEN."""
    arguments = read_arguments(argv, __doc__, PushArguments, HubArguments, pick(LoadArguments, "trust_remote_code"))
    check_given(arguments, model_path="the folder of a saved model", repo_id="a repository, user/name")
    validate_repo_id(arguments.repo_id)
    hub.write_handler(arguments.model_path)
    included, left_out = hub.plan(arguments.model_path)
    for name in included:
        print(f"  {name} ({(Path(arguments.model_path) / name).stat().st_size:,} bytes)")
    if left_out:
        print(f"Left out: {visible(', '.join(left_out))}")
    if arguments.dry_run:
        hub.verify(arguments.model_path, arguments.trust_remote_code)
        print(f"Dry run: the folder works; {len(included)} files would go to {arguments.repo_id}. Nothing was sent.")
        return
    options = {name: getattr(arguments, name) for name in ("private", "commit_message", "revision", "create_pr", "trust_remote_code")}
    print(f"Pushed: {hub.push(arguments.model_path, arguments.repo_id, **options).commit_url}")
