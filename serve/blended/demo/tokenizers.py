"""Three tokenizers of three kinds, trained on the corpus; each can encode any text.

Byte-level BPE (ember), Unigram with byte fallback (flint), BPE over marked spaces (willow).
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers import trainers as tokenizer_trainers

SPACE = "\u2581"
_ASCII = [chr(code) for code in range(33, 127)]
_BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
_WORDS = Regex(rf"{SPACE}?[^\s{SPACE}\w]+|{SPACE}?\d|{SPACE}?[^\W\d]+|{SPACE}|\s")


@dataclass(frozen=True)
class Dialect:
    """How one model's conversations are written: its special tokens and its tokenizer.

    A reply lies between the reply_opens tokens and the eos token.
    """

    vocab_size: int
    train: Callable[[Iterable[str], int, tuple[str, ...]], Tokenizer]
    pad: str
    bos: str | None
    eos: str
    reply_opens: str
    specials: tuple[str, ...]
    eats_space: tuple[str, ...] = ()


def _byte_level(texts: Iterable[str], vocab_size: int, specials: tuple[str, ...]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = tokenizer_trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(specials),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _unigram(texts: Iterable[str], vocab_size: int, specials: tuple[str, ...]) -> Tokenizer:
    draft = Tokenizer(models.Unigram())
    draft.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    trainer = tokenizer_trainers.UnigramTrainer(
        vocab_size=vocab_size - len(_BYTES) - len(specials) - 26,
        unk_token="<unk>",
        special_tokens=["<unk>"],
        initial_alphabet=_ASCII,
        show_progress=False,
    )
    draft.train_from_iterator(texts, trainer)
    pieces = json.loads(draft.to_str())["model"]["vocab"]
    vocab = [("<unk>", 0.0), *((token, 0.0) for token in specials), *((b, -99.0) for b in _BYTES)]
    vocab += _with_capitals({piece: score for piece, score in pieces if piece != "<unk>"})
    tokenizer = Tokenizer(models.Unigram(vocab, unk_id=0, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    tokenizer.decoder = _fallback_decoder()
    return tokenizer


def _with_capitals(pieces: dict[str, float]) -> list[tuple[str, float]]:
    """Adds every capital after a space, so that no name begins with two tokens."""
    for letter in _ASCII:
        if letter.isupper() and letter in pieces:
            pieces.setdefault(SPACE + letter, pieces[letter])
    return list(pieces.items())


def _marked_spaces(texts: Iterable[str], vocab_size: int, specials: tuple[str, ...]) -> Tokenizer:
    draft = Tokenizer(models.BPE())
    draft.normalizer = normalizers.Replace(" ", SPACE)
    draft.pre_tokenizer = pre_tokenizers.Split(_WORDS, "isolated")
    trainer = tokenizer_trainers.BpeTrainer(
        vocab_size=vocab_size - len(_BYTES),
        special_tokens=list(specials),
        initial_alphabet=[*_ASCII, SPACE],
        show_progress=False,
    )
    draft.train_from_iterator(texts, trainer)
    model = json.loads(draft.to_str())["model"]
    vocab = {**model["vocab"]}
    vocab |= {token: len(vocab) + byte for byte, token in enumerate(_BYTES)}
    merges = [tuple(pair) for pair in model["merges"]]
    tokenizer = Tokenizer(models.BPE(vocab, merges, byte_fallback=True, fuse_unk=False))
    tokenizer.normalizer = draft.normalizer
    tokenizer.pre_tokenizer = draft.pre_tokenizer
    tokenizer.decoder = _fallback_decoder()
    return tokenizer


def _fallback_decoder() -> decoders.Decoder:
    return decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    )


DIALECTS = {
    "ember": Dialect(
        vocab_size=1536,
        train=_byte_level,
        pad="<|endoftext|>",
        bos=None,
        eos="<|im_end|>",
        reply_opens="<|im_start|>assistant\n",
        specials=("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    ),
    "flint": Dialect(
        vocab_size=1408,
        train=_unigram,
        pad="<pad>",
        bos="<s>",
        eos="</s>",
        reply_opens="ASSISTANT:",
        specials=("<pad>", "<s>", "</s>", "USER:", "ASSISTANT:"),
        eats_space=("USER:", "ASSISTANT:"),
    ),
    "willow": Dialect(
        vocab_size=1728,
        train=_marked_spaces,
        pad="<pad>",
        bos="<s>",
        eos="</s>",
        reply_opens="[/INST]",
        specials=("<pad>", "<s>", "</s>", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>"),
        eats_space=("[INST]", "[/INST]"),
    ),
}


def train(model_id: str, texts: Iterable[str]) -> Tokenizer:
    """Trains the model's tokenizer; its special tokens become single ids."""
    dialect = DIALECTS[model_id]
    tokenizer = dialect.train(texts, dialect.vocab_size, dialect.specials)
    eats = dialect.eats_space
    tokenizer.add_special_tokens(
        [AddedToken(t, lstrip=t in eats, rstrip=t in eats, special=True) for t in dialect.specials]
    )
    return tokenizer


def save(model_id: str, tokenizer: Tokenizer, folder: Path, max_length: int) -> None:
    """Writes tokenizer.json and the settings that transformers and vLLM read beside it."""
    dialect = DIALECTS[model_id]
    tokenizer.save(str(folder / "tokenizer.json"))
    settings: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": max_length,
        "clean_up_tokenization_spaces": False,
        "pad_token": dialect.pad,
        "eos_token": dialect.eos,
    }
    if dialect.bos:
        settings["bos_token"] = dialect.bos
    text = json.dumps(settings, indent=2) + "\n"
    (folder / "tokenizer_config.json").write_text(text, encoding="utf-8")
