#!/usr/bin/env python3
"""Record what transformers thinks of the passages, so that the engine can be measured against it.

    python tests/models/real/make.py                 all three models and both encoders, about ten minutes on two cores
    python tests/models/real/make.py gemma3 e5

Every tensor of the GGUF file is dequantised to f32 by gguf-py and put into transformers' own model
by hand: the point is a second reading of the file that shares nothing with ours.
"""

import argparse
import gc
import json
import os
import sys
from pathlib import Path

import gguf
import numpy as np
import torch
import transformers
from tokenizers import Tokenizer
from transformers import BertModel, Gemma3ForCausalLM, Gemma3TextConfig, LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "text"))
import references  # noqa: E402

PASSAGES = ("english", "spanish", "code")
CLASSES = {
    "llama": (LlamaConfig, LlamaForCausalLM),
    "gemma3": (Gemma3TextConfig, Gemma3ForCausalLM),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM),
}
OUTSIDE = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
INSIDE = {
    "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm", "ffn_norm": "post_attention_layernorm", "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}
GEMMA = {
    "ffn_norm": "pre_feedforward_layernorm", "post_attention_norm": "post_attention_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}
ENCODERS = {"minilm": "all-MiniLM-L6-v2", "e5": "multilingual-e5-small"}
TEXTS = ("The capital of France is Paris.", "query: ¿Cuál es la capital de Francia?", "Wie spät ist\tes  in Köln?\n",
         "naïve café — 3.14 Ünïcode! 東京タワー ﬁne ½ ㎏", "def add(a, b):\n    return a + b", "x",
         "a signal box stands beside the line and sets the points before a train comes " * 12)


def main() -> None:
    known = [*references.FILES, *ENCODERS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"{', '.join(known)}; default all")
    names = parser.parse_args().models or known
    chosen = os.environ.get("SIGNALBOX_MODEL_CACHE")
    folder = Path(chosen) if chosen else Path.home() / ".cache/signalbox/models"
    torch.set_num_threads(2)
    for name in names:
        (record_encoder if name in ENCODERS else record)(name, folder)
        gc.collect()


def record(name: str, folder: Path) -> None:
    tokenizer = references.real(name, folder)
    model = load(gguf.GGUFReader(folder / references.FILES[name]))
    contents = {"file": references.FILES[name], "torch": torch.__version__.split("+")[0],
                "transformers": transformers.__version__, "passages": {}}
    for passage in PASSAGES:
        text = (HERE / "passages" / f"{passage}.txt").read_text(encoding="utf-8")
        ids = tokenizer.encode(text).ids
        contents["passages"][passage] = measured = measure(model, ids)
        print(f"{name} {passage}: {len(ids)} tokens, perplexity {measured['perplexity']:.4f}", flush=True)
    write(HERE / f"{name}.json", contents)


@torch.inference_mode()
def record_encoder(name: str, folder: Path) -> None:
    """The mean of the tokens of each text, of the length one. Sentences are read as the checkpoint's own tokenizer does."""
    tokenizer = Tokenizer.from_file(str(folder / ENCODERS[name] / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    model = BertModel.from_pretrained(folder / ENCODERS[name], dtype=torch.float32, attn_implementation="eager").eval()
    lines = []
    for text in TEXTS:
        ids = tokenizer.encode(text).ids
        vector = torch.nn.functional.normalize(model(torch.tensor([ids])).last_hidden_state[0].mean(0), dim=0)
        record = {"text": text, "ids": ids, "vector": [float(f"{x:.7g}") for x in vector.tolist()]}
        lines.append(json.dumps(record, ensure_ascii=False, separators=(",", ":")))
    (HERE / f"{name}.json").write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


@torch.inference_mode()
def measure(model, ids: list[int]) -> dict:
    logits = model(torch.tensor([ids])).logits[0].double()
    nll = torch.nn.functional.cross_entropy(logits[:-1], torch.tensor(ids[1:]), reduction="none")
    return {"perplexity": round(nll.mean().exp().item(), 6), "ids": ids,
            "nll": [round(x, 5) for x in nll.tolist()], "top1": logits.argmax(-1).tolist()}


def load(file: gguf.GGUFReader):
    read = lambda key: file.fields[key].contents() if key in file.fields else None
    kind = read("general.architecture")
    config, model = CLASSES[kind]
    tied = not any(tensor.name == "output.weight" for tensor in file.tensors)
    config = config(**settings(kind, lambda key: read(f"{kind}.{key}")), vocab_size=len(read("tokenizer.ggml.tokens")),
                    tie_word_embeddings=tied, attn_implementation="eager")
    model = model(config).eval()
    missing = dict(model.named_parameters())
    for tensor in file.tensors:
        target = private_name(tensor.name, kind)
        if target is None:
            continue
        values = torch.from_numpy(np.array(gguf.dequantize(tensor.data, tensor.tensor_type), dtype=np.float32))
        missing.pop(target).data = restore(values, tensor.name, kind, config)
    assert not missing, f"the file does not fill {sorted(missing)}"
    model.tie_weights()
    return model


def settings(kind: str, read) -> dict:
    """The configuration in transformers' words. Where a file is silent, llama.cpp's reader has a default."""
    heads = read("attention.head_count")
    common = {
        "hidden_size": read("embedding_length"), "intermediate_size": read("feed_forward_length"),
        "num_hidden_layers": read("block_count"), "num_attention_heads": heads,
        "num_key_value_heads": read("attention.head_count_kv"), "max_position_embeddings": read("context_length"),
        "rms_norm_eps": read("attention.layer_norm_rms_epsilon"),
        "head_dim": read("attention.key_length") or read("embedding_length") // heads,
    }
    theta = read("rope.freq_base")
    if kind != "gemma3":
        return common | {"rope_parameters": {"rope_type": "default", "rope_theta": theta}}
    pattern = ["full_attention" if (layer + 1) % 6 == 0 else "sliding_attention" for layer in range(read("block_count"))]
    rope = {"full_attention": {"rope_type": "default", "rope_theta": theta},
            "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}}
    return common | {"layer_types": pattern, "sliding_window": read("attention.sliding_window"),
                     "query_pre_attn_scalar": common["head_dim"], "rope_parameters": rope}


def private_name(name: str, kind: str) -> str | None:
    parts = name.split(".")
    if parts[0] != "blk":
        return f"{OUTSIDE[parts[0]]}.{parts[1]}" if parts[0] in OUTSIDE else None
    inside = INSIDE | (GEMMA if kind == "gemma3" else {})
    return f"model.layers.{parts[1]}.{inside[parts[2]]}.{parts[3]}"


def restore(values: torch.Tensor, name: str, kind: str, config) -> torch.Tensor:
    """Undo what llama.cpp's converter did: Llama's query and key rows interleaved, Gemma's norms plus one."""
    if kind == "gemma3" and name.endswith("norm.weight"):
        return values - 1
    heads = {"attn_q.weight": config.num_attention_heads, "attn_k.weight": config.num_key_value_heads}
    for ending, count in heads.items():
        if kind == "llama" and name.endswith(ending):
            rows, columns = values.shape
            return values.reshape(count, rows // count // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)
    return values


def write(path: Path, contents: dict) -> None:
    """A list a line, so that a diff shows what moved."""
    dump = lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    passages = [f'"{name}":{{' + ",\n".join(f'"{key}":{dump(value)}' for key, value in passage.items()) + "}"
                for name, passage in contents.pop("passages").items()]
    path.write_text(dump(contents)[:-1] + ',"passages":{\n' + ",\n".join(passages) + "}}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
