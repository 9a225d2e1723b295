"""Generation with the state of the recurrence as its cache."""

from typing import Any

import torch
from torch import Tensor
from transformers.generation import GenerationMixin


class StateGenerationMixin(GenerationMixin):
    """`generate` for models that take `state` and return it: batch-first, so that beams and copies of rows are rows of it."""

    _is_stateful = True

    def prepare_inputs_for_generation(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        state: Tensor | None = None,
        use_cache: bool = True,
        is_first_iteration: bool = False,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Return the whole prompt at first, then the last piece and the state before it; what else `generate` was given passes through."""
        # `generate` says `return_dict` itself
        passed = {name: value for name, value in kwargs.items() if name not in ("labels", "next_sequence_length", "return_dict")}
        inputs = {"logits_to_keep": 1, **passed, "use_cache": use_cache, "state": state}
        if use_cache and not is_first_iteration:
            return {**inputs, "input_ids": input_ids[:, -1:]}
        inputs["attention_mask"] = attention_mask
        if inputs_embeds is None:
            return {**inputs, "input_ids": input_ids}
        # ids may hold the prompt too; the mask has a column for each position of the prompt and each piece since
        known = inputs_embeds.shape[1] if attention_mask is None else attention_mask.shape[1]
        return {**inputs, "inputs_embeds": self._extended(inputs_embeds, input_ids, known - inputs_embeds.shape[1])}

    def _extended(self, prompt: Tensor, ids: Tensor, count: int) -> Tensor:
        """Return the vectors of a prompt (B, P, E), and of the last `count` ids (B, L), the pieces that were generated since."""
        return torch.cat([prompt, self.get_input_embeddings()(ids[:, -count:])], dim=1) if count else prompt

    def _update_model_kwargs_for_generation(self, outputs: Any, model_kwargs: dict[str, Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
        # without a cache every step reads all from the state that came with the prompt
        before = model_kwargs.get("state")
        model_kwargs = super()._update_model_kwargs_for_generation(outputs, model_kwargs, *args, **kwargs)
        return {**model_kwargs, "state": outputs.state if model_kwargs.get("use_cache", True) else before}

    def _prepare_cache_for_generation(self, *args: Any, **kwargs: Any) -> None:
        # the state is all there is to keep
        return None

    def _reorder_cache(self, state: Tensor | None, beams: Tensor) -> Tensor | None:
        return None if state is None else state.index_select(0, beams.to(state.device))
