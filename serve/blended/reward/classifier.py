"""The large reward model: a sequence classifier with one label, by transformers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from blended import demo
from blended.reward.examples import Pair
from blended.reward.transcript import TOKENS


@dataclass(frozen=True)
class Classifier:
    """A classifier with one label, and its tokenizer, which keeps the last tokens of a text."""

    net: Any
    tokenizer: Any
    dtype: torch.dtype

    @classmethod
    def load(cls, base: str, device: str) -> "Classifier":
        """A base model with a new head; `demo:NAME` is one of the demo's."""
        name = (
            str(demo.model_path(base.removeprefix("demo:"))) if base.startswith("demo:") else base
        )
        tokenizer = AutoTokenizer.from_pretrained(
            name, truncation_side="left", padding_side="right"
        )
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        net: Any = AutoModelForSequenceClassification.from_pretrained(name, num_labels=1)
        dtype = net.dtype
        net.config.pad_token_id = tokenizer.pad_token_id
        return cls(net.float().to(device), tokenizer, dtype)

    def score(self, texts: Sequence[str]) -> torch.Tensor:
        """The scores of transcripts, shape (n,)."""
        read = self.tokenizer(
            list(texts), truncation=True, max_length=TOKENS, padding=True, return_tensors="pt"
        ).to(self.net.device)
        is_gpu = self.net.device.type == "cuda"
        with torch.autocast(self.net.device.type, dtype=torch.bfloat16, enabled=is_gpu):
            found = self.net(
                input_ids=read.input_ids, attention_mask=read.attention_mask, use_cache=False
            )
        scores: torch.Tensor = found.logits[:, 0].float()
        return scores

    @torch.inference_mode()
    def scores(self, pairs: Sequence[Pair], batch: int) -> NDArray[np.float64]:
        """Of the rejected and the kept answers, shape (pairs, 2)."""
        self.net.eval()
        order = sorted(range(len(pairs)), key=lambda place: len(pairs[place].kept.text))
        found = np.zeros((len(pairs), 2))
        for start in range(0, len(order), batch):
            rows = order[start : start + batch]
            texts = [a.text for row in rows for a in (pairs[row].rejected, pairs[row].kept)]
            found[rows] = self.score(texts).cpu().numpy().reshape(-1, 2)
        return found

    def round(self) -> None:
        """Round the weights, and nothing else, to the type in which they are kept."""
        for weights in self.net.parameters():
            weights.data = weights.data.to(self.dtype).float()

    def save(self, folder: Path) -> None:
        """Write all that vLLM and transformers read; there is no chat template to apply."""
        self.tokenizer.chat_template = None
        self.tokenizer.save_pretrained(folder)
        self.net.to(self.dtype).save_pretrained(folder)
