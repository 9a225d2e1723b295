"""Cards of reference models: valid, complete, reviewed, and their figures are those of the page of recipes."""

import re
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard

ROOT = Path(__file__).parents[2]
CARDS = sorted(path for path in (ROOT / "model_cards").glob("*.md") if path.name not in ("template.md", "README.md"))
# the Hub's names of licences that the cards use
LICENCES = {"apache-2.0", "cc0-1.0", "cc-by-sa-4.0", "other"}


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.stem)
def test_reference_card(path):
    """Metadata as the Hub reads it, no placeholder, a command of a recipe that exists, a score that the page of recipes repeats."""
    card = ModelCard.load(path)
    assert card.data.pipeline_tag in ("text-classification", "token-classification", "fill-mask")
    assert card.data.library_name == "transformers"
    assert card.data.language and card.data.license in LICENCES and card.data.model_name
    main = next(result for result in card.data.eval_results if result.dataset_split == "test")
    assert f"{100 * main.metric_value:.2f}" in (ROOT / "scripts" / "recipes" / "README.md").read_text()
    for word in ("{{", "}}", "TODO", "More Information", "/tmp", "/work", "/home"):
        assert word not in card.text
    for part in ("## Use", "## Data", "## Results", "## Speed", "## Training", "## Limits and bias", "## Licence", "## Reproduce"):
        assert part in card.text
    assert "no licence was stated" not in card.text
    (parameters,) = re.findall(r"([\d,]+) parameters", card.text)
    assert int(parameters.replace(",", "")) < 15_000_000
    recipes = re.findall(r"scripts/recipes/\w+\.yaml", card.text)
    assert recipes
    for recipe in recipes:
        assert isinstance(yaml.safe_load((ROOT / recipe).read_text()), dict)


def test_every_recipe_is_understood():
    """Each option of each recipe is one of its command's."""
    from hf_rnn.commands import language_model
    from hf_rnn.distillation.training import GROUPS
    from hf_rnn.options import options_of

    recipes = sorted((ROOT / "scripts" / "recipes").glob("*.yaml"))
    assert len(recipes) >= 3
    for recipe in recipes:
        assert options_of([str(recipe)], *(language_model.KINDS if recipe.stem.endswith("_mlm") else GROUPS))


def test_there_are_cards():
    """At least the reference tasks have one."""
    assert {path.stem for path in CARDS} >= {"nsmc", "ewt", "snips"}
