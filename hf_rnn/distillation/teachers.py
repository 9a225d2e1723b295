"""Teachers: trained models of any architecture, or frozen encoders with a regression on their vectors; and what they answered before."""

import hashlib
import json
import sqlite3
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from huggingface_hub.constants import HF_HOME
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.model_selection import cross_val_predict
from torch import Tensor, nn
from transformers import AutoModel
from transformers.utils.logging import get_logger

from ..data import fingerprints
from ..data.devices import find_device
from ..data.loading import load_config, load_tokenizer
from ..data.progress import Progress
from ..inference.loading import load
from ..inference.predictor import Predictor
from ..linear.convergence import TO_THE_END
from ..tasks.decoding import Text, task_of

logger = get_logger(__name__)

# answers are kept here, a file a teacher
STORE = Path(HF_HOME) / "hf_rnn" / "answers"
PENALTIES, FOLDS = (1.0, 4.0, 16.0, 64.0), 5
# texts by which a teacher's speed is measured
TIMED = 256


class Answering(Protocol):
    """What is asked: answers a batch of texts by one array each."""

    fingerprint: str

    def answer(self, texts: list[Text]) -> Sequence[np.ndarray]:
        """Return an array for each text."""


def fingerprint(name: str, dtype: torch.dtype = torch.float32) -> str:
    """Return a hash of what a teacher answers by: all that is loaded of it, and the precision of its products."""
    model = fingerprints.fingerprint(name)
    return model if dtype == torch.float32 else hashlib.sha256(f"{dtype} {model}".encode()).hexdigest()[:32]


# variables of one query that every SQLite takes
MOST_VARIABLES = 500


class Store:
    """What a teacher has answered, on disk: a text is asked once, in this run or any other.

    Args:
        teacher (`Answering`): Who is asked.
        folder (`Path`, *optional*): Where answers are kept; `STORE` by default.
    """

    def __init__(self, teacher: Answering, folder: Path | None = None) -> None:
        folder = folder or STORE
        self.teacher = teacher
        self.path = folder / f"{teacher.fingerprint}.sqlite"
        self._keeps = True
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.base = self._open()
        except (sqlite3.OperationalError, OSError) as error:
            raise ValueError(
                f"{self.path}: answers cannot be kept there ({error}). Wait for the other run, or set HF_HOME to another folder."
            ) from error
        except sqlite3.DatabaseError as error:
            logger.warning(f"{self.path} is damaged ({error}): the teacher is asked again.")
            self.path.unlink()
            self.base = self._open()

    def _open(self) -> sqlite3.Connection:
        base = sqlite3.connect(self.path, timeout=60)
        base.execute("CREATE TABLE IF NOT EXISTS answers (text BLOB PRIMARY KEY, shape TEXT, value BLOB)")
        (problem,) = base.execute("PRAGMA quick_check(1)").fetchone()
        columns = [row[1] for row in base.execute("PRAGMA table_info(answers)")]
        if problem != "ok" or columns != ["text", "shape", "value"]:
            raise sqlite3.DatabaseError(problem if problem != "ok" else f"it has the columns {columns}")
        return base

    def ask(self, texts: Sequence[Text], batch_size: int = 256) -> list[np.ndarray]:
        """Return the answer to each text, in fp32; texts of similar length are asked together, and each answer is kept at once."""
        keys = [hashlib.sha256(json.dumps(text).encode()).digest() for text in texts]
        found = self._find(set(keys))
        open_ = {key: text for key, text in zip(keys, texts, strict=True) if key not in found}
        order = sorted(open_, key=lambda key: len(open_[key]))
        # what is long takes longer, and comes last
        with Progress(f"{len(order):,} texts for the teacher", sum(len(text) for text in open_.values())) as progress:
            for start in range(0, len(order), batch_size):
                chosen = order[start : start + batch_size]
                for key, value in zip(chosen, self.teacher.answer([open_[key] for key in chosen]), strict=True):
                    found[key] = np.asarray(value, dtype=np.float32)
                self._keep([(key, json.dumps(found[key].shape), found[key].tobytes()) for key in chosen])
                progress.advance(sum(len(open_[key]) for key in chosen))
        return [found[key] for key in keys]

    def _keep(self, rows: list[tuple[bytes, str, bytes]]) -> None:
        """Keep answers, until that cannot be done: the store of another user, or a full disk."""
        if not self._keeps:
            return
        try:
            with self.base:
                self.base.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", rows)
        except sqlite3.OperationalError as error:
            self._keeps = False
            logger.warning(f"{self.path}: answers can be read there but not kept ({error}): the next run will ask for them again.")

    def _find(self, keys: set[bytes]) -> dict[bytes, np.ndarray]:
        found: dict[bytes, np.ndarray] = {}
        wanted = list(keys)
        for start in range(0, len(wanted), MOST_VARIABLES):
            chosen = wanted[start : start + MOST_VARIABLES]
            places = ",".join("?" * len(chosen))
            for key, shape, value in self.base.execute(f"SELECT text, shape, value FROM answers WHERE text IN ({places})", chosen):
                # what is no answer is asked again
                with suppress(ValueError, TypeError):
                    found[key] = np.frombuffer(value, np.float32).reshape(json.loads(shape))
        return found


