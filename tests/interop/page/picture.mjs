// The picture of the page for docs/: the memory of a trained model.
//
//   node picture.mjs URL FILE.png
import { launch, open } from "./browser.mjs";

const [url, file] = process.argv.slice(2);
const browser = await launch();
const { page } = await open(browser, url, { viewport: { width: 800, height: 800 } });
await page.click("#tab-memory");
await page.waitForSelector("#view:not([hidden])");
await page.$eval("#ago", slider => {
    slider.value = 4;
    slider.dispatchEvent(new Event("input"));
});
await page.locator("#view").screenshot({ path: file });
await browser.close();
