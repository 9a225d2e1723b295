"""The options, each declared once: of data, models, training, teachers and cards. Commands list the groups that they understand."""

from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, ClassVar

import torch
from transformers import TrainingArguments

from .data.files.reading import ANNOTATORS, MISSING, OVERLAPS, ReadingOptions
from .models.cells import CELLS
from .models.configuration_rnn import RnnConfig
from .options import again, check_ranges, option

# what fields of a config are when neither options nor a command say more
CONFIG_DEFAULTS = {name: each.default for name, each in RnnConfig.__dataclass_fields__.items()}

TASK_NAMES = ("text-classification", "token-classification")


@dataclass
class LoadArguments:
    """Which trained model."""

    model_name_or_path: str | None = option("Trained model, folder or Hub name; in training, what to go on from.", essential=True)
    trust_remote_code: bool = option("Run model code that comes with a checkpoint.", False)


@dataclass
class UseArguments:
    """How a trained model is used."""

    device: str = option("Where it runs: auto (the accelerator if there is one), cpu, cuda, mps, ...", "auto")
    batch_size: int = option("Texts at a time, at most; long ones are fewer.", 64, essential=True, within="[1, inf)")
    output_file: str | None = option("File to write.", essential=True)
    long_texts: str | None = option(
        "What a classifier makes of texts that are longer than it reads at a time: their beginning counts (truncate), or all of them, "
        "in one go (whole) or in constant memory (windows); by default what it was trained with, else truncate.",
        choices=["truncate", "windows", "whole"],
    )


@dataclass
class ServeArguments:
    """Several models, and where they answer."""

    # option() returns a field
    models: list[str] | None = option("Models, which may stand before all options.", essential=True)  # noqa: RUF009
    port: int = option("Port to listen at; 0 for any that is free.", 8000, essential=True, within="[0, 65535]")


@dataclass
class HubArguments:
    """What becomes of a repository on the Hub."""

    private: bool = option("Whether the repository is private if it is new; one that exists stays what it is.", True)


@dataclass
class RunArguments:
    """Which task is learnt, by which further options."""

    task: str = option("text-classification or token-classification.", "text-classification", choices=list(TASK_NAMES), essential=True)
    options_file: str | None = option("YAML or JSON file of further options of the training.", essential=True)
    seeds: int = option("Trainings of each kind, every one with another seed.", 1, essential=True, within="[1, inf)")


@dataclass
class ModelArguments(LoadArguments):
    """Which model and tokenizer to start from, or how to build them. A config field left out keeps its default."""

    config_name: str | None = option("Config (folder, file or Hub name) to build a new model from.")
    tokenizer_name: str | None = option("Tokenizer (folder or Hub name); without it one is trained on the training split.")
    cell_type: str | None = option(f"{' or '.join(', '.join(CELLS).rsplit(', ', 1))}.", essential=True)
    embedding_size: int | None = option("Width of an embedding.", within="[1, inf)")
    hidden_size: int | None = option("Width of a layer's output, both directions together.", essential=True, within="[1, inf)")
    num_hidden_layers: int | None = option("Recurrent layers.", within="[1, 1000]")
    bidirectional: bool | None = option("Whether to read rows from both ends.")
    embedding_dropout: float | None = option("Probability of dropping a whole token vector.", within="[0, 1)")
    input_dropout: float | None = option("Locked dropout on embeddings.", within="[0, 1)")
    hidden_dropout: float | None = option("Locked dropout on the output of each layer.", within="[0, 1)")
    weight_dropout: float | None = option("DropConnect on recurrent weights.", within="[0, 1)")
    classifier_dropout: float | None = option("Dropout before the output layer.", within="[0, 1)")
    pooling: str | None = option("last, mean, max or attention.")
    word_pooling: str | None = option("first, mean, max or rnn: run the recurrence over words; 'none' for pieces.")
    word_vocab_size: int | None = option("Words with a vector of their own, beside that of their pieces.", within="[0, inf)")
    linear_size: int | None = option(
        "Words and n-grams with weights in a linear model beside the recurrence; 0 for none.", within="[0, inf)"
    )
    ngram_vocab_size: int | None = option("Pairs and triples of neighbouring words with a vector of their own.", within="[0, inf)")
    use_crf: bool | None = option(
        "Whether a tagger ends in a CRF: that of spans does, of other tags too unless it reads one way, is taught or has over 100."
    )
    lookahead: int | None = option("Words that a tagger which reads one way reads beyond the one that it tags.", within="[0, inf)")
    crf_constraints: str | None = option("bio or bioes: forbid tag sequences that break the scheme.")
    vectors_file: str | None = option("word2vec, GloVe or fastText vectors as text (plain or .gz) to start embeddings from.")
    embeddings_from: str | None = option(
        "Encoder of the Hub, or static embeddings (Model2Vec, sentence-transformers), whose tokenizer and vectors to start from."
    )
    tokenizer_type: str | None = option("unigram, bpe, wordpiece, word or char.")
    vocab_size: int | None = option(
        "Size of the vocabulary to train, or to which that of `embeddings_from` is cut, 16000 then.", within="[5, 10000000]"
    )
    lowercase: bool = option("Whether the trained tokenizer lower-cases.", False)
    split_punctuation: bool = option("Whether punctuation makes words of its own.", False)
    decompose: bool = option("Whether letters are taken apart, Hangul syllables into jamo.", False)


