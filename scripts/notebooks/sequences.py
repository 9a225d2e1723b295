# %% [markdown] lang="ko"
# # 순서를 읽는 모델: LSTM의 상태와 품사 태거
#
# LSTM은 한 번에 하나씩 읽고, 읽은 것을 상태에 담습니다. 한 걸음씩 읽은 결과와 한꺼번에 읽은 결과가 같음을 보이고, 게이트와 상태를 그리고, 가장 작은 품사 태거를 학습합니다.

# %% [markdown] lang="en"
# # A model that reads in order: states of an LSTM, and a tagger
#
# An LSTM reads one thing at a time and keeps what it read in its state. Reading step by step equals reading at once; gates and states are drawn; and the smallest
# part-of-speech tagger is trained.

# %%
import matplotlib.pyplot as plt
import torch

from hf_rnn import RnnConfig, RnnForTokenClassification, RnnModel

torch.manual_seed(1)
lstm = RnnModel(RnnConfig(vocab_size=10, embedding_size=3, hidden_size=3, num_hidden_layers=1, bidirectional=False)).eval()
inputs = torch.randn(1, 5, 3)

# %% [markdown] lang="ko"
# ## 한 걸음씩, 또는 한꺼번에
#
# `state`는 나오고 다시 들어갑니다. 두 방법의 숫자가 같습니다.

# %% [markdown] lang="en"
# ## Step by step, or at once
#
# `state` comes out and goes in again. Both ways give the same numbers.

# %%
with torch.no_grad():
    state, steps = None, []
    for vector in inputs.unbind(1):
        output = lstm(inputs_embeds=vector[:, None], state=state)
        steps.append(output.last_hidden_state)
        state = output.state
    whole = lstm(inputs_embeds=inputs)
print("largest difference:", (torch.cat(steps, 1) - whole.last_hidden_state).abs().max().item())
hidden, cell = whole.state.transpose(0, 1).chunk(2, dim=-1)
print("the last output is the hidden state:", torch.equal(hidden[-1], whole.last_hidden_state[:, -1]))

# %% [markdown] lang="ko"
# ## DET NN V: 가장 작은 태거
#
# 두 문장이면 됩니다. 단어마다 벡터 하나, LSTM, 태그의 점수.

# %% [markdown] lang="en"
# ## DET NN V: the smallest tagger
#
# Two sentences are enough: a vector for each word, an LSTM, scores of tags.

# %%
data = [("The dog ate the apple", "DET NN V DET NN"), ("Everybody read that book", "NN V DET NN")]
data = [(sentence.split(), gold.split()) for sentence, gold in data]
words = {word: index for index, word in enumerate(dict.fromkeys(word for sentence, _ in data for word in sentence), start=1)}
tags = ["DET", "NN", "V"]
config = RnnConfig(
    vocab_size=len(words) + 1,
    embedding_size=6,
    hidden_size=6,
    num_hidden_layers=1,
    bidirectional=False,
    input_dropout=0.0,
    hidden_dropout=0.0,
    classifier_dropout=0.0,
    id2label=dict(enumerate(tags)),
    label2id={tag: index for index, tag in enumerate(tags)},
)
tagger = RnnForTokenClassification(config)
optimizer = torch.optim.SGD(tagger.parameters(), lr=0.5)
losses = []
for _ in range(300):
    for sentence, gold in data:
        optimizer.zero_grad()
        ids = torch.tensor([[words[word] for word in sentence]])
        loss = tagger(ids, labels=torch.tensor([[tags.index(tag) for tag in gold]])).loss
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
tagger.eval()
for sentence, gold in data:
    best = tagger(torch.tensor([[words[word] for word in sentence]])).logits.argmax(-1)[0]
    found = [tags[tag] for tag in best]
    assert found == gold
    print(" ".join(f"{word}/{tag}" for word, tag in zip(sentence, found, strict=True)))

# %%
plt.figure(figsize=(8, 2.6), layout="constrained")
plt.plot(losses)
plt.yscale("log")
plt.xlabel("step")
plt.ylabel("loss")
plt.grid(alpha=0.3)
plt.show()

# %% [markdown] lang="ko"
# ## 게이트와 상태
#
# 셀의 식을 그대로 씁니다. 순서는 PyTorch와 같이 입력(i), 망각(f), 후보(g), 출력(o)입니다. 손으로 계산한 값이 모델의 값과 같은지 확인하고 그립니다.
#
# > `c = f * c + i * g`, `h = o * tanh(c)`

# %% [markdown] lang="en"
# ## Gates and states
#
# The equations of the cell as they stand, in PyTorch's order: input (i), forget (f), candidate (g), output (o). What is computed by hand is checked against the
# model, and drawn.
#
# > `c = f * c + i * g`, `h = o * tanh(c)`

# %%
sentence = data[0][0]
ids = torch.tensor([[words[word] for word in sentence]])
weights = tagger.base_model.layers[0].recurrence
trace = {name: [] for name in ("input gate", "forget gate", "output gate", "cell", "hidden")}
with torch.no_grad():
    h = c = torch.zeros(6)
    for vector in tagger.get_input_embeddings()(ids)[0]:
        sums = weights.weight_ih_l0 @ vector + weights.bias_ih_l0 + weights.weight_hh_l0 @ h + weights.bias_hh_l0
        i, f, g, o = sums.chunk(4)
        i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
        c = f * c + i * g
        h = o * c.tanh()
        for name, values in zip(trace, (i, f, o, c, h), strict=True):
            trace[name].append(values)
    expected = tagger.base_model(ids).last_hidden_state[0]
assert torch.allclose(torch.stack(trace["hidden"]), expected, atol=1e-5)

figure, axes = plt.subplots(1, 5, figsize=(13, 3), sharey=True, layout="constrained")
for axis, (name, values) in zip(axes, trace.items(), strict=True):
    is_gate = name.endswith("gate")
    image = axis.imshow(torch.stack(values).T, cmap="Blues" if is_gate else "RdBu", vmin=0 if is_gate else -1.5, vmax=1 if is_gate else 1.5)
    axis.set(title=name)
    axis.set_xticks(range(len(sentence)), sentence, rotation=60)
    figure.colorbar(image, ax=axis, shrink=0.7)
axes[0].set_ylabel("unit")
plt.show()
