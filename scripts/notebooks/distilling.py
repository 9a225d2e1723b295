# %% [markdown] lang="ko"
# # 트랜스포머에서 LSTM으로, 10분 만에
#
# 파인튜닝한 트랜스포머는 라벨 몇천 개로는 배울 수 없는 것을 알고 있지만 느리고 큽니다. 이 노트북은 그 답을 작은 LSTM에 가르칩니다. `Trainer`를 써 보았다면 새로 배울
# 것은 명령 하나뿐입니다. CPU 한 코어로 1분쯤 걸립니다.
#
# **무엇을 쓰는가.** 네트워크 없이 실행되도록, 선생은 내려받은 모델이 아니라 여기서 직접 학습하는 작은 BERT입니다. 선생은 라벨이 있는 리뷰 3,000개를 배우고, 학생에게는
# 그중 500개와, 선생도 본 적이 없는 라벨 없는 리뷰 2,000개만 줍니다. 실제로는 `teacher` 자리에 여러분이 파인튜닝한 모델의 폴더나 Hub 이름을 쓰면 됩니다.

# %% [markdown] lang="en"
# # From a transformer to an LSTM in ten minutes
#
# A fine-tuned transformer knows what a few thousand labels cannot teach, but it is slow and large. This notebook teaches its answers to a small LSTM. If you
# know `Trainer`, one command is all that is new. It takes about a minute of one CPU core.
#
# **What is used.** So that it runs without a network, the teacher is no model from the Hub but a small BERT trained right here. It learns from 3,000 reviews
# with labels; the student gets 500 of them, and 2,000 without labels that are new to both, as if the teacher came from elsewhere. With your own data, `teacher`
# is the folder or the Hub name of the transformer that you fine-tuned.

# %%
import csv
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from datasets import Dataset
from transformers import BertConfig, BertForSequenceClassification, DataCollatorWithPadding, Trainer, TrainingArguments, pipeline
from transformers.utils import logging

import hf_rnn
from hf_rnn.commands import distill, text_classification
from hf_rnn.data.files.readers import read_rows
from hf_rnn.evaluation.speed import measure_costs
from hf_rnn.inference.predictor import Predictor

logging.set_verbosity_error()
logging.disable_progress_bar()
samples = Path(hf_rnn.__file__).parent / "samples"
rows = list(read_rows(str(samples / "nsmc_train.tsv")))
test = list(read_rows(str(samples / "nsmc_test.tsv")))
labelled, few, unlabelled = rows[:3000], rows[:500], rows[3000:]

folder = Path("outputs/distilling")
folder.mkdir(parents=True, exist_ok=True)


