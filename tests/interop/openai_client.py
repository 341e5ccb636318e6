"""OpenAI's own clients, from PyPI and from npm, against `lmu serve`: completions, streams, stop strings, log-probabilities, models,
and an error of each kind, as the exceptions that the clients have for them."""
import json
import math
import os
import subprocess
import sys
import tempfile

import openai

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "common"))
from served import Served

NODE_CLIENT = "build/interop-openai"


def close(a, b):
    return math.isclose(a, b, abs_tol=1e-5)


def check_completions(client):
    one = client.completions.create(model="run", prompt="The ", max_tokens=20, seed=1)
    assert one.object == "text_completion" and one.model == "run" and one.choices[0].finish_reason == "length"
    assert one.usage.prompt_tokens + one.usage.completion_tokens == one.usage.total_tokens == 24, one.usage
    assert one.usage.prompt_tokens_details.cached_tokens == 0
    text = one.choices[0].text
    parts = list(client.completions.create(model="run", prompt="The ", max_tokens=20, seed=1, stream=True,
                                           stream_options={"include_usage": True}))
    assert "".join(choice.text for part in parts for choice in part.choices) == text
    assert parts[-1].usage.completion_tokens == 20 and parts[-1].choices == []
    assert [p.choices[0].finish_reason for p in parts[:-1]] == [None] * 19 + ["length"]
    several = client.completions.create(model="run", prompt=["The ", "A"], n=2, max_tokens=20, seed=1)
    assert [choice.index for choice in several.choices] == [0, 1, 2, 3] and several.choices[0].text == text
    ids = client.completions.create(model="run", prompt=[[84, 85], [86]], max_tokens=1)
    assert len(ids.choices) == 2
    stopped = client.completions.create(model="run", prompt="The ", max_tokens=20, seed=1, stop=[text[7:10], "never"])
    assert stopped.choices[0].text == text[:text.index(text[7:10])] and stopped.choices[0].finish_reason == "stop"
    ours = client.completions.create(model="run", prompt="The ", max_tokens=5, seed=1, user="someone", temperature=0.5,
                                     top_p=0.9, presence_penalty=0.5, frequency_penalty=0.5, logit_bias={"5": -100},
                                     extra_body={"top_k": 10, "min_p": 0.01, "repetition_penalty": 1.1})
    assert ours.usage.completion_tokens == 5
    return text


def check_logprobs(client):
    text = "The state of a stream, é."
    echoed = client.completions.create(model="run", prompt=text, max_tokens=0, echo=True, logprobs=3).choices[0]
    found = echoed.logprobs
    assert echoed.text == text and found.token_logprobs[0] is None and found.top_logprobs[0] is None
    for token, value, top, offset in list(zip(found.tokens, found.token_logprobs, found.top_logprobs, found.text_offset))[1:]:
        assert close(top[token], value) and max(top.values()) >= value - 1e-9 and 3 <= len(top) <= 4
        assert token.startswith("bytes:") or text[offset:offset + len(token)] == token
    # Greedy text is that of the likeliest tokens, and what writing says of them reading says again.
    greedy = client.completions.create(model="run", prompt="The ", max_tokens=10, temperature=0, logprobs=1).choices[0]
    assert all(close(max(top.values()), value) for top, value in zip(greedy.logprobs.top_logprobs, greedy.logprobs.token_logprobs))


def check_states(client):
    whole = client.completions.create(model="run", prompt="The ", max_tokens=20, seed=1).choices[0].text
    first = client.completions.create(model="run", prompt="The ", max_tokens=8, seed=1, extra_body={"state": "return"}).choices[0]
    second = client.completions.create(model="run", prompt="", max_tokens=12, seed=1, extra_body={"state": first.state})
    assert first.text + second.choices[0].text == whole


def check_errors(client, url):
    def fails(kind, status, param, code, **request):
        try:
            client.completions.create(**{"model": "run", "prompt": "x", **request})
        except kind as error:
            assert (error.status_code, error.param, error.code) == (status, param, code), error
        else:
            raise AssertionError(f"{request} is no error")
    fails(openai.NotFoundError, 404, "model", "model_not_found", model="gpt-3.5-turbo-instruct")
    fails(openai.BadRequestError, 400, "temperature", None, temperature=3)
    fails(openai.BadRequestError, 400, "best_of", None, best_of=4)
    fails(openai.BadRequestError, 400, "suffix", "unsupported_parameter", suffix="x")
    fails(openai.BadRequestError, 400, "tempurature", "unknown_parameter", extra_body={"tempurature": 1})
    fails(openai.BadRequestError, 400, "state", "invalid_state", extra_body={"state": "AAAA"})
    try:
        openai.OpenAI(base_url=url + "/v1", api_key="wrong", max_retries=0).models.list()
        raise AssertionError("a wrong key is taken")
    except openai.AuthenticationError as error:
        assert error.code == "invalid_api_key"
    try:
        client.chat.completions.create(model="run", messages=[{"role": "user", "content": "x"}])
        raise AssertionError("there is no chat")
    except openai.NotFoundError:
        pass


def check_time(served):
    """A text that is cut off in a stream is an error there, not an end."""
    client = openai.OpenAI(base_url=served.url + "/v1", api_key="a-key", max_retries=0)
    try:
        for _ in client.completions.create(model="run", prompt="x", max_tokens=10**7, stream=True, logit_bias={served.end: -100}):
            pass
        raise AssertionError("past the time of a request")
    except openai.APIError as error:
        assert error.code == "request_timeout", error


def main(lmu):
    with tempfile.TemporaryDirectory() as folder, Served(lmu, folder, ["--max-tokens", "10M"], key="a-key") as served:
        client = openai.OpenAI(base_url=served.url + "/v1", api_key="a-key", max_retries=0)
        assert [model.id for model in client.models.list()] == ["run"] and client.models.retrieve("run").id == "run"
        text = check_completions(client)
        check_logprobs(client)
        check_states(client)
        check_errors(client, served.url)
        print(f"openai {openai.VERSION} of PyPI: completions, streams, log-probabilities, states, errors")
        node = subprocess.run(["node", os.path.abspath("tests/interop/openai_client.mjs"), served.url, "a-key", text],
                              cwd=NODE_CLIENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
        assert node.returncode == 0, node.stdout
        print(node.stdout.strip())
        with Served(lmu, folder, ["--max-tokens", "10M", "--request-time", "1s"], key="a-key") as short:
            check_time(short)


if __name__ == "__main__":
    main(sys.argv[1])
