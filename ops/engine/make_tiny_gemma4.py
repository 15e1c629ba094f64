"""Makes a Gemma 4 of three million random weights: its words are noise, its code path is Gemma 4's. Run by the
engine's own python: `make_tiny_gemma4.py FOLDER`. Nothing is downloaded: the tokenizer learns its words from Python's
own manual.
"""

import sys
from pathlib import Path
from pydoc_data.topics import topics

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import Gemma4ForCausalLM, Gemma4TextConfig, PreTrainedTokenizerFast

SEED = 4
WORDS = 2048
# The marks of Gemma 4's turns, thoughts and tool calls, as vLLM's parsers look for them.
TURN_END, CHANNEL_END = "<turn|>", "<channel|>"
MARKS = (
    *("<pad>", "<eos>", "<bos>", "<unk>"),
    *("<|turn>", TURN_END, "<|think|>", "<|channel>", CHANNEL_END, '<|"|>'),
    *("<|tool>", "<tool|>", "<|tool_call>", "<tool_call|>", "<|tool_response>", "<tool_response|>"),
)
# With thinking on, the model's turn begins inside its thoughts: noise would not open them by itself.
TEMPLATE = """{{ bos_token }}{% if enable_thinking %}<|turn>system
<|think|><turn|>
{% endif %}{% for message in messages %}<|turn>{{ 'model' if message.role == 'assistant' else message.role }}
{{ message.content | trim }}<turn|>
{% endfor %}{% if add_generation_prompt %}<|turn>model
{% if enable_thinking %}<|channel>thought
{% endif %}{% endif %}"""
# Makes the end of the thoughts likelier than one token in two thousand, so that some answers have both.
LOUDER = 2.0
# What the layers add, over what comes in: with tied embeddings an unchanged state repeats its own token for ever.
STRONGER = 8.0


def make_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-pair tokenizer of ASCII words: whatever the model draws, it can be read."""
    words = Tokenizer(models.BPE(unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=WORDS, special_tokens=list(MARKS), show_progress=False)
    text = (
        line.encode("ascii", "ignore").decode()
        for topic in sorted(topics)
        for line in topics[topic].splitlines(keepends=True)
    )
    words.train_from_iterator(text, trainer)
    made = PreTrainedTokenizerFast(
        tokenizer_object=words, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>", unk_token="<unk>"
    )
    made.chat_template = TEMPLATE
    return made


def make_model(tokenizer: PreTrainedTokenizerFast) -> Gemma4ForCausalLM:
    """The 31B's shape in small: five layers with a window, one without, whose keys are its values."""
    torch.manual_seed(SEED)
    config = Gemma4TextConfig(
        vocab_size=len(tokenizer),
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=2,
        num_global_key_value_heads=1,
        head_dim=64,
        global_head_dim=128,
        attention_k_eq_v=True,
        sliding_window=512,
        max_position_embeddings=8192,
        hidden_size_per_layer_input=0,
        final_logit_softcapping=30.0,
        initializer_range=0.1,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=[tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids(TURN_END)],
        pad_token_id=tokenizer.pad_token_id,
    )
    model = Gemma4ForCausalLM(config).to(torch.bfloat16)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if ".post_" in name and name.endswith("layernorm.weight"):
                weight.mul_(STRONGER)
        model.get_input_embeddings().weight[tokenizer.convert_tokens_to_ids(CHANNEL_END)] *= LOUDER
    return model


def main(folder: Path) -> None:
    """Writes both; the same weights each time."""
    tokenizer = make_tokenizer()
    model = make_model(tokenizer)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    print(f"{sum(weight.numel() for weight in model.parameters()):,} random weights in {folder}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
