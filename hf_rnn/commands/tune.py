"""Look for options that suit the data better than the defaults do, on validation rows, and write the best ones as a recipe.

Any option of the training command may be given too, and is fixed then. Test rows are never read.

Example:
    hf-rnn tune --train_file reviews.csv --runs 20 --output_dir outputs/tune
"""

import shlex
import sys
from dataclasses import dataclass

from ..arguments import RunArguments
from ..distillation.training import DEFAULTS, GROUPS
from ..options import given_options, option, parse_arguments, pick
from ..tuning.tune import FIXED, PICTURE, TABLE, TuningResult, tune


@dataclass
class TuneArguments:
    """What to try, and for how long. All options of the training command may be given too: they are fixed."""

    runs: int = option("Trainings in all, those of an earlier call with the same folder included.", 20, essential=True, within="[1, inf)")
    timeout: float | None = option("Seconds after which no training starts.", essential=True, within="(0, inf)")
    # option() returns a field
    search: list[str] | None = option(  # noqa: RUF009
        "Options to try in place of the usual ones, or beside them: NAME=LOW:HIGH or NAME=VALUE,VALUE,...", essential=True
    )
    search_default: bool = option("Whether the usual ones are tried beside those of --search.", True)
    pruner: str = option(
        "What stops trainings that fall behind: median, hyperband or none.",
        "median",
        choices=["median", "hyperband", "none"],
        essential=True,
    )


def main(argv: list[str] | None = None) -> TuningResult:
    """Run the command; return what `hf_rnn.tuning.tune` does."""
    argv = sys.argv[1:] if argv is None else argv
    own, run, *_ = parse_arguments(argv, __doc__, TuneArguments, pick(RunArguments, "task"), *GROUPS, defaults=DEFAULTS, hidden=FIXED)
    given = {name: value for name, value in given_options(argv, *GROUPS).items() if name not in FIXED}
    rows = {split: given.pop(f"{split}_file", None) for split in ("train", "validation")}
    found = tune(run.task, **rows, **{**vars(own), "search": own.search or ()}, **given)
    where = shlex.quote(str(found.recipe))
    print(f"\n{found.table}\nScore:  {found}\nRecipe: {where} (all runs in {TABLE} and {PICTURE})")
    print(f"Next:   hf-rnn {run.task} {where} --output_dir outputs/best")
    return found
