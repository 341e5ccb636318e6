"""Text of every kind, and the comparison of our ids with those of Hugging Face's tokenizers."""
import json
import random
import subprocess
import sys

LMU = sys.argv[1]
END = "<|endoftext|>"

# ---- text of every kind, the same at every run ----

WORDS = (
    "the of and a to in is you that it he was for on are as with his they I at be this have from or one had by word but "
    "not what all were we when your can said there use an each which she do how their if will up other about out many "
    "then them these so some her would make like him into time has look two more write go see number no way could people "
    "my than first water been call who oil its now find long down day did get come made may part memory Legendre "
    "polynomial window orthogonal attention recurrent".split()
)
CONTRACTIONS = ["don't", "it's", "we'll", "they've", "I'm", "you'd", "we're", "DON'T", "'tis", "o'clock", "dogs'", "''", "'", "'l", "'v"]
CODE = 'for (int i = 0; i < n; i++) {\n\tx[i] += 0x1F * y[i];\t// a comment\n    }\n\n#define A(b)  ((b) ? "c\\n" : \'d\')\n'
EMOJI = [chr(c) for c in range(0x1F300, 0x1F650)] + ["👩‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪🇫🇷", "👍🏽", "❤️", "1️⃣"]
COMBINING = [chr(c) for c in range(0x300, 0x370)] + [chr(c) for c in range(0x591, 0x5C8)] + [chr(c) for c in range(0x900, 0x980)]
SPACES = [" ", "\t", "\n", "\v", "\f", "\r", "\x1c", "\x1d", "\x1e", "\x1f", "\x85", "\xa0", "\u1680", "\u180e"] + [
    chr(c) for c in [*range(0x2000, 0x2010), 0x2028, 0x2029, 0x202F, 0x205F, 0x2060, 0x3000, 0xFEFF, 0x200B]
]
SCRIPTS = [(0x4E00, 0x9FFF), (0x3040, 0x30FF), (0xAC00, 0xD7A3), (0x400, 0x4FF), (0x370, 0x3FF), (0x600, 0x6FF), (0x5D0, 0x5EA),
           (0xE00, 0xE5B), (0x900, 0x97F), (0x1F00, 0x1FFF), (0x660, 0x669), (0x2150, 0x218F), (0x2460, 0x24FF), (0x20000, 0x2A6DF)]


def any_character(draw):
    while True:
        code = draw.choice([draw.randrange(0x110000), draw.randrange(0x10000), draw.randrange(0x800), draw.randrange(0x80)])
        if not 0xD800 <= code < 0xE000:
            return chr(code)


def fragment(draw):
    kind = draw.randrange(11)
    if kind == 0:
        return draw.choice(CONTRACTIONS)
    if kind == 1:
        return CODE[draw.randrange(60):][: draw.randrange(60)]
    if kind == 2:
        return "".join(draw.choices(EMOJI, k=draw.randrange(1, 5)))
    if kind == 3:
        return "".join(draw.choice("aeiou \u0628n") + draw.choice(COMBINING) for _ in range(draw.randrange(1, 6)))
    if kind == 4:
        return "".join(draw.choices(SPACES, k=draw.randrange(1, 7)))
    if kind == 5:
        first, last = draw.choice(SCRIPTS)
        return "".join(chr(draw.randint(first, last)) for _ in range(draw.randrange(1, 20)))
    if kind == 6:
        return "".join(any_character(draw) for _ in range(draw.randrange(1, 12)))
    if kind == 7:
        return draw.choice(["-", "=", " ", "\n", "a", "é", "中", "\0", "😀", "7", "\u3000"]) * min(2000, int(draw.paretovariate(0.9)))
    if kind == 8:
        return str(draw.randrange(10 ** draw.randrange(1, 15))) + draw.choice(["", ".5", "%", " €", "th"])
    if kind == 9:
        return "".join(chr(c) for c in draw.choices([*range(0x20), 0x7F, *range(0x80, 0xA0)], k=draw.randrange(1, 5)))
    return END


def mixed(seed, size):
    draw = random.Random(seed)
    parts, length = [], 0
    while length < size:
        piece = " ".join(draw.choices(WORDS, k=draw.randrange(1, 25))) + draw.choice([" ", "", ", ", ".\n", "\n\n", "  "])
        if draw.random() < 0.7:
            piece += fragment(draw) + draw.choice(["", " "])
        parts.append(piece)
        length += len(piece.encode())
    return "".join(parts)


def code_points():
    """Every code point before and after letters, digits and white space; of planes without characters, and of those for private use, every 16th."""
    codes = [c for c in range(0x110000) if c < 0x40000 or c >> 16 == 0xE or c % 16 == 15]
    return "".join(f"{chr(c)}a{chr(c)}1 {chr(c)}" for c in codes if not 0xD800 <= c < 0xE000)


def edge_cases():
    yield ""
    for space in SPACES:
        for text in (space, space * 2, "a" + space, space + "a", space * 2 + "a", "a" + space * 3 + "b", " " + space + "1", space + " !"):
            yield text
    yield from ("a" * 100_000, " " * 100_000, "\n" * 50_000 + "x", "ab" * 40_000, "中" * 30_000, "x" * 96, "x" * 97, "x" * 98)
    yield from (END, END * 3, "a" + END + "b", " " + END + " ", "<|endoftext", "<|endoftext|", "<" + END + ">")
    yield from ("'s't're've'm'll'd", "'S", "''s", " 's", "a's b'll", "'sa", "'ll's", "1's", "!'s", "'\u00e9", "'")
    draw = random.Random(5)
    for _ in range(60):
        yield "".join(draw.choice(["'", "s", "re", " ", "\n", "1", "é", "!", "\u3000", "l", "L"]) for _ in range(draw.randrange(12)))


# ---- comparing ----


def run(*arguments, data=b""):
    done = subprocess.run([LMU, *arguments], input=data, capture_output=True)
    if done.returncode != 0:
        sys.exit(f"lmu {' '.join(arguments)}: exit code {done.returncode}: {done.stderr.decode(errors='replace')}")
    return done.stdout


def compare(path, theirs, text, what, specials=False, comes_back=True):
    """The ids of text are theirs; unless the tokenizer takes or adds white space, both decode to the text again."""
    theirs.encode_special_tokens = not specials
    expected = theirs.encode(text, add_special_tokens=False).ids
    data = text.encode()
    printed = run("tokenizer", "encode", "--tokenizer", path, "--json", *(["--specials"] if specials else []), data=data)
    ours = json.loads(printed)
    if ours != expected:
        at = next((i for i, (a, b) in enumerate(zip(ours, expected)) if a != b), min(len(ours), len(expected)))
        before = theirs.decode(expected[max(0, at - 5) : at], skip_special_tokens=False)
        sys.exit(f"{what}: token {at} differs: ours {ours[at:at + 5]}, theirs {expected[at:at + 5]}, after {before!r}")
    if not comes_back:
        return len(ours)
    if run("tokenizer", "decode", "--tokenizer", path, data=printed) != data:
        sys.exit(f"{what}: decode(encode(text)) is another text")
    if theirs.decode(ours, skip_special_tokens=False) != text:
        sys.exit(f"{what}: their decode of our ids is another text")
    return len(ours)
