"""Show which words make the answer of a trained classifier.

Example:
    hf-rnn explain --model_name_or_path outputs/reviews --texts "정말 재미있어요" "시간이 아깝다" --output_file words.html
"""

from dataclasses import dataclass

from ..data.cells import as_text
from ..data.writing import check_output_file, written_whole
from ..inference.explaining import explanation_page
from ..inference.loading import load
from ..options import check_given, option, parse_arguments


@dataclass
class ExplainArguments:
    """What to explain of which model."""

    model_name_or_path: str = option("Checkpoint, folder or Hub name.", "")
    # option() returns a field
    texts: list[str] | None = option("Texts whose answers to explain.")  # noqa: RUF009
    label: str | None = option("Label to explain; the best one of each text by default.")
    output_file: str | None = option("HTML page to write, beside what is printed.")
    trust_remote_code: bool = option("Run model code that comes with the checkpoint.", False)


def main(argv: list[str] | None = None) -> None:
    """Run the command."""
    (arguments,) = parse_arguments(argv, __doc__, ExplainArguments)
    check_given(arguments, model_name_or_path="the folder or Hub name of a trained model", texts="one text or several")
    if arguments.output_file:
        check_output_file(arguments.output_file, "output_file", arguments.model_name_or_path)
    predictor = load(arguments.model_name_or_path, arguments.trust_remote_code)
    explanations = [predictor.explain(as_text(text, "--texts"), arguments.label) for text in arguments.texts]
    for each in explanations:
        print(f"{each.get('label', '')} {each.get('score', each.get('prediction')):.4f}  {each['text']}")
        for word in sorted(each["words"], key=lambda word: -abs(word["effect"]))[:10]:
            print(f"  {word['effect']:+.4f}  {word['word']}")
    if arguments.output_file:
        with written_whole(arguments.output_file) as file:
            file.write(explanation_page(explanations))
        print(f"Wrote {arguments.output_file}.")
