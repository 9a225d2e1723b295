# %% [markdown] lang="ko"
# # 영화 리뷰 분류: LSTM과 GRU
#
# 네이버 영화 리뷰가 긍정인지 부정인지 맞히는 작은 모델을 처음부터 만듭니다. 토크나이저, 길이가 다른 문장의 배치, 패킹, 두 층짜리 양방향 LSTM과 GRU,
# 그리고 학습 곡선까지 한 단계씩 봅니다. CPU 한 코어로 1분이면 끝납니다.

# %% [markdown] lang="en"
# # Film reviews with an LSTM and a GRU
#
# A small model that tells whether a Korean film review is positive or negative, from nothing: tokenizer, batches of sentences of unequal length, packing,
# a bidirectional LSTM and GRU of two layers, and their curves. It takes about a minute of one CPU core.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch.utils.data import DataLoader

import hf_rnn
from hf_rnn import RnnCollator, RnnConfig, RnnForSequenceClassification, train_tokenizer
from hf_rnn.data.files.readers import read_rows
from hf_rnn.models.packing import Packing

torch.manual_seed(0)
samples = Path(hf_rnn.__file__).parent / "samples"
train = list(read_rows(str(samples / "nsmc_train.tsv")))[:2000]
test = list(read_rows(str(samples / "nsmc_test.tsv")))
for row in train[:3]:
    print(row["label"], row["document"])

# %% [markdown] lang="ko"
# ## 토크나이저
#
# 학습 데이터만으로 BPE 토크나이저를 학습합니다. `▁`는 단어의 시작이고, 모든 문장은 `[SEP]`으로 끝납니다.

# %% [markdown] lang="en"
# ## Tokenizer
#
# Byte-pair encoding learnt from the training rows alone. `▁` is the start of a word, and every sentence ends with `[SEP]`.

# %%
tokenizer = train_tokenizer((row["document"] for row in train), "bpe", vocab_size=3000)
print(tokenizer.tokenize("정말 재미있고 감동적인 영화였어요"))

# %% [markdown] lang="ko"
# ## 길이가 다른 문장의 배치
#
# 배치는 가장 긴 문장에 맞추어 채워지고(padding), `attention_mask`가 진짜 토큰을 가리킵니다.

# %% [markdown] lang="en"
# ## Batches of sentences of unequal length
#
# A batch is as wide as its longest sentence, and `attention_mask` says which tokens are real.

# %%
labels = ["negative", "positive"]


def encode(rows):
    """Tokenise reviews."""
    ids = tokenizer([row["document"] for row in rows], truncation=True)["input_ids"]
    return [{"input_ids": sequence, "labels": labels.index(row["label"])} for sequence, row in zip(ids, rows, strict=True)]


collate = RnnCollator(tokenizer.pad_token_id)
train_batches = DataLoader(encode(train), batch_size=64, shuffle=True, collate_fn=collate)
test_batches = DataLoader(encode(test), batch_size=256, collate_fn=collate)
batch = next(iter(train_batches))
print({name: tuple(tensor.shape) for name, tensor in batch.items()})
print("tokens:", int(batch["attention_mask"].sum()), "of", batch["attention_mask"].numel(), "cells")

# %% [markdown] lang="ko"
# ## 패킹
#
# 채워진 칸을 계산하지 않으려면 문장을 길이 순서로 놓고, 시간 순서로 토큰을 이어 붙입니다. 한 스텝에서는 아직 끝나지 않은 문장만 계산합니다. 왼쪽은 채워진 배치,
# 오른쪽은 패킹된 순서입니다. 모델 안에서 저절로 일어나는 일입니다.

# %% [markdown] lang="en"
# ## Packing
#
# To compute nothing for padding, sentences are put in order of length and their tokens in order of time; a step computes only the sentences that are not over.
# Left the padded batch, right the order of the packed tokens. The model does this by itself.

# %%
mask = batch["attention_mask"][:12, :40]
packing = Packing.from_lengths(mask.sum(1))
order = torch.full((len(mask), mask.shape[1]), float("nan"))
for step, (start, size) in enumerate(packing.steps):
    order[:size, step] = torch.arange(start, start + size)
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3), layout="constrained")
left.imshow(mask, cmap="Blues", aspect="auto")
left.set(title="padded", xlabel="step", ylabel="sentence")
right.imshow(order, cmap="viridis", aspect="auto")
right.set(title="packed: colour is the place in the packed order", xlabel="step", ylabel="sentence by length")
plt.show()

# %% [markdown] lang="ko"
# ## 학습
#
# 보통의 PyTorch 학습 루프입니다. 같은 코드가 `cell_type`만 바꾸어 LSTM과 GRU를 학습합니다.

# %% [markdown] lang="en"
# ## Training
#
# An ordinary PyTorch loop. The same code trains an LSTM and a GRU: only `cell_type` changes.


# %%
def run_epoch(model, batches, optimizer=None):
    """Go once through the batches, training if there is an optimizer; return mean loss and accuracy."""
    model.train(optimizer is not None)
    total = right = count = 0
    for batch in batches:
        with torch.set_grad_enabled(optimizer is not None):
            output = model(**batch)
        if optimizer is not None:
            optimizer.zero_grad()
            output.loss.backward()
            optimizer.step()
        total += output.loss.item() * len(batch["labels"])
        right += (output.logits.argmax(-1) == batch["labels"]).sum().item()
        count += len(batch["labels"])
    return total / count, right / count


curves, models = {}, {}
for cell_type in ("lstm", "gru"):
    torch.manual_seed(0)
    config = RnnConfig(
        vocab_size=len(tokenizer),
        embedding_size=64,
        hidden_size=128,
        num_hidden_layers=2,
        bidirectional=True,
        cell_type=cell_type,
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
    )
    models[cell_type] = RnnForSequenceClassification(config)
    optimizer = torch.optim.Adam(models[cell_type].parameters(), lr=3e-3)
    curves[cell_type] = []
    for epoch in range(1, 5):
        trained, tested = run_epoch(models[cell_type], train_batches, optimizer), run_epoch(models[cell_type], test_batches)
        curves[cell_type].append((trained[1], tested[1]))
        print(f"{cell_type} epoch {epoch}: training {trained[1]:.3f}, test {tested[1]:.3f}")

# %%
figure, axes = plt.subplots(1, 2, figsize=(10, 3.2), sharey=True, layout="constrained")
for axis, (cell_type, values) in zip(axes, curves.items(), strict=True):
    for name, line in zip(("training", "test"), zip(*values, strict=True), strict=True):
        axis.plot(range(1, 5), line, "o-", label=name)
    axis.set(title=cell_type.upper(), xlabel="epoch", ylabel="accuracy")
    axis.grid(alpha=0.3)
    axis.legend()
plt.show()

# %% [markdown] lang="ko"
# 2,000개의 리뷰로는 곧 외워 버립니다. 학습 정확도와 시험 정확도가 벌어지는 것이 그 표시입니다. `hf-rnn text-classification`은 드롭아웃, 길이별 배치, 검증과
# 조기 종료를 더합니다.
#
# ## 써 보기

# %% [markdown] lang="en"
# 2,000 reviews are soon known by heart: that is what the gap between training and test says. `hf-rnn text-classification` adds dropout, batches of similar
# length, validation and early stopping.
#
# ## Using it

# %%
model = models["lstm"].eval()
for text in ("정말 재미있어요", "시간이 아깝다", "그냥 그래요"):
    scores = model(**tokenizer(text, return_tensors="pt")).logits.softmax(-1)[0]
    print(f"{labels[scores.argmax()]:9}{scores.max():.2f}  {text}")
