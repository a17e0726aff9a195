import assert from "node:assert/strict";
import { profile, signIn, visit } from "../browser.mjs";
import { picture } from "../pictures.mjs";

const bar = (page, name) => page.getByRole("region", { name });

/** A change on trial that nobody keeps returns by itself, and is not lost. */
export async function revert({ page }) {
  await visit(page, "connections", "to-hub", "edit");
  await page.getByLabel("MTU, bytes").fill("99");
  await page.locator(".field", { has: page.getByLabel("MTU, bytes") }).locator(".wrong").waitFor();
  await page.getByLabel("MTU, bytes").fill("1300");
  await page.reload();
  await bar(page, "Draft").getByText("1 change").waitFor();
  await bar(page, "Draft").getByRole("link", { name: "Review" }).click();
  await page.getByText("connections / to-hub / mtu").waitFor();
  const impact = page.getByRole("region", { name: "What it does" });
  await impact.getByText("to-hub").waitFor();
  assert.deepEqual(await picture(page, "review-draft"), []);
  await page.getByLabel("Seconds to keep it within").fill("6");
  await page.getByRole("button", { name: "Commit on trial" }).click();
  await bar(page, "Change on trial").getByText(/is on trial/).waitFor();
  await bar(page, "Change that returned").getByText(/was not kept/).waitFor();
  await visit(page, "connections", "to-hub", "edit");
  assert.equal(await page.getByLabel("MTU, bytes").inputValue(), "");
}

/** The countdown survives a lost connection and a reload; what is kept stays. */
export async function keep({ page, context }) {
  await bar(page, "Change that returned").getByRole("button", { name: "Take it up as a draft" }).click();
  await bar(page, "Draft").getByRole("link", { name: "Review" }).click();
  await page.getByLabel("Seconds to keep it within").fill("90");
  await page.getByRole("button", { name: "Commit on trial" }).click();
  const trial = bar(page, "Change on trial");
  await trial.waitFor();
  await context.setOffline(true);
  await page.getByText("The box does not answer.").waitFor();
  const left = Number(await trial.locator(".clock").getAttribute("data-left"));
  assert.ok(left > 0 && left <= 90, `${left}`);
  await context.setOffline(false);
  await page.getByText("The box does not answer.").waitFor({ state: "detached" });
  await page.reload();
  await trial.getByRole("button", { name: "Keep it" }).click();
  await trial.waitFor({ state: "detached" });
  await visit(page, "connections", "to-hub", "edit");
  assert.equal(await page.getByLabel("MTU, bytes").inputValue(), "1300");
}

export async function twoTabs({ page, context }) {
  await visit(page, "connections", "to-hub", "edit");
  const other = await context.newPage();
  await visit(other, "connections", "to-hub", "edit");
  await page.getByLabel("TCP MSS, bytes").fill("1200");
  await bar(other, "Draft").getByText("1 change").waitFor();
  await other.getByLabel("Silence before it counts as dead, s").fill("60");
  await bar(page, "Draft").getByText("2 changes").waitFor();
  await bar(page, "Draft").getByRole("button", { name: "Discard" }).click();
  await bar(page, "Draft").getByRole("button", { name: "Yes, throw it away" }).click();
  await bar(other, "Draft").waitFor({ state: "detached" });
  await other.close();
}

export async function sessionEnds({ page, context }) {
  await visit(page, "connections", "to-hub", "edit");
  await page.getByLabel("TCP MSS, bytes").fill("1210");
  await bar(page, "Draft").getByText("1 change").waitFor();
  await context.clearCookies();
  await signIn(page);
  await bar(page, "Draft").getByText("1 change").waitFor();
  assert.equal(await page.getByLabel("TCP MSS, bytes").inputValue(), "1210");
}

/** Another admin commits meanwhile: what only they changed is taken, what both changed is shown three ways. */
export async function conflict({ page, browser }) {
  const elsewhere = await profile(browser);
  const other = await elsewhere.newPage();
  await other.goto(page.url());
  await signIn(other);
  await visit(other, "connections", "to-hub", "edit");
  await other.getByLabel("TCP MSS, bytes").fill("1220");
  await other.getByLabel("Silence before it counts as dead, s").fill("50");
  await bar(other, "Draft").getByRole("link", { name: "Review" }).click();
  await other.getByLabel(/On trial/).uncheck();
  await other.getByRole("button", { name: "Commit for good" }).click();
  await other.getByRole("heading", { name: "Needs attention" }).waitFor();
  await elsewhere.close();

  await bar(page, "Draft").getByText(/conflict with another admin/).waitFor();
  await bar(page, "Draft").getByRole("link", { name: "Review" }).click();
  const both = page.getByRole("region", { name: "Both of you changed this" });
  await both.getByText("1220").waitFor();
  await both.getByText("1210").waitFor();
  await page.screenshot({ path: "../target/console-screenshots/flow-conflict.png", fullPage: true });
  await both.getByRole("button", { name: "Take yours" }).click();
  await both.waitFor({ state: "detached" });
  await page.getByText("1 change from").waitFor();
  await page.getByLabel(/On trial/).uncheck();
  await page.getByRole("button", { name: "Commit for good" }).click();
  await page.getByRole("heading", { name: "Needs attention" }).waitFor();
  await visit(page, "connections", "to-hub", "edit");
  assert.equal(await page.getByLabel("TCP MSS, bytes").inputValue(), "1210");
  assert.equal(await page.getByLabel("Silence before it counts as dead, s").inputValue(), "50");
}
