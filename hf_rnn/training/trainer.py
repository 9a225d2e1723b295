"""Trainer for recurrent models: batches of similar length, accuracy while training, adversarial embeddings."""

from pathlib import Path
from typing import Any

import torch
from accelerate.data_loader import prepare_data_loader
from datasets import Dataset
from huggingface_hub import CommitInfo
from huggingface_hub.errors import HfHubHTTPError
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Sampler, SequentialSampler
from transformers import EarlyStoppingCallback, PreTrainedTokenizerBase, Trainer
from transformers.trainer_callback import ExportableState
from transformers.trainer_utils import HubStrategy, TrainOutput, get_last_checkpoint
from transformers.utils import logging

from ..data.loading import forget_lengths
from ..data.rows.collator import SHARES
from ..models.pretrained import let_read
from ..sharing import hub
from .checkpoints import checkpoint_problem, last_complete_checkpoint, order_times, write_checksums
from .regularization import AdversarialEmbeddings
from .resuming import BATCHING, KeptRates, changed_options, check_shape, describe_changes, one_line, write_options
from .samplers import LengthGroupedSampler, TokenBudgetSampler, row_lengths
from .stopping import is_best
from .total_loss import TotalLoss

logger = logging.get_logger(__name__)

# what no weight of a model that works comes near
LARGEST_WEIGHT = 1e9


class TrainingDivergedError(ValueError):
    """The loss or a weight stopped being a number."""


