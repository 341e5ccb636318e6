// The page of lmu serve as people use it.
//
//   node check.mjs URL-OF-AN-LMU URL-OF-AN-LSTM URL-THAT-WANTS-A-KEY
import assert from "node:assert/strict";
import { launch, open } from "./browser.mjs";

const [withMemory, without, locked] = process.argv.slice(2);
const browser = await launch();

async function ask(path, body) {
    const answer = await fetch(withMemory + path, { method: "POST", body: JSON.stringify(body) });
    return answer.json();
}

const written = page => page.locator("#written [role=option]");
const textOf = (page, id) => page.locator(id).textContent();

async function writes(page, prompt, tokens, seed) {
    await page.fill("#prompt", prompt);
    await page.fill("#max_tokens", String(tokens));
    await page.fill("#seed", String(seed));
    await page.click("#go");
}

async function ended(page) {
    await page.waitForFunction(() => !document.getElementById("go").disabled);
}

const checks = {
    async "every field and button has a name, every id is one of its kind"() {
        const { page, problems } = await open(browser, withMemory);
        const bad = await page.evaluate(() => {
            const ids = [...document.querySelectorAll("[id]")].map(element => element.id);
            const named = field => [...field.labels || []].some(label => label.textContent.trim()) || field.getAttribute("aria-label");
            const pointed = [...document.querySelectorAll("[aria-controls], [aria-labelledby], label[for], output[for]")].flatMap(element =>
                ["aria-controls", "aria-labelledby", "for"].map(name => element.getAttribute(name)).filter(Boolean));
            return [
                ...[...document.querySelectorAll("input, select, textarea")].filter(field => !named(field)).map(field => "no label: " + field.id),
                ...[...document.querySelectorAll("button")].filter(button => !button.textContent.trim()).map(button => "no text: " + button.id),
                ...ids.filter((id, i) => ids.indexOf(id) !== i).map(id => "twice: " + id),
                ...pointed.filter(id => !ids.includes(id)).map(id => "nowhere: " + id),
                ...[...document.querySelectorAll("[role=listbox], [role=tablist]")].filter(box => !box.getAttribute("aria-label")).map(box => "no name: " + box.id),
            ];
        });
        assert.deepEqual(bad, []);
        const source = await (await fetch(withMemory + "/")).text();
        assert.doesNotMatch(source, /<[^>]* (style|on[a-z]+)="/); // the policy has browsers refuse them
        assert.equal(await page.getAttribute("html", "lang"), "en");
        assert.equal(await page.title(), "lmu – lmu");
        assert.equal(await page.locator("[aria-live=polite]").count(), 1);
        return { page, problems };
    },

    async "a text comes as it streams, and is what the API says"() {
        const { page, problems } = await open(browser, withMemory);
        await writes(page, "The state <b>", 40, 7);
        await ended(page);
        assert.equal(await written(page).count(), 40);
        const settings = { temperature: 0.8, top_p: 0.95, top_k: 0, min_p: 0, repetition_penalty: 1 };
        const answer = await ask("/v1/completions", { prompt: "The state <b>", max_tokens: 40, seed: 7, ...settings });
        const text = answer.choices[0].text.replaceAll("\ufffd", "");
        assert.equal((await textOf(page, "#written")).replaceAll("\ufffd", ""), text);
        assert.equal(await textOf(page, "#before"), "The state <b>");
        assert.match(await textOf(page, "#write-status"), /^40 tokens/);
        assert.equal((await textOf(page, "#spoken")).replaceAll("\ufffd", ""), text);
        await page.click("#more");
        assert.equal((await page.inputValue("#prompt")).replaceAll("\ufffd", ""), "The state <b>" + text);
        return { page, problems };
    },

    async "alternatives appear on focus and under the pointer"() {
        const { page, problems } = await open(browser, withMemory);
        await writes(page, "The ", 12, 1);
        await ended(page);
        await written(page).first().focus();
        await page.keyboard.press("ArrowRight");
        await page.keyboard.press("ArrowRight");
        assert.equal(await page.evaluate(() => document.activeElement.dataset.index), "2");
        assert.equal(await page.getAttribute(":focus", "aria-describedby"), "tip");
        assert.ok(await page.isVisible("#tip"));
        assert.ok(await page.locator("#tip tr").count() >= 5);
        assert.equal(await page.locator("#tip tr.own").count(), 1);
        await page.keyboard.press("Escape");
        assert.ok(await page.isHidden("#tip"));
        await page.keyboard.press("End");
        assert.equal(await page.evaluate(() => document.activeElement.dataset.index), "11");
        await page.keyboard.press("Tab"); // one stop for the whole text
        assert.equal(await page.evaluate(() => document.activeElement.getAttribute("role")), null);
        await written(page).nth(5).hover();
        assert.ok(await page.isVisible("#tip"));
        const box = await page.locator("#tip").boundingBox(), size = page.viewportSize();
        assert.ok(box.x >= 0 && box.y >= 0 && box.x + box.width <= size.width && box.y + box.height <= size.height);
        return { page, problems };
    },

    async "a text can be stopped"() {
        const { page, problems } = await open(browser, withMemory);
        await writes(page, "The ", 80000, 1);
        await page.waitForFunction(() => document.querySelectorAll("#written [role=option]").length > 5);
        await page.click("#stop");
        await ended(page);
        const count = await written(page).count();
        assert.ok(count > 5 && count < 80000, `${count} tokens`);
        assert.match(await textOf(page, "#write-status"), /stopped/);
        await page.waitForTimeout(300);
        assert.equal(await written(page).count(), count);
        assert.equal(await textOf(page, "#write-error"), "");
        await writes(page, "The ", 3, 1);
        await ended(page);
        assert.equal(await written(page).count(), 3);
        return { page, problems };
    },

    async "the surprise of a text is what the API says"() {
        const { page, problems } = await open(browser, withMemory);
        const given = "The state of a stream,\n\twhatever 😀 é its length.";
        await page.click("#tab-surprise");
        await page.fill("#given", given);
        await page.click("#measure");
        await page.waitForSelector("#sums:not([hidden])");
        const logprobs = (await ask("/v1/completions", { prompt: given, echo: true, logprobs: 0, max_tokens: 0 })).choices[0].logprobs;
        const nats = -logprobs.token_logprobs.slice(1).reduce((sum, value) => sum + value, 0), count = logprobs.tokens.length - 1;
        assert.equal(await textOf(page, "#sum-nats"), nats.toFixed(2));
        assert.equal(await textOf(page, "#sum-tokens"), String(count));
        assert.equal(await textOf(page, "#sum-each"), (nats / count).toFixed(3));
        const bytes = Buffer.byteLength(given) - Buffer.byteLength(logprobs.tokens[0]);
        assert.equal(await textOf(page, "#sum-bits"), (nats / Math.LN2 / bytes).toFixed(3));
        assert.equal(await textOf(page, "#measured"), given);
        const shades = await page.$$eval("#measured [role=option]", spans => spans.map(span => Number(span.style.getPropertyValue("--much"))));
        assert.equal(shades.length, count + 1);
        shades.slice(1).forEach((much, i) => assert.ok(Math.abs(much - Math.min(1, -logprobs.token_logprobs[i + 1] / 8)) < 1e-3));
        return { page, problems };
    },

    async "the memory of an LMU is drawn, as the API says"() {
        const { page, problems } = await open(browser, withMemory);
        const past = "The state of a stream goes on over it, as it does over a window.";
        await page.click("#tab-memory");
        await page.waitForSelector("#view:not([hidden])");
        await page.fill("#past", past);
        await page.click("#look");
        await page.waitForFunction(text => document.getElementById("place-text").textContent === text, past);
        const look = await ask("/memory", { prompt: past });
        assert.deepEqual([look.theta, look.order, look.delays.length, look.channels], [[8], 6, 8, 16]);
        assert.equal(await page.inputValue("#place"), String(look.tokens.length - 1));
        const points = await page.$eval("#line .rebuilt", line => line.getAttribute("points").split(" ").length);
        assert.equal(points, 8);
        assert.ok(await page.locator("#line .truth").count() === 1 && await page.locator("#mean .rebuilt").count() === 1);
        const painted = await page.$eval("#heat", heat => [heat.width, heat.height, heat.getContext("2d").getImageData(0, 0, 8, 16).data.filter(
            (value, i) => i % 4 === 3 && value === 255).length]);
        assert.deepEqual(painted, [8, 16, 128]);
        assert.equal(await page.locator("#recalled [role=option]").count(), 8);
        await page.locator("#recalled [role=option]").last().focus();
        assert.match(await textOf(page, "#tip"), /^0 tokens ago: /);
        await page.selectOption("#layer", "1");
        await page.waitForFunction(() => document.querySelector("#line .rebuilt").getAttribute("points").split(" ").length === 24);
        assert.ok(await page.isHidden("#recalled-part"));
        await page.locator("#place-text span").nth(4).click();
        await page.waitForFunction(() => document.getElementById("place-out").textContent.startsWith("4 "));
        assert.equal(await page.locator("#line .before").count(), 1);
        assert.equal(await page.locator("#place-text .held").count(), 4);
        return { page, problems };
    },

    async "a model without one hides that part, and says so"() {
        const { page, problems } = await open(browser, without);
        assert.ok(await page.isHidden("#tab-memory"));
        assert.equal(await page.locator("[role=tab]:visible").count(), 2);
        const answer = await fetch(without + "/memory", { method: "POST", body: '{"prompt": "The"}' });
        assert.equal(answer.status, 400);
        assert.match((await answer.json()).error.message, /lstm has no Legendre memory/);
        return { page, problems };
    },

    async "all of it works by keyboard"() {
        const { page, problems } = await open(browser, withMemory);
        const focus = () => page.evaluate(() => document.activeElement.id);
        const tabTo = async id => {
            for (let i = 0; i < 40 && await focus() !== id; i++) await page.keyboard.press("Tab");
            assert.equal(await focus(), id);
        };
        await tabTo("tab-write");
        await tabTo("prompt");
        await page.keyboard.press("Control+A");
        await page.keyboard.type("A model");
        await tabTo("max_tokens");
        await page.keyboard.press("Control+A");
        await page.keyboard.type("80000");
        await page.keyboard.press("Control+Enter");
        await page.waitForFunction(() => document.querySelectorAll("#written [role=option]").length > 2);
        await tabTo("stop");
        await page.keyboard.press("Enter");
        await ended(page);
        assert.equal(await focus(), "go");
        await page.evaluate(() => document.activeElement.blur());
        await page.locator("h1").click();
        await tabTo("tab-write");
        await page.keyboard.press("ArrowRight");
        assert.equal(await focus(), "tab-surprise");
        await tabTo("given");
        await page.keyboard.type("A model of text");
        await page.keyboard.press("Control+Enter");
        await page.waitForSelector("#sums:not([hidden])");
        await page.locator("h1").click();
        await tabTo("tab-surprise");
        await page.keyboard.press("End");
        assert.equal(await focus(), "tab-memory");
        await page.waitForSelector("#view:not([hidden])");
        await tabTo("place");
        await page.keyboard.press("Home");
        await page.keyboard.press("ArrowRight");
        await page.waitForFunction(() => document.getElementById("place-out").textContent.startsWith("1 "));
        await tabTo("channel");
        await page.keyboard.press("ArrowRight");
        assert.match(await textOf(page, "#line-title"), /^Channel 1 /);
        return { page, problems };
    },

    async "colours have contrast in light and dark"() {
        const { page, problems } = await open(browser, withMemory);
        const worst = () => page.evaluate(() => {
            const style = getComputedStyle(document.documentElement);
            const probe = document.body.appendChild(document.createElement("i"));
            const rgb = colour => {
                probe.style.color = colour;
                return getComputedStyle(probe).color.match(/[\d.]+/g).map(Number);
            };
            const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4).reduce(
                (sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
            const ratio = (a, b) => {
                const [high, low] = [light(rgb(a)), light(rgb(b))].sort((x, y) => y - x);
                return (high + 0.05) / (low + 0.05);
            };
            const value = name => style.getPropertyValue(name).trim(), pairs = [["--on-accent", "--accent", 4.5]];
            for (const ground of ["--page", "--panel"])
                pairs.push(["--ink", ground, 7], ["--quiet", ground, 4.5], ["--warn", ground, 4.5], ["--accent", ground, 4.5], ["--line", ground, 3], ["--truth", ground, 3]);
            const found = pairs.map(([a, b, least]) => [a, b, least, ratio(value(a), value(b))]);
            found.push(["--ink", "--shade", 4.5, ratio(value("--ink"), `rgb(${value("--shade")})`)]);
            const ground = light(rgb(value("--page")));
            probe.remove();
            return { bad: found.filter(([, , least, got]) => got < least), ground };
        });
        const day = await worst();
        await page.emulateMedia({ colorScheme: "dark" });
        const night = await worst();
        assert.deepEqual([day.bad, night.bad], [[], []]);
        assert.ok(day.ground > 0.8 && night.ground < 0.05);
        return { page, problems };
    },

    async "a phone's width is enough"() {
        const { page, problems } = await open(browser, withMemory, { viewport: { width: 360, height: 700 } });
        const fits = async what => assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), what + " is too wide");
        await writes(page, "The ", 30, 1);
        await ended(page);
        await fits("write");
        await page.click("#tab-surprise");
        await page.fill("#given", "averyverylongword".repeat(20));
        await page.click("#measure");
        await page.waitForSelector("#sums:not([hidden])");
        await fits("surprise");
        await page.click("#tab-memory");
        await page.waitForSelector("#view:not([hidden])");
        await fits("memory");
        return { page, problems };
    },

    async "what the server refuses is shown"() {
        const { page, problems } = await open(browser, withMemory);
        await writes(page, "The ", 5000000, 1);
        await page.waitForFunction(() => document.getElementById("write-error").textContent);
        assert.match(await textOf(page, "#write-error"), /max_tokens/);
        await page.click("#tab-memory");
        await page.waitForSelector("#view:not([hidden])");
        await page.fill("#past", "a b ".repeat(2000));
        await page.click("#look");
        await page.waitForFunction(() => document.getElementById("memory-error").textContent);
        assert.match(await textOf(page, "#memory-error"), /up to 2048/);
        return { page, problems: problems.filter(problem => !/status of 400/.test(problem)) };
    },

    async "a server that wants a key is given one"() {
        const { page, problems } = await open(browser, locked);
        assert.match(await textOf(page, "#error"), /No valid API key/);
        await page.fill("#key", "wrong");
        await page.keyboard.press("Enter");
        await page.waitForTimeout(200);
        assert.ok(await page.isVisible("#key-form"));
        await page.fill("#key", "secret");
        await page.keyboard.press("Enter");
        await page.waitForSelector("#key-form", { state: "hidden" });
        assert.equal(await textOf(page, "#model"), "lmu");
        assert.equal(await textOf(page, "#error"), "");
        await writes(page, "The ", 5, 1);
        await ended(page);
        assert.equal(await written(page).count(), 5);
        await page.reload(); // the key stays with the tab
        await page.waitForSelector("#tab-memory:not([hidden])");
        assert.ok(await page.isHidden("#key-form"));
        return { page, problems: problems.filter(problem => !/status of 401/.test(problem)) };
    },
};

let failed = 0;
for (const [name, check] of Object.entries(checks)) {
    try {
        const { page, problems } = await check();
        assert.deepEqual(problems, []);
        await page.close();
        console.log("passed: " + name);
    } catch (problem) {
        failed++;
        console.log(`FAILED: ${name}\n${problem.stack}`);
    }
}
await browser.close();
console.log(`page: ${Object.keys(checks).length - failed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
