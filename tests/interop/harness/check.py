"""The harness's own figures for a model behind `lmu serve` are ours: bits per byte of a text are those that `lmu eval` sums up over the
same windows, and of two ways to end a sentence it chooses the one that our log-probabilities make likelier."""
import glob
import json
import math
import os
import subprocess
import sys
import tempfile
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "common"))
from served import Served

ROLLING = """task: lmu_rolling
dataset_path: json
dataset_kwargs: {data_files: {test: %s}}
test_split: test
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{text}}"
metric_list:
  - metric: bits_per_byte
"""
CHOICE = """task: lmu_choice
dataset_path: json
dataset_kwargs: {data_files: {test: %s}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: choices
doc_to_target: "{{gold}}"
target_delimiter: ""
metric_list:
  - metric: acc
"""
QUESTIONS = [("The state of a", " stream", " xqzw!!"), ("A test checks", " it.", " qqqq."), ("Each file is", " zzvv", " a part"),
             ("The kernels are", " of the", " 9#9#")]


def ask(url, **request):
    body = json.dumps(request).encode()
    with urllib.request.urlopen(urllib.request.Request(url + "/v1/completions", body)) as answer:
        return json.load(answer)["choices"][0]


def loglikelihood(url, begin, rest):
    """Of `rest` behind `begin`: it begins with a space, where tokens end."""
    whole = ask(url, prompt=begin + rest, max_tokens=0, echo=True, logprobs=0)["logprobs"]
    return sum(value for value, offset in zip(whole["token_logprobs"], whole["text_offset"]) if offset >= len(begin))


def make_tasks(folder, texts, questions):
    for name, task, rows in (("rolling", ROLLING, texts), ("choice", CHOICE, questions)):
        with open(f"{folder}/{name}.jsonl", "w") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
        with open(f"{folder}/{name}.yaml", "w") as file:
            file.write(task % f"{folder}/{name}.jsonl")


def harness(program, served, folder):
    with open(served.at("tokenizer_config.json"), "w") as file: # what transformers wants beside tokenizer.json
        json.dump({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|endoftext|>"}, file)
    arguments = f"model=run,base_url={served.url}/v1/completions,tokenizer={served.folder},num_concurrent=4,max_length=4096"
    done = subprocess.run([program, "run", "--model", "local-completions", "--model_args", arguments, "--tasks",
                           "lmu_rolling,lmu_choice", "--include_path", folder, "--output_path", f"{folder}/out", "--batch_size",
                           "2"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          env=dict(os.environ, HF_HUB_OFFLINE="1", HF_HOME=f"{folder}/hf", TRANSFORMERS_OFFLINE="1"))
    assert done.returncode == 0, done.stdout[-4000:]
    with open(glob.glob(f"{folder}/out/**/results_*.json", recursive=True)[0]) as file:
        return json.load(file)["results"]


def main(lmu, program):
    with tempfile.TemporaryDirectory() as folder, Served(lmu, folder) as served:
        with open("docs/text.md") as file:
            page = file.read()
        texts = [{"text": page[:900]}, {"text": page[900:1500]}]
        likelier = [loglikelihood(served.url, q, a) < loglikelihood(served.url, q, b) for q, a, b in QUESTIONS]
        make_tasks(folder, texts, [{"question": q, "choices": [a, b], "gold": int(second)}
                                   for (q, a, b), second in zip(QUESTIONS, likelier)])
        results = harness(program, served, folder)
        assert results["lmu_choice"]["acc,none"] == 1, results
        nats = sum(sum(ask(served.url, prompt="<|endoftext|>" + one["text"], specials=True, max_tokens=0, echo=True,
                           logprobs=0)["logprobs"]["token_logprobs"][1:]) for one in texts)
        size = sum(len(one["text"].encode()) for one in texts)
        expected, got = -nats / size / math.log(2), results["lmu_rolling"]["bits_per_byte,none"]
        assert abs(expected - got) < 1e-4, (expected, got)
        print(f"lm-evaluation-harness: {got:.4f} bits per byte, ours {expected:.4f}; {len(QUESTIONS)} choices as ours")


if __name__ == "__main__":
    main(*sys.argv[1:3])
