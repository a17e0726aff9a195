import assert from "node:assert/strict";
import fs from "node:fs";
import openapiTS, { astToString } from "openapi-typescript";
import { signIn, visit, profile } from "../browser.mjs";
import { wish } from "../stage.mjs";

const TYPES = new URL("../../src/api/openapi.gen.ts", import.meta.url);
const STALE = "src/api/openapi.gen.ts is not what the daemon says of itself: npm run types -- FILE, with its /api/v1/openapi.json";

/** The types that the console is written with are made from what this daemon says of itself. */
export async function types() {
  const document = await wish("openapi");
  const made = astToString(await openapiTS(document));
  const [, body] = fs.readFileSync(TYPES, "utf8").split(/^ \*\/$/m);
  assert.ok(body, "no heading");
  assert.equal(body.trim() === made.trim(), true, STALE);
}

export async function keyboard({ page }) {
  await visit(page, "overview");
  await page.reload();
  await page.getByRole("heading", { level: 1 }).waitFor();
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement?.textContent), "Skip to content");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement?.id), "main");
  await page.keyboard.press("Shift+Tab");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Connect a site" }).waitFor();
}

/** Of a thousand connections only those in sight are in the page, and one is found among them. */
export async function many({ browser }) {
  const context = await profile(browser);
  await context.route("**/api/v1/status", async (route) => {
    const response = await route.fetch();
    const status = await response.json();
    const [like] = Object.values(status.connections);
    if (like) for (let number = 0; number < 1000; number += 1) status.connections[`branch-${String(number).padStart(4, "0")}`] = like;
    await route.fulfill({ response, json: status });
  });
  const page = await context.newPage();
  await visit(page, "connections");
  await signIn(page);
  await page.getByRole("list", { name: "Connections" }).waitFor();
  assert.ok((await page.getByRole("listitem").count()) < 100);
  await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight));
  await page.getByRole("link", { name: /to-workshop/ }).waitFor();
  assert.ok((await page.getByRole("listitem").count()) < 100);
  await page.screenshot({ path: "../target/console-screenshots/flow-thousand.png" });
  await page.getByLabel("Search").fill("branch-0777");
  await page.getByRole("link", { name: /branch-0777/ }).waitFor();
  assert.equal(await page.getByRole("listitem").count(), 1);
  await context.close();
}
