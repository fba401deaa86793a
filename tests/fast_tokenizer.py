"""A fast tokenizer around a `tokenizers` model, with the special tokens that all tests use."""

from tokenizers import Tokenizer, processors
from transformers import PreTrainedTokenizerFast


def fast(inner: Tokenizer, **more: str) -> PreTrainedTokenizerFast:
    """It puts `<s>`, id 0, before a sentence and `</s>`, id 2, after it; windows hold 64 subwords at most."""
    inner.post_processor = processors.TemplateProcessing("<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token="<s>",
        eos_token="</s>",
        cls_token="<s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        model_max_length=64,
        **more,
    )