class HeadTeacher:
    """A classifier or tagger with the labels of the data, in any order.

    Args:
        name (`str`): Folder or Hub name.
        labels (`list`): Label names of the student, in order.
        dtype (`torch.dtype`): What its products are computed in; fp32, or half precision by autocast.

    Raises:
        ValueError: It knows other labels.
    """

    def __init__(self, name: str, labels: list[str], dtype: torch.dtype = torch.float32) -> None:
        self.fingerprint = fingerprint(name, dtype)
        self.dtype = dtype
        self.predictor: Predictor = load(name)
        known = {label: int(index) for index, label in self.predictor.model.config.id2label.items()}
        if set(known) != set(labels):
            raise ValueError(
                f"The teacher {name!r} must know the labels of the data, {labels[:20]}, got {list(known)[:20]}. "
                "Train it on the same labels."
            )
        self.order = [known[label] for label in labels]
        self.mask_token = self.predictor.tokenizer.mask_token

    def answer(self, texts: list[Text]) -> Sequence[np.ndarray]:
        """Return the logits of each text, (C,), or of the tokens of each sentence, (W, C), in the teacher's order of labels."""
        with _products_in(self.dtype, self.predictor.model.device):
            return [logits.numpy() for logits in self.predictor.decoder.logits(texts)]

    def probabilities(
        self, texts: Sequence[Text], labels: Sequence[str | None], store: Path | None = None, has_several: bool = False
    ) -> list[Tensor]:
        """Return the probabilities of each text or token in the student's order of labels, or of each label where there are several."""
        ordered = (torch.from_numpy(logits[..., self.order]) for logits in Store(self, store).ask(texts))
        return [logits.sigmoid() if has_several else logits.softmax(-1) for logits in ordered]


