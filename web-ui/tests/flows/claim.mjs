import assert from "node:assert/strict";
import { CONSOLE, PASSWORD, USER } from "../browser.mjs";
import { picture } from "../pictures.mjs";
import { wish } from "../stage.mjs";

/** A wrong code is refused at its field, the right one makes the first admin. */
export async function claimBy(page, right) {
  await page.goto("/");
  await page.getByRole("button", { name: "First start? Claim this box" }).click();
  await page.getByLabel("User").fill(USER);
  await page.getByLabel("Password", { exact: true }).fill(PASSWORD);
  await page.getByLabel("Password again").fill(PASSWORD);
  const code = page.getByLabel("Code of the console");
  await code.fill("0000-0000-0000-0000");
  await page.getByRole("button", { name: "Claim and sign in" }).click();
  await page.locator("#wrong-code").waitFor();
  assert.equal(await code.getAttribute("aria-invalid"), "true");
  await code.fill(right);
  await page.getByRole("button", { name: "Claim and sign in" }).click();
  await page.getByText(`The box is yours, ${USER}.`).waitFor();
}

/** Its first admin names the box. */
export async function claim({ page }) {
  await claimBy(page, await wish("code"));
  assert.deepEqual(await picture(page, "first-start"), []);
  await page.getByLabel("Name", { exact: false }).first().fill("branch-042");
  await page.getByRole("link", { name: "Review" }).click();
  await page.getByText("No tunnel, session or interface is touched.").waitFor();
  await page.getByLabel("Comment").fill("<b>named</b> by its admin");
  await page.getByLabel(/On trial/).uncheck();
  await page.getByRole("button", { name: "Commit for good" }).click();
  await page.getByRole("banner").getByText("branch-042").waitFor();
  // Whoever committed is taken to the overview.
  await page.getByRole("heading", { name: "Sites and tunnels" }).waitFor();
  await page.goto(`${CONSOLE}/#/system/generations`);
  // What looks like HTML is text.
  await page.getByText("<b>named</b> by its admin").waitFor();
}