@dataclass
class DataArguments:
    """Where the data comes from and how it is read."""

    dataset_name: str | None = option("Data set on the Hub.", essential=True)
    dataset_config_name: str | None = option("Its configuration.")
    train_file: str | None = option("Rows to train on: csv, tsv, xlsx, json, jsonl, txt, parquet, arrow, conll or conllu.", essential=True)
    validation_file: str | None = option("Rows to choose the best epoch by; carved from the training rows if left out.", essential=True)
    test_file: str | None = option("Labelled rows to measure on; in training they are read only with --do_predict.", essential=True)
    replay_file: str | None = option(
        "Rows that the model to go on from has learnt, to be learnt again beside new ones, so that it does not forget them.",
        aliases=["--replay"],
    )
    outside_file: str | None = option(
        "Texts that have none of the labels, to tell others like them by; implies --outside 0.05. Without it --outside learns from the "
        "training rows alone.",
    )
    weight_column_name: str | None = option("Column of numbers: how much each training row counts beside others.")
    text_column_name: str | None = option("Column of texts or of lists of tokens.", essential=True)
    label_column_name: str | None = option("Column of labels or of lists of tags.", essential=True)
    intent_column_name: str | None = option("Column of a class for each whole sentence, for a tagger to learn beside the tags.")
    from_text: bool | None = option(
        "Whether a tagger learns from raw text, and finds words or entities in it, rather than from tokens; so by itself for rows of text "
        "and spans. Treebanks tell their text, other tokens are joined by spaces."
    )
    problem_type: str | None = option("single_label_classification (default), multi_label_classification or regression.")
    validation_share: float | None = option(
        "Share of the training rows carved off when there is no validation split; by their number.", within="(0, 1)"
    )
    split_seed: int = option("Seed of that draw.", 42, within="[0, inf)")
    unknown_labels: str = option(
        "Labels that only validation or test have: 'error', or 'wrong' to count them as wrong.", "error", choices=["error", "wrong"]
    )
    label_columns: list[str] | None = option(  # noqa: RUF009
        "Columns of yes and no, one a label, in place of one column of labels: texts have several labels then."
    )
    label_names: list[str] | None = option(  # noqa: RUF009
        "Names of labels that are written as numbers, or as places in lists of 0 and 1, in order."
    )
    label_separator: str | None = option("What parts the labels in a cell of text, such as ','.")
    missing_labels: str = option("Rows without a label: 'error' names them all, 'drop' leaves them out.", "error", choices=list(MISSING))
    encoding: str | None = option("Encoding of text files, such as cp1252; found out by default.")
    separator: str | None = option("Character between the cells of tables, or tab; found out by default.")
    sentence_column_name: str | None = option("Column that numbers the sentences of a table with a token a row; a usual one by default.")
    overlapping_spans: str = option(
        "Spans that overlap: 'error', or which stays, the 'longest' or the 'first'.", "error", choices=list(OVERLAPS)
    )
    annotators: str = option(
        "Whose work counts where several annotated a row: the 'first', the 'last', or what more than half of them say ('agreement').",
        "first",
        choices=list(ANNOTATORS),
    )
    max_length: int | None = option(
        "Tokens to which texts are truncated (default 256); sentences to tag are never cut.",
        aliases=["--max_seq_length"],
        within="[1, inf)",
    )
    long_texts: str | None = again(UseArguments, "long_texts", None)
    max_train_samples: int | None = option("Use only so many training rows.", within="[1, inf)")
    max_eval_samples: int | None = option("Use only so many validation rows.", within="[1, inf)")
    max_predict_samples: int | None = option("Use only so many test rows.", within="[1, inf)")
    streaming: bool = option("Read rows as they are needed; needs --max_steps.", False)
    preprocessing_num_workers: int | None = option("Processes that tokenise.", within="[1, inf)")

    @property
    def reading(self) -> ReadingOptions:
        """Return how rows are read."""
        return ReadingOptions(
            text_column=self.text_column_name,
            label_column=self.label_column_name,
            sentence_column=self.sentence_column_name,
            label_columns=tuple(self.label_columns or ()),
            label_names=tuple(self.label_names or ()),
            label_separator=self.label_separator,
            missing_labels=self.missing_labels,
            overlapping_spans=self.overlapping_spans,
            annotators=self.annotators,
            encoding=self.encoding,
            separator="\t" if self.separator in ("tab", "\\t") else self.separator,
        )


