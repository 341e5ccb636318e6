// A browser, and pages in it that are watched: what they ask for, and what goes wrong in them.
const { chromium } = await import(process.env.PLAYWRIGHT);

export function launch() {
    return chromium.launch({ executablePath: process.env.BROWSER_PATH, args: ["--no-sandbox"] });
}

// A page that is loaded. Whatever it asks of other places, and whatever it complains of, is in `problems`.
export async function open(browser, url, options = {}) {
    const page = await browser.newPage(options);
    const problems = [];
    page.setDefaultTimeout(10000);
    page.on("request", request => {
        if (!request.url().startsWith(url + "/") && !request.url().startsWith("data:")) problems.push("asks for " + request.url());
    });
    page.on("console", message => {
        if (message.type() === "error" || message.type() === "warning") problems.push("console: " + message.text());
    });
    page.on("pageerror", error => problems.push("error: " + error.stack));
    await page.goto(url + "/");
    await page.waitForFunction(() => document.getElementById("model").textContent !== "…" || document.getElementById("error").textContent);
    await page.waitForLoadState("networkidle");
    return { page, problems };
}
