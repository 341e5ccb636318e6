"""Hugging Face's tokenizers reads our tokenizer.json, and we read its files; both give the same ids on mixed text."""
import json
import os
import sys
import tempfile

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "common"))
from mixed_text import END, code_points, compare, edge_cases, mixed, run

def train_theirs(files, size):
    theirs = Tokenizer(models.BPE())
    theirs.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    theirs.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    theirs.train(files, trainers.BpeTrainer(vocab_size=size, special_tokens=[END], initial_alphabet=alphabet, show_progress=False))
    return theirs


def main(folder):
    learnt, mix = os.path.join(folder, "learnt.txt"), mixed(2, 5_500_000)
    with open(learnt, "w", encoding="utf-8", newline="") as file:
        file.write(mixed(1, 3_000_000).replace("\0", ""))  # text files hold no NUL; encode takes any
    counts = {}
    for size in (4096, 300):
        ours = os.path.join(folder, f"ours-{size}.json")
        run("tokenizer", "train", learnt, "--vocabulary", str(size), "--out", ours)
        theirs = Tokenizer.from_file(ours)
        if theirs.get_vocab_size() != size:
            sys.exit(f"{ours}: they count {theirs.get_vocab_size()} tokens, not {size}")
        counts[size] = compare(ours, theirs, mix if size > 300 else mix[:500_000], f"mixed text, our vocabulary of {size}")
    ours, theirs = os.path.join(folder, "ours-4096.json"), Tokenizer.from_file(os.path.join(folder, "ours-4096.json"))
    compare(ours, theirs, mix[:1_000_000], "mixed text with special tokens", specials=True)
    compare(ours, theirs, code_points(), "every code point")
    for number, text in enumerate(edge_cases()):
        compare(ours, theirs, text, f"edge case {number} {text[:20]!r}")
        if END in text:
            compare(ours, theirs, text, f"edge case {number} {text[:20]!r} with special tokens", specials=True)

    foreign = os.path.join(folder, "theirs.json")
    theirs = train_theirs([learnt], 4096)
    theirs.save(foreign)
    theirs_count = compare(foreign, theirs, mix, "mixed text, their vocabulary")
    merges = json.load(open(foreign, encoding="utf-8"))
    if not isinstance(merges["model"]["merges"][0], list):
        sys.exit("their file has no merges as pairs any more: nothing tests that we read them")
    if abs(counts[4096] / theirs_count - 1) > 0.01:
        sys.exit(f"our training needs {counts[4096]} tokens where theirs needs {theirs_count}")

    data = os.path.join(folder, "data")
    run("prepare", learnt, "--tokenizer", foreign, "--out", data)
    compare(os.path.join(data, "tokenizer.json"), theirs, mix[:200_000], "their vocabulary, written again by us")
    print(f"{len(mix.encode()):,} bytes of mixed text, and code points of every plane: the same ids "
          f"({counts[4096]:,} tokens with our vocabulary of 4096, {theirs_count:,} with theirs)")


with tempfile.TemporaryDirectory() as scratch:
    main(scratch)