# options of commands that read texts without labels
TEXT_READING = ("text_column_name", "encoding", "separator")


def text_reading(arguments: Any) -> ReadingOptions:
    """Return how rows are read by a command that has those options of `DataArguments`."""
    return DataArguments(**{name: getattr(arguments, name) for name in TEXT_READING}).reading


@dataclass
class DistillationArguments:
    """Whose answers to learn from, and how."""

    teacher_name_or_path: list[str] | None = option(  # noqa: RUF009
        "Trained models (folders or Hub names) of any kind with the same labels, or encoders, on whose vectors a regression is fitted; of "
        "several the mean probability counts."
    )
    augment: int = option(
        "Made-up rows for the teacher to answer, from the training rows; distill asks by default for what it answers in ten minutes, 30000 "
        "to 120000.",
        0,
        within="[0, 10000000]",
    )
    unlabeled_file: str | None = option("Texts without labels, for the teacher to answer; txt, csv and the like.")
    distillation_alpha: float = option("Weight of the teacher's answers beside that of the labels, 1 - alpha.", 0.9, within="(0, 1]")
    distillation_temperature: float = option("Temperature that softens the teacher's answers.", 2.0, within="(0, inf)")

    def __post_init__(self) -> None:
        check_ranges(type(self), vars(self))
        for name in ("unlabeled_file", "augment"):
            if getattr(self, name) and not self.teacher_name_or_path:
                raise ValueError(f"`{name}` needs a teacher to answer its texts. Pass --teacher_name_or_path.")


@dataclass
class CardArguments:
    """What the model card says beside what a run knows by itself."""

    title: str | None = option("Title; the name of the folder by default.")
    language: list[str] | None = option("Languages of the texts, such as ko or en.")  # noqa: RUF009
    license: str | None = option("Licence of the model, as the Hub names it, such as apache-2.0.")
    dataset_title: str | None = option("Name of the data set.")
    dataset_license: str | None = option("Licence of the data, as the Hub names it.")


@dataclass
class RnnTrainingArguments(TrainingArguments):
    """`transformers.TrainingArguments` with defaults that suit a recurrent model trained from scratch."""

    # of what the base class declares without a range
    ranges: ClassVar[dict[str, str]] = {
        **dict.fromkeys(("gradient_accumulation_steps", "eval_accumulation_steps", "ddp_timeout"), "[1, inf)"),
        **dict.fromkeys(("logging_steps", "save_steps", "eval_steps"), "(0, inf)"),
        **dict.fromkeys(("adam_beta1", "adam_beta2", "label_smoothing_factor"), "[0, 1)"),
        **dict.fromkeys(("seed", "data_seed"), "[0, 4294967295]"),
        **dict.fromkeys(("eval_delay", "dataloader_prefetch_factor"), "[0, inf)"),
        "adam_epsilon": "(0, inf)",
        "dataloader_num_workers": "[0, 256]",
        "max_steps": "[1, inf)",
    }

    output_dir: str = option("Folder for checkpoints and results.", "outputs", essential=True)
    do_train: bool = option("Train.", False, essential=True)
    do_eval: bool = option("Evaluate after every epoch, and keep the best where there are rows enough to tell.", False, essential=True)
    do_predict: bool = option("Predict the test rows at the end.", False, essential=True)
    learning_rate: float = option("Peak learning rate of AdamW.", 2e-3, essential=True, within="(0, inf)")
    lr_scheduler_type: str = option("Schedule of the learning rate.", "linear")
    warmup_steps: float = option("Steps of warm-up, or a share of all steps below 1.", 0.02, within="[0, inf)")
    max_grad_norm: float = option("Gradients are clipped to this norm.", 1.0, within="[0, inf)")
    weight_decay: float = option("Weight decay on matrices other than embeddings.", 0.01, within="[0, inf)")
    per_device_train_batch_size: int = option("Rows in a training batch.", 64, essential=True, within="[1, inf)")
    per_device_eval_batch_size: int = option("Rows in an evaluation batch.", 256, within="[1, inf)")
    num_train_epochs: float = option("Epochs.", 5.0, essential=True, within="(0, 1000000]")
    eval_strategy: str = option("When to evaluate: 'auto' means every epoch with --do_eval, else never.", "auto")
    save_strategy: str = option("When to save.", "epoch")
    logging_strategy: str = option("When to log the training loss.", "epoch")
    save_total_limit: int | None = option("Checkpoints kept.", 2, within="[1, inf)")
    load_best_model_at_end: bool = option("End with the weights of the best evaluation.", True)
    metric_for_best_model: str | None = option("Metric that chooses the best epoch; 'auto' leaves it to the task.", "auto")
    early_stopping_patience: int | None = option(
        "Stop after so many evaluations with neither a better metric nor a new least loss; 0 for never.", 3, within="[0, inf)"
    )
    max_tokens_per_batch: int | None = option(
        "Batches of as many rows of similar length as hold so many tokens, padding included, in place of a number of rows.",
        within="[1, inf)",
    )
    adversarial_epsilon: float = option(
        "Norm of an adversarial perturbation of each row's embeddings; 0 for none. Doubles the time.", 0.0, within="[0, inf)"
    )
    train_sampling_strategy: str = option(
        "group_by_length or random.", "group_by_length", choices=["group_by_length", "random", "sequential", "batch_rebalance"]
    )
    logging_nan_inf_filter: bool = option("Leave losses that are no numbers out of the log; such a run stops here.", False)
    restore_callback_states_from_checkpoint: bool = option("Restore early stopping on resume.", True)
    hub_strategy: str = option(
        "When --push_to_hub pushes: at the end, with card and curves, or after every save too.", "end", choices=["end", "every_save"]
    )
    hub_private_repo: bool | None = option("Whether --push_to_hub makes a new repository private.", True)

    def __post_init__(self) -> None:
        check_ranges(type(self), vars(self))
        # bf16 without an accelerator runs on the CPU, which the base class wants to be told
        if self.bf16 and not torch.accelerator.is_available():
            self.use_cpu = True
        if self.eval_strategy == "auto":
            self.eval_strategy = "epoch" if self.do_eval else "no"
        if "no" in (self.eval_strategy, self.save_strategy):
            self.load_best_model_at_end = False
        if self.deepspeed and find_spec("deepspeed") is None:
            raise ValueError("`deepspeed` needs the package deepspeed, which is not installed. Leave it out: these models fit one device.")
        if self.neftune_noise_alpha is not None:
            raise ValueError("`neftune_noise_alpha` is made for transformers. Pass --adversarial_epsilon, such as 0.5, instead.")
        super().__post_init__()

    def __getstate__(self) -> dict[str, Any]:
        # checkpoints hold these options
        return {**self.__dict__, "hub_token": None}