class EmbeddingTeacher:
    """A frozen encoder and a logistic regression on its vectors of labelled texts, as in SetFit's second stage (Tunstall et al. 2022).

    Args:
        name (`str`): Folder or Hub name.
        labels (`list`): Label names of the student, in order.
        dtype (`torch.dtype`): What its products are computed in; fp32, or half precision by autocast.
    """

    def __init__(self, name: str, labels: list[str], dtype: torch.dtype = torch.float32) -> None:
        self.fingerprint = fingerprint(name, dtype)
        self.dtype = dtype
        self.labels = labels
        self.name = name
        self.tokenizer = load_tokenizer(name)
        self.mask_token = self.tokenizer.mask_token

    @cached_property
    def encoder(self) -> Any:
        """Return the encoder, loaded when it is first asked."""
        return AutoModel.from_pretrained(self.name).to(find_device()).eval()

    @torch.inference_mode()
    def answer(self, texts: list[Text]) -> Sequence[np.ndarray]:
        """Return the vector of each text: the mean of its states, of length 1."""
        plain = [text if isinstance(text, str) else " ".join(text) for text in texts]
        limit = min(self.tokenizer.model_max_length, 512)
        # a tokenizer may have been saved with padding to a fixed length
        batch = self.tokenizer(plain, padding="longest", truncation=True, max_length=limit, return_tensors="pt").to(self.encoder.device)
        mask = batch["attention_mask"].unsqueeze(2)
        with _products_in(self.dtype, self.encoder.device):
            states = self.encoder(**batch).last_hidden_state.float()
        mean = (states * mask).sum(1) / mask.sum(1).clamp(min=1)
        return list(nn.functional.normalize(mean, dim=1).cpu().numpy())

    def probabilities(
        self, texts: Sequence[Text], labels: Sequence[str | None], store: Path | None = None, has_several: bool = False
    ) -> list[Tensor]:
        """Return the probabilities of each text; of those with labels, by a regression that has not seen them."""
        ids = np.array([-1 if label is None else self.labels.index(label) for label in labels])
        known = np.flatnonzero(ids >= 0)
        counts = np.bincount(ids[known], minlength=len(self.labels))
        if counts[counts > 0].min(initial=FOLDS) < FOLDS:
            rare = self.labels[int(np.where(counts > 0, counts, FOLDS).argmin())]
            raise ValueError(
                f"A regression on vectors of {self.name!r} needs {FOLDS} rows of every class, got {counts[counts > 0].min()} of {rare!r}. "
                "Add rows, or name a teacher that was trained on these labels."
            )
        vectors = np.stack(Store(self, store).ask(texts))
        options = {"cv": FOLDS, "scoring": "neg_log_loss", **TO_THE_END, "l1_ratios": (0,), "use_legacy_attributes": False}
        regression = LogisticRegressionCV(Cs=PENALTIES, **options).fit(vectors[known], ids[known])
        found = np.zeros((len(texts), len(self.labels)))
        found[:, regression.classes_] = regression.predict_proba(vectors)
        plain = LogisticRegression(C=float(np.mean(regression.C_)), **TO_THE_END)
        held_out = cross_val_predict(plain, vectors[known], ids[known], cv=FOLDS, method="predict_proba")
        found[np.ix_(known, regression.classes_)] = held_out
        right = (found[known].argmax(1) == ids[known]).mean()
        logger.warning(f"A regression on vectors of {self.name} is right on {right:.1%} of the labelled rows that it has not seen.")
        return list(torch.from_numpy(found).float())


def answers_a_second(teacher: Answering, texts: Sequence[Text]) -> float:
    """Return how many texts like these a teacher answers a second, asked as `Store` asks: those of similar length together."""
    chosen = sorted(texts[:: max(1, len(texts) // TIMED)][:TIMED], key=len)
    # the first batch warms up
    teacher.answer(chosen[: max(1, TIMED // 16)])
    start = time.perf_counter()
    teacher.answer(chosen)
    return len(chosen) / max(time.perf_counter() - start, 1e-9)


def _products_in(dtype: torch.dtype, device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32)


def load_teachers(
    names: Iterable[str], labels: list[str], needs_head: bool, dtype: torch.dtype = torch.float32
) -> list[HeadTeacher | EmbeddingTeacher]:
    """Load teachers: those with a head for the task as they are, encoders without one for classifiers by their vectors."""
    teachers: list[HeadTeacher | EmbeddingTeacher] = []
    for name in names:
        head = (load_config(name).architectures or [""])[0]
        kind = HeadTeacher if needs_head or task_of(head) is not None else EmbeddingTeacher
        teachers.append(kind(name, labels, dtype))
    return teachers