class RnnTrainer(Trainer):
    """`transformers.Trainer` for recurrent models.

    With `train_sampling_strategy="group_by_length"` training batches are of similar length while evaluation keeps the order of the data
    set. The accuracy on the training batches is logged beside the loss, but with a CRF. Embeddings and CRF scores have no weight decay. A
    model that runs over words and was never told where they start reads it from `processing_class`. A run whose loss or weights are no
    numbers any more stops with a `TrainingDivergedError`; checkpoints come with checksums; a run that had stopped early does not train on
    when resumed.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._train_counts: Tensor | None = None
        # options that are not those of the checkpoint that it goes on from
        self._changed: dict[str, tuple[Any, Any]] = {}
        # steps that other batches took more than those of now would have
        self._offset = 0
        self.add_callback(TotalLoss())
        if getattr(self.model, "needs_piece_types", False) and getattr(self.processing_class, "is_fast", False):
            self.model.set_piece_types(self.processing_class)
        if self.args.torch_compile and self.model.config.model_type == "hf_rnn":
            raise ValueError(
                "`torch_compile` unrolls a recurrence step by step, for every length of rows anew, and does not end; got true. Leave "
                "--torch_compile out: the layers have kernels of their own."
            )
        if self.label_smoother is not None and getattr(self.model.config, "use_crf", False):
            raise ValueError(
                f"`label_smoothing_factor` smooths independent classes, but `use_crf` is on; got {self.args.label_smoothing_factor}. "
                "Pass --label_smoothing_factor 0 or --use_crf false."
            )

    def get_train_dataloader(self) -> DataLoader:
        """Return batches of the training rows, by a budget of tokens if the arguments give one.

        Raises:
            ValueError: The budget cannot hold a row, or the rows come as a stream.
        """
        budget = getattr(self.args, "max_tokens_per_batch", None)
        if budget is None:
            return super().get_train_dataloader()
        if not isinstance(self.train_dataset, Dataset):
            raise ValueError("`max_tokens_per_batch` needs the lengths of all rows, which a stream does not tell. Leave it out.")
        sampler = TokenBudgetSampler(
            row_lengths(self.train_dataset), budget, self._data_seed, self.args.process_index, self.args.world_size
        )
        workers = self.args.dataloader_num_workers
        loader = DataLoader(
            self._remove_unused_columns(self.train_dataset, description="Training"),
            batch_sampler=sampler,
            collate_fn=self.data_collator,
            num_workers=workers,
            pin_memory=self.args.dataloader_pin_memory,
            persistent_workers=self.args.dataloader_persistent_workers and workers > 0,
        )
        # the sampler has already chosen the batches of this process
        return prepare_data_loader(loader, self.accelerator.device, num_processes=1, process_index=0, put_on_device=True)

    @property
    def _data_seed(self) -> int:
        return self.args.seed if self.args.data_seed is None else self.args.data_seed

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler | None:
        dataset = self.train_dataset if train_dataset is None else train_dataset
        if self.args.train_sampling_strategy != "group_by_length" or not isinstance(dataset, Dataset):
            return super()._get_train_sampler(train_dataset)
        batch_size = self.args.train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size
        return LengthGroupedSampler(row_lengths(dataset), batch_size, self._data_seed)

    def _get_eval_sampler(self, eval_dataset: Dataset) -> Sampler | None:
        # the strategy of the base class groups evaluation too, and predictions would come back permuted
        is_plain = isinstance(eval_dataset, Dataset) and self.args.train_sampling_strategy == "group_by_length"
        return SequentialSampler(eval_dataset) if is_plain else super()._get_eval_sampler(eval_dataset)

    def push_to_hub(
        self,
        commit_message: str | None = "End of training",
        blocking: bool = True,
        token: str | None = None,
        revision: str | None = None,
        private: bool | None = None,
        **kwargs: Any,
    ) -> CommitInfo | None:
        """Push the output folder in one commit, after it has proved itself in a clean process; see `hub.push`.

        A card that is there stays; without one the base class drafts it, from `kwargs`. `blocking` has no meaning here.

        Raises:
            ValueError: The folder lacks something or does not work elsewhere.
        """
        token = token or self.args.hub_token
        if self.hub_model_id is None:
            self.init_hf_repo(token=token, private=private)
        self.save_model(_internal_call=True)
        if not self.is_world_process_zero():
            return None
        if not (Path(self.args.output_dir) / "README.md").is_file():
            self.create_model_card(**kwargs)
        private = self.args.hub_private_repo if private is None else private
        revision = revision or self.args.hub_revision
        return hub.push(self.args.output_dir, self.hub_model_id, private, commit_message or "Upload model", revision, token=token)

    def init_hf_repo(self, *args: Any, **kwargs: Any) -> None:
        """Make the repository; see the base class.

        Raises:
            ValueError: Checkpoints are to go there too.
        """
        if self.args.hub_strategy not in (HubStrategy.END, HubStrategy.EVERY_SAVE):
            raise ValueError(
                f"`hub_strategy` must be 'end' or 'every_save', got {self.args.hub_strategy.value!r}, which would push what checkpoints "
                "are resumed from: paths of this machine stand in it. Pass one of the two."
            )
        super().init_hf_repo(*args, **kwargs)

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        # the base class uploads the whole output folder: predictions, which hold texts, and pickled options, which hold paths
        if not self.is_world_process_zero() or self.args.hub_strategy == HubStrategy.END:
            return
        step = self.state.global_step
        try:
            message = f"Training in progress, step {step}"
            hub.push_checkpoint(checkpoint_folder, self.hub_model_id, message, self.args.hub_revision, self.args.hub_token)
        except (ValueError, HfHubHTTPError) as error:
            # a network that is gone ends no training
            logger.warning(f"Step {step} was not pushed: {error}")

    def train(self, resume_from_checkpoint: str | bool | None = None, *args: Any, **kwargs: Any) -> TrainOutput:
        """Train, from a checkpoint on if one is named; see the base class.

        Raises:
            ValueError: The model of the checkpoint has other sizes or labels.
            TrainingDivergedError: The loss or a weight is no number any more.
        """
        last = get_last_checkpoint(self.args.output_dir) if resume_from_checkpoint is True else None
        folder = resume_from_checkpoint if isinstance(resume_from_checkpoint, str) else last
        if folder and (Path(folder) / "config.json").exists():
            check_shape(Path(folder), self.accelerator.unwrap_model(self.model).config)
        return super().train(resume_from_checkpoint, *args, **kwargs)

    def get_decay_parameter_names(self, model: nn.Module) -> list[str]:
        """Return the names of the parameters that decay: matrices other than embeddings and CRF scores."""
        names = super().get_decay_parameter_names(model)
        return [name for name in names if "_embeddings" not in name and "crf." not in name]

    def training_step(self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Tensor:
        """Take a step; with `adversarial_epsilon`, add the gradient of the loss at perturbed embeddings."""
        epsilon = getattr(self.args, "adversarial_epsilon", 0.0)
        if not epsilon:
            return self._count_loss(super().training_step(model, inputs, num_items_in_batch))
        adversary = AdversarialEmbeddings(self.accelerator.unwrap_model(model).get_input_embeddings(), epsilon)
        inputs = self._prepare_inputs(inputs)
        with adversary.record():
            loss = super().training_step(model, dict(inputs), num_items_in_batch)
        with adversary.perturb(inputs["attention_mask"]):
            perturbed = super().training_step(model, dict(inputs), num_items_in_batch)
        return self._count_loss(loss, perturbed)

    @property
    def _total_loss(self) -> TotalLoss:
        # resuming replaces the callbacks
        return next(callback for callback in self.callback_handler.callbacks if isinstance(callback, TotalLoss))

    def _count_loss(self, loss: Tensor, *others: Tensor) -> Tensor:
        """Add a loss to the total; stop the run once it is known that it, or another one, is no number."""
        self._check_loss(self._total_loss.add(self.state.global_step + 1, loss, *others))
        return loss

    def _check_loss(self, bad_step: int) -> None:
        if bad_step:
            raise self._diverged(bad_step, "the loss is NaN or infinite")

    def _diverged(self, step: int, what: str) -> TrainingDivergedError:
        last = last_complete_checkpoint(self.args.output_dir, self.args.world_size)
        kept = f"The last good checkpoint is {last}." if last else "No checkpoint was written before."
        return TrainingDivergedError(
            f"Training stopped at step {step}: {what}. {kept} Lower --learning_rate (it is "
            f"{self.args.learning_rate:g}) or --max_grad_norm ({self.args.max_grad_norm:g}), and look for extreme values in the data."
        )

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save the model, unless a weight is NaN or absurdly large: no checkpoint holds such weights.

        Raises:
            TrainingDivergedError: There is such a weight.
        """
        self._check_loss(self._total_loss.bad_step)
        for name, parameter in self.model.named_parameters():
            # false for NaN too
            if not (parameter.detach().abs() < LARGEST_WEIGHT).all():
                raise self._diverged(self.state.global_step + 1, f"weight {name!r} is NaN or beyond {LARGEST_WEIGHT:g}")
        if isinstance(self.processing_class, PreTrainedTokenizerBase):
            forget_lengths(self.processing_class)
        super().save_model(output_dir, _internal_call)
        if self.args.should_save:
            # models of others too
            let_read(output_dir or self.args.output_dir)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        if self.args.world_size > 1:
            total = torch.tensor(self._total_loss.total, device=self.args.device)
            self._total_loss.total = self.accelerator.reduce(total, reduction="mean").item()
        for callback in (*self.callback_handler.callbacks, self.control):
            # the base class fails on those that an older checkpoint did not know
            if isinstance(callback, ExportableState):
                self.state.stateful_callbacks.setdefault(type(callback).__name__, {})
        folder = Path(self._get_output_dir(trial)) / f"checkpoint-{self.state.global_step}"
        if self.args.should_save:
            # first, as older checkpoints are removed before the base class returns
            folder.mkdir(parents=True, exist_ok=True)
            order_times(folder)
            write_options(folder, self.args, self._offset)
        super()._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            write_checksums(folder)

    def _init_training_state(
        self, max_steps: int, num_update_steps_per_epoch: int, num_train_epochs: int, resume_from_checkpoint: str | None, trial: Any
    ) -> tuple[int, int]:
        steps = num_update_steps_per_epoch
        with one_line():
            found = super()._init_training_state(max_steps, steps, num_train_epochs, resume_from_checkpoint, trial)
        if resume_from_checkpoint is None:
            return found
        self._changed, self._offset = changed_options(Path(resume_from_checkpoint), self.args)
        if self._changed:
            logger.warning(describe_changes(resume_from_checkpoint, self._changed))
        if self._changed.keys() & set(BATCHING) and self.state.epoch is not None:
            # an epoch is as many rows as before, in other steps; their number goes on, since checkpoints are called after it
            self._offset = self.state.global_step - round(self.state.epoch * steps)
        if not self._offset:
            return found
        self.state.max_steps += self._offset
        place = self.state.global_step - self._offset
        return place // steps, place % steps * self.args.gradient_accumulation_steps

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        kept = KeptRates(self.optimizer, self.lr_scheduler) if checkpoint is not None and self._changed else None
        super()._load_optimizer_and_scheduler(checkpoint)
        if kept is not None:
            kept.restore(self.state.global_step - self._offset)

    def _issue_warnings_after_load(self, load_result: Any) -> None:
        # weights that are tied to others are stored once, and loaded with those
        missing = [name for name in load_result.missing_keys if name not in self.model.all_tied_weights_keys]
        super()._issue_warnings_after_load(load_result._replace(missing_keys=missing))

    def _run_epoch(self, **kwargs: Any) -> None:
        # a checkpoint of a run that had stopped early: to train on would end elsewhere than the run itself
        stopping = [callback for callback in self.callback_handler.callbacks if isinstance(callback, EarlyStoppingCallback)]
        if any(callback.early_stopping_patience_counter >= callback.early_stopping_patience for callback in stopping):
            self.control.should_training_stop = True
            return
        super()._run_epoch(**kwargs)

    def _determine_best_metric(self, metrics: dict[str, float], trial: Any) -> bool:
        name = str(self.args.metric_for_best_model).removeprefix("eval_")
        if self.state.best_metric == metrics.get(f"eval_{name}") and is_best(
            self.state, self.state.best_metric, self.args.greater_is_better
        ):
            # the base class knows of the metric alone, which is as good
            self.state.best_metric = None
        return super()._determine_best_metric(metrics, trial)

    def _load_best_model(self) -> None:
        problem = checkpoint_problem(Path(self.state.best_model_checkpoint), self.args.world_size)
        if problem is None or self.args.save_only_model:
            super()._load_best_model()
        else:
            logger.warning(f"The best checkpoint {self.state.best_model_checkpoint} is lost ({problem}): the last weights are kept.")

    def compute_loss(self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, **kwargs: Any) -> Any:
        """Return the loss, counting right answers on the way while training."""
        labels, shares, count = inputs.get("labels"), inputs.pop(SHARES, None), kwargs.get("num_items_in_batch")
        if shares is not None and model.training:
            inputs["labels"] = shares
        if count is not None:
            # where no row of the batch has a label, a teacher's alone count, or none do
            kwargs["num_items_in_batch"] = count.clamp(min=1) if isinstance(count, Tensor) else max(count, 1)
        loss, outputs = super().compute_loss(model, inputs, return_outputs=True, **kwargs)
        logits = outputs.get("logits")
        if self.label_smoother is not None and model.training and inputs.get("intents") is not None:
            # the smoother takes the loss of tags alone, in place of what the model says
            loss = loss + cross_entropy(outputs["intent_logits"], inputs["intents"], label_smoothing=self.args.label_smoothing_factor)
        # a masked language model makes no logits while it trains; those of a tagger with a CRF are emissions, whose arg max is no answer
        are_answers = logits is not None and not getattr(self.model.config, "use_crf", False)
        if model.training and are_answers and labels is not None and not labels.is_floating_point():
            counted = labels != -100
            counts = torch.stack([((logits.detach().argmax(-1) == labels) & counted).sum(), counted.sum()])
            self._train_counts = counts if self._train_counts is None else self._train_counts + counts
        return (loss, outputs) if return_outputs else loss

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        if SHARES not in self._signature_columns:
            self._signature_columns.append(SHARES)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log, with the training accuracy since the last time, if there is one, beside the training loss."""
        self._check_loss(self._total_loss.bad_step)
        if "loss" in logs and self._train_counts is not None:
            right, total = self.accelerator.reduce(self._train_counts, reduction="sum").tolist()
            logs["accuracy"] = right / max(total, 1)
            self._train_counts = None
        if "train_loss" in logs:
            # of all steps, those before a resumption too
            logs["train_loss"] = self._mean_loss()
        super().log(logs, start_time)

    def _mean_loss(self) -> float:
        total = torch.tensor(self._total_loss.total, device=self.args.device)
        return self.accelerator.reduce(total, reduction="mean").item() / max(self.state.global_step, 1)
