import assert from "node:assert/strict";
import { profile, visit } from "../browser.mjs";
import { picture } from "../pictures.mjs";
import { wish } from "../stage.mjs";
import { claimBy } from "./claim.mjs";
import { commit } from "./network.mjs";

/** Where the machine with slots is: where the browser is. */
const MACHINE = "https://127.0.0.1:8443";
const file = (base64) => ({ name: "causeway.bundle", mimeType: "application/octet-stream", buffer: Buffer.from(base64, "base64") });

const slot = (page, letter) => page.getByRole("region", { name: "Systems" }).getByRole("row").filter({ has: page.getByRole("rowheader", { name: new RegExp(`^${letter}`) }) });

/** A bundle that a stranger signed is refused, and nothing becomes of it; a good one is in the other slot, and nothing else changed. */
async function write(page, { good, bad }) {
  await slot(page, "a").getByText("known to work").waitFor();
  await slot(page, "b").getByText("empty").waitFor();
  await page.getByLabel("Bundle").setInputFiles(file(bad));
  await page.getByRole("button", { name: "Write it to slot b" }).click();
  await page.getByRole("alert").getByText("(bundle-signature)").waitFor();
  await slot(page, "b").getByText("empty").waitFor();
  await page.getByLabel("Bundle").setInputFiles(file(good));
  await page.getByRole("button", { name: "Write it to slot b" }).click();
  await page.getByText("Version 0.2001 is in slot b").waitFor();
  const other = slot(page, "b");
  await other.getByText("0.2001").waitFor();
  await other.getByText("whole, not in use").waitFor();
  await slot(page, "a").getByText("runs").waitFor();
}

/** The window opens when nobody is near it; an update is planned for it, and taken back. */
async function plan(page) {
  const opens = `${String((new Date().getUTCHours() + 12) % 24).padStart(2, "0")}:30`;
  const maintenance = page.getByRole("region", { name: "Maintenance window" });
  await maintenance.getByLabel("It opens at").fill("25:00");
  await maintenance.locator(".wrong").waitFor();
  await maintenance.getByLabel("It opens at").fill(opens);
  await maintenance.getByLabel("Hours that it is open").fill("1");
  await maintenance.locator(".wrong").waitFor({ state: "detached" });
  await commit(page);
  await visit(page, "system", "firmware");
  await page.getByText(`${opens} to `).waitFor();
  await page.getByRole("button", { name: "Install version 0.2001 in the next window" }).click();
  const planned = page.getByText("Version 0.2001 is installed in the next maintenance window");
  await planned.waitFor();
  await page.getByRole("button", { name: "Do not install it then" }).click();
  await planned.waitFor({ state: "detached" });
}

/** Whoever does not know the name of the box does not wipe it, and whoever thinks better of it neither. */
async function leave(page) {
  const reset = page.getByRole("region", { name: "Factory reset" });
  await reset.getByRole("button", { name: "Wipe this box …" }).click();
  const wipe = reset.getByRole("button", { name: "Wipe this box now" });
  assert.ok(await wipe.isDisabled());
  await reset.getByLabel("Name of this box").fill("another");
  await wipe.click();
  await page.getByRole("alert").getByText("(wrong-confirmation)").waitFor();
  await reset.getByRole("button", { name: "Wipe this box …" }).click();
  await reset.getByRole("button", { name: "Leave it" }).click();
  await wipe.waitFor({ state: "detached" });
  await page.reload();
  await slot(page, "b").getByText("0.2001").waitFor();
}

/** A box of the firmware image, as far as its files go. */
export async function firmware({ browser }) {
  const told = await wish("machine-with-slots");
  const context = await profile(browser, { baseURL: MACHINE });
  const page = await context.newPage();
  await claimBy(page, told.code);
  await visit(page, "system", "firmware");
  await write(page, told);
  const wrong = await picture(page, "firmware-slots");
  await plan(page);
  await leave(page);
  assert.equal(wrong.length, 0, wrong.join("\n"));
  await context.close();
}