@dataclass
class LabelledTrainingArguments(RnnTrainingArguments):
    """`RnnTrainingArguments` of the commands that learn from labelled rows: what is left out follows from their number."""

    promise: float | None = option(
        "Precision to promise, such as 0.97: answers whose scores the validation rows do not show to be right so often are left to people.",
        within="(0, 1)",
    )
    outside: float | None = option(
        "Lets answers of a classifier tell how unlike its training rows a text is: the share of rows like the validation rows that may be "
        "taken for none of the labels, such as 0.05, and have a null label then.",
        within="(0, 1)",
    )
    logit_adjustment: float | None = option(
        "How far a classifier's linear model favours rare classes: its logits less so much of the logarithm of each class's share of rows; "
        "0 for not at all. By default 0.75 where the largest class has ten times the rows of the smallest.",
        within="[0, 2]",
    )
    class_weights: str | None = option(
        "How much rows of each class count in losses: balanced (all classes alike), none, or numbers by label as JSON, such as "
        "'{\"spam\": 3}'. By default none: see --logit_adjustment."
    )
    folds: int | None = option(
        "Parts of the training rows, each answered by a model of the others; in training their scores are told, and their answers kept.",
        within="[2, 100]",
    )
    # names of labels are an option of the data; those of encoded columns follow from the task
    label_names: list[str] | None = field(default=None, init=False)

    learning_rate: float | None = again(RnnTrainingArguments, "learning_rate", None)  # type: ignore[assignment]
    per_device_train_batch_size: int | None = again(RnnTrainingArguments, "per_device_train_batch_size", None)  # type: ignore[assignment]
    num_train_epochs: float | None = again(RnnTrainingArguments, "num_train_epochs", None)  # type: ignore[assignment]
    early_stopping_patience: int | None = again(RnnTrainingArguments, "early_stopping_patience", None)
    load_best_model_at_end: bool | None = again(RnnTrainingArguments, "load_best_model_at_end", None)  # type: ignore[assignment]

    def __post_init__(self) -> None:
        # who names a patience or a metric wants the best weights; else their number decides, among what has been checked for either
        is_open = self.load_best_model_at_end is None and self.early_stopping_patience is None and self.metric_for_best_model == "auto"
        if self.load_best_model_at_end is None:
            self.load_best_model_at_end = True
        super().__post_init__()
        if is_open and self.load_best_model_at_end:
            self.load_best_model_at_end = None
