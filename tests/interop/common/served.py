"""A tiny model, trained here in seconds, behind `lmu serve`."""
import json
import os
import re
import shutil
import subprocess


class Served:
    """with Served(lmu, folder, ["--queue", "3"], key="secret") as served: served.url answers, until the block's end."""

    def __init__(self, lmu, folder, arguments=(), key=None):
        self.lmu, self.folder, self.arguments = lmu, folder, list(arguments)
        if key:
            path = os.path.join(folder, "keys")
            with open(path, "w") as file:
                file.write(key + "\n")
            self.arguments += ["--api-key-file", path]
        if not os.path.exists(self.at("run")):
            self.train()
        with open(self.at("tokenizer.json")) as file:
            self.end = json.load(file)["added_tokens"][0]["id"]

    def at(self, name):
        return os.path.join(self.folder, name)

    def do(self, *arguments):
        done = subprocess.run([self.lmu, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert done.returncode == 0, done.stdout

    def train(self):
        for page in ("design", "formats"):
            shutil.copy(f"docs/{page}.md", self.at(f"{page}.txt"))
        self.do("tokenizer", "train", self.at("design.txt"), "--vocabulary", "300", "--out", self.at("tokenizer.json"))
        self.do("prepare", self.at("design.txt"), "--valid", self.at("formats.txt"), "--tokenizer", self.at("tokenizer.json"), "--out",
                self.at("data"))
        self.do("train", "--data", self.at("data"), "--out", self.at("run"), "--dim", "16", "--layers", "2", "--order", "4",
                "--theta", "8", "--feed-width", "2", "--length", "32", "--batch", "8", "--tokens", "60k", "--learning-rate",
                "1e-2", "--threads", "1")

    def __enter__(self):
        self.process = subprocess.Popen([self.lmu, "serve", self.at("run"), "--port", "0", "--quiet", *self.arguments],
                                        stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        self.url = re.fullmatch(r"serving run on (http://\S+)\n", line).group(1)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        code = self.process.wait(timeout=30)
        self.process.stdout.close()
        assert code == 0, f"the server ended with {code}"