def write(name, rows):
    """Write reviews as a csv file."""
    with open(folder / name, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([["text", "label"], *([row["document"], row["label"]] for row in rows)])
    return str(folder / name)


files = ["--train_file", write("train.csv", few), "--test_file", write("test.csv", test)]
(folder / "texts.txt").write_text("\n".join(row["document"] for row in unlabelled), encoding="utf-8")
students = f"{len(few)} with labels and {len(unlabelled)} without for the student"
print(f"{len(labelled)} reviews for the teacher; {students}; {len(test)} to test both")

# %% [markdown] lang="ko"
# ## 선생
#
# 평범한 `Trainer`로 학습하는 BERT입니다. 여러분의 선생이 이미 있다면 이 칸은 건너뛰어도 됩니다.

# %% [markdown] lang="en"
# ## The teacher
#
# A BERT, trained by `Trainer` as always. If you have your teacher already, this is the cell that you skip.

# %%
torch.manual_seed(0)
names = ["negative", "positive"]
tokenizer = hf_rnn.train_tokenizer((row["document"] for row in labelled), "bpe", vocab_size=4000)
data = Dataset.from_list([{**tokenizer(row["document"], truncation=True), "labels": names.index(row["label"])} for row in labelled])
config = BertConfig(
    vocab_size=len(tokenizer),
    hidden_size=128,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=512,
    pad_token_id=tokenizer.pad_token_id,
    id2label=dict(enumerate(names)),
    label2id={name: index for index, name in enumerate(names)},
)
trainer = Trainer(
    BertForSequenceClassification(config),
    TrainingArguments(
        str(folder / "run"),
        learning_rate=1e-3,
        warmup_steps=0.1,
        per_device_train_batch_size=32,
        num_train_epochs=5,
        train_sampling_strategy="group_by_length",
        save_strategy="no",
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
        logging_strategy="no",
    ),
    train_dataset=data,
    data_collator=DataCollatorWithPadding(tokenizer),
    processing_class=tokenizer,
)
trainer.train()
teacher = str(folder / "teacher")
trainer.save_model(teacher)

# %% [markdown] lang="ko"
# ## 학생 혼자
#
# 먼저 선생 없이, 라벨이 있는 500개만으로 학습합니다. 나중에 비교할 기준입니다. `--linear_size 0`은 LSTM 옆의 선형 모델을 끕니다: 여기서는 LSTM이 무엇을 배우는지만 봅니다.

# %% [markdown] lang="en"
# ## The student alone
#
# First without a teacher, on the 500 rows with labels: what the rest is compared with. `--linear_size 0` leaves out the linear model that otherwise stands beside the
# LSTM, so that what the LSTM learns is seen alone.

# %%
(folder / "student.yaml").write_text(
    "embedding_size: 128\nhidden_size: 128\nnum_hidden_layers: 1\nlinear_size: 0\nnum_train_epochs: 6\ndisable_tqdm: true\nuse_cpu: true\n"
)
options = [str(folder / "student.yaml"), *files, "--do_train", "--do_eval", "--do_predict", "--output_dir", str(folder / "alone")]
alone = text_classification.main(options)["test_accuracy"]

# %% [markdown] lang="ko"
# ## 선생에게 배우기
#
# 명령 줄에서는 이렇게 합니다.
#
# > `hf-rnn distill --teacher my/transformer --train_file train.csv --test_file test.csv --unlabeled_file texts.txt --output_dir student`
#
# 선생이 라벨 없는 글과 만들어 낸 글(`--augment`)에 답하고, 학생은 선생의 토크나이저와 벡터에서 출발해 그 답을 배웁니다. 학생의 학습 옵션은 `--options_file`로 줍니다.
# Python에서는 같은 것을 함수로 부릅니다. 끝에 둘을 비교한 표가 나옵니다. 검증 점수가 시험 점수보다 높은 것은 선생이 그 행들을 이미 보았기 때문입니다.

# %% [markdown] lang="en"
# ## Learning from the teacher
#
# On the command line it is
#
# > `hf-rnn distill --teacher my/transformer --train_file train.csv --test_file test.csv --unlabeled_file texts.txt --output_dir student`
#
# The teacher answers the texts without labels, and some that are made up (`--augment`); the student starts from the teacher's tokenizer and vectors and learns those
# answers. How the student is trained comes from `--options_file`. From Python it is a function with the same options. At the end stands a table of both. Scores on
# validation rows are flattering: the teacher has learnt from them. Those on test are not.

# %%
more = ["--unlabeled_file", str(folder / "texts.txt"), "--augment", "2000", "--options_file", str(folder / "student.yaml")]
student = folder / "student"
lines = distill.main(["--teacher", teacher, *files, *more, "--output_dir", str(student)])

# %% [markdown] lang="ko"
# ## 크기와 속도
#
# 여기의 선생은 장난감이라 학생보다 빠를 수도 있습니다. 속도는 가중치의 값이 아니라 모양에 달려 있으므로, 실제로 쓰는 인코더의 모양(MiniLM: 6층, 폭 384)을 한 무작위 모델도
# 같이 잽니다. 정확도는 의미가 없으니 비워 둡니다. 다른 일이 같이 돌면 모두 느려집니다.

# %% [markdown] lang="en"
# ## Size and speed
#
# The teacher here is a toy, and may even be faster than its student. Speed depends on the shape of a model and not on what its weights say, so a random model in the shape
# of an encoder that people use (MiniLM: 6 layers, 384 wide) is timed as well; its accuracy would mean nothing and is left out. What else runs on the machine slows all of them.

# %%
shape = BertConfig(vocab_size=30522, hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536)
encoder = Predictor(BertForSequenceClassification(shape).eval(), tokenizer)
texts = [row["document"] for row in test]
lines |= measure_costs({"MiniLM's shape": encoder}, texts)
figure, axes = plt.subplots(1, 4, figsize=(13, 2.6), layout="constrained")
scores = {"student alone": alone, "student": lines["student"]["accuracy"], "teacher": lines["teacher"]["accuracy"]}
axes[0].barh(list(scores), list(scores.values()), color="tab:blue")
axes[0].set(title="accuracy on test", xlim=(0.5, 0.9))
for axis, name in zip(axes[1:], ("MiB", "texts/s alone", "texts/s in batches"), strict=True):
    values = {model: line[name] for model, line in lines.items()}
    axis.barh(list(values), list(values.values()), color="tab:green")
    axis.set(title=name)
for axis in axes:
    axis.bar_label(axis.containers[0], fmt="%.3g", padding=2, fontsize=8)
    axis.margins(x=0.25)
    axis.invert_yaxis()
plt.show()

# %% [markdown] lang="ko"
# ## 쓰기
#
# 학생은 평범한 체크포인트입니다. 선생은 더 이상 필요 없습니다.

# %% [markdown] lang="en"
# ## Use it
#
# The student is a checkpoint like any other, and needs its teacher no more.

# %%
classify = pipeline("text-classification", model=str(student))
for text in ("정말 재미있고 감동적인 영화였어요", "시간이 아깝다 최악의 영화"):
    print(classify(text)[0]["label"], text)

# %% [markdown] lang="ko"
# ## 다음
#
# - 진짜 선생으로: [Distil](../distil.md) 쪽에 MiniLM에게 배운 모델의 수치가 있습니다.
# - 반정밀도나 int8로 더 작게: [Share](../share.md#smaller-files), [ONNX](../onnx.md).

# %% [markdown] lang="en"
# ## Where next
#
# - With a real teacher: [Distil](../distil.md) has what models taught by MiniLM score.
# - Smaller still, in half precision or int8: [Share](../share.md#smaller-files), [ONNX](../onnx.md).
