// OpenAI's client from npm: node openai_client.mjs URL KEY TEXT, run where it is installed. TEXT is what the server writes behind "The "
// in 20 tokens with seed 1.
import assert from "node:assert";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const installed = createRequire(join(process.cwd(), "package.json"));
const OpenAI = installed("openai");
const [url, key, text] = process.argv.slice(2);
const client = new OpenAI({ baseURL: url + "/v1", apiKey: key, maxRetries: 0 });
const request = { model: "run", prompt: "The ", max_tokens: 20, seed: 1 };

const models = [];
for await (const model of client.models.list()) models.push(model.id);
assert.deepEqual(models, ["run"]);

const whole = await client.completions.create(request);
assert.equal(whole.choices[0].text, text);
assert.equal(whole.choices[0].finish_reason, "length");

let streamed = "";
for await (const part of await client.completions.create({ ...request, stream: true })) streamed += part.choices[0].text;
assert.equal(streamed, text);

const stop = text.slice(7, 10);
const stopped = await client.completions.create({ ...request, stop });
assert.equal(stopped.choices[0].text, text.slice(0, text.indexOf(stop)));
assert.equal(stopped.choices[0].finish_reason, "stop");

const echoed = (await client.completions.create({ ...request, max_tokens: 0, echo: true, logprobs: 2 })).choices[0];
assert.equal(echoed.text, "The ");
assert.equal(echoed.logprobs.token_logprobs[0], null);
assert(echoed.logprobs.token_logprobs.slice(1).every(value => value <= 0));

await assert.rejects(client.completions.create({ ...request, model: "other" }),
    error => error instanceof OpenAI.NotFoundError && error.code === "model_not_found" && error.param === "model");
await assert.rejects(client.completions.create({ ...request, n: 1000 }),
    error => error instanceof OpenAI.BadRequestError && error.param === "n");
await assert.rejects(new OpenAI({ baseURL: url + "/v1", apiKey: "wrong", maxRetries: 0 }).models.list(),
    error => error instanceof OpenAI.AuthenticationError);

// A stream that is left: the server must not go on with it for nobody.
for await (const part of await client.completions.create({ ...request, max_tokens: 1e6, stream: true })) if (part.id) break;
const { version } = JSON.parse(readFileSync("node_modules/openai/package.json"));
console.log(`openai ${version} of npm: completions, streams, log-probabilities, errors`);
