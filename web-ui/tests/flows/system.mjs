import assert from "node:assert/strict";
import fs from "node:fs";
import { CONSOLE, profile, visit } from "../browser.mjs";
import { commit } from "./network.mjs";

const PASSPHRASE = "lab only, and long enough";

/** What a click gives as a file. */
async function download(page, button) {
  const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: button }).click()]);
  return fs.readFileSync(await file.path(), "utf8");
}

/** Out without and with secrets; in again as a draft, and as a whole by its passphrase. */
export async function backup({ page }) {
  await visit(page, "system", "backup");
  const plain = JSON.parse(await download(page, "Download without secrets"));
  assert.ok(plain.document.connections["to-hub"] && !plain.sealed, Object.keys(plain).join());
  await page.getByLabel("Passphrase for the secrets").fill(PASSPHRASE);
  await page.getByLabel("The same again").fill(`${PASSPHRASE}x`);
  assert.ok(await page.getByRole("button", { name: "Download with secrets" }).isDisabled());
  await page.getByLabel("The same again").fill(PASSPHRASE);
  const sealed = await download(page, "Download with secrets");
  assert.ok(JSON.parse(sealed).sealed && !sealed.includes("PRIVATE KEY") && !sealed.includes("lab.only.not.a.secret"));

  const file = (text) => ({ name: "backup.json", mimeType: "application/json", buffer: Buffer.from(text) });
  await page.getByLabel("File of a backup").setInputFiles(file("{}"));
  await page.getByText("This is no backup of a Causeway.").waitFor();
  const changed = structuredClone(plain);
  changed.document.connections["to-depot"].mtu = 1280;
  await page.getByLabel("File of a backup").setInputFiles(file(JSON.stringify(changed)));
  await page.getByRole("button", { name: "Take its document up as a draft" }).click();
  await page.getByText("connections / to-depot / mtu").waitFor();
  await page.getByRole("button", { name: "Discard the draft" }).click();

  await visit(page, "system", "backup");
  await page.getByLabel("File of a backup").setInputFiles(file(sealed));
  await page.getByLabel("Its passphrase").fill("another passphrase");
  await page.getByRole("button", { name: "Restore document and secrets now" }).click();
  await page.getByText("the passphrase is another one, or the export was changed").waitFor();
  await page.getByLabel("Its passphrase").fill(PASSPHRASE);
  await page.getByRole("button", { name: "Restore document and secrets now" }).click();
  await page.getByText("The box did the same already").waitFor();
}

/** What helps somebody else has how it stands and no secret. */
export async function diagnostics({ page }) {
  await visit(page, "system", "backup");
  const text = await download(page, "Download diagnostics");
  const told = JSON.parse(text);
  assert.ok(told.status.connections["to-hub"] && told.log.lines.length > 0 && told.events.events.length > 0);
  assert.ok(!text.includes("PRIVATE KEY") && !text.includes("lab.only.not.a.secret"));
}

/** Somebody signs in in a browser of their own. */
async function as(browser, user) {
  const context = await profile(browser);
  const page = await context.newPage();
  await page.goto(CONSOLE);
  await page.getByLabel("User").fill(user);
  await page.getByLabel("Password").fill(PASSPHRASE);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("navigation", { name: "Views" }).waitFor();
  return { context, page };
}

const VIEWS = [
  ["overview"], ["connections", "to-hub"], ["connections", "to-hub", "edit"], ["routing", "policies"], ["nat"], ["certificates"], ["certificates", "trust"],
  ["certificates", "keys"], ["system", "machine"], ["system", "backup"], ["system", "document"], ["system", "generations"],
];
/** What changes the document or does something. */
const CHANGES = /^(Add|Remove|Replace|Choose algorithms|Add to the draft|Set secret|Make one up|Restore|Download with secrets|Go back to|Take its document)/;
const ACTS = /^(Try now|Reset|Disconnect|Rekey|Test-sign|Download diagnostics|Try )/;

async function buttons(page) {
  const found = [];
  for (const parts of VIEWS) {
    await visit(page, ...parts);
    await page.getByText("Loading …").first().waitFor({ state: "detached" });
    for (const name of await page.getByRole("button").allInnerTexts()) found.push(name.trim());
  }
  return found;
}

/** What the API says to a request of whoever is signed in there. */
const refused = (page, method, path) =>
  page.evaluate(
    async ([verb, where]) => {
      const { csrf_token: token } = await (await fetch("/api/v1/session")).json();
      const answer = await fetch(`/api/v1${where}`, { method: verb, headers: { "X-Csrf-Token": token, "If-Match": "*", "Content-Type": "application/merge-patch+json" }, ...(verb === "GET" ? {} : { body: "{}" }) });
      return [answer.status, (await answer.json().catch(() => ({}))).reason];
    },
    [method, path],
  );

/** A viewer sees no button that changes or does anything, an operator none that changes; the API refuses both all the same. */
export async function roles({ page, browser }) {
  await visit(page, "system", "people");
  for (const [user, role] of [["noc", "viewer"], ["olga", "operator"]]) {
    await page.getByLabel("Name of a new user").fill(user);
    await page.getByRole("button", { name: "Add to the draft" }).click();
    await page.getByLabel(`Role of ${user}`).selectOption(role);
  }
  await commit(page);
  await visit(page, "system", "people");
  for (const user of ["noc", "olga"]) {
    await page.getByLabel("Of", { exact: true }).selectOption(user);
    await page.getByLabel("New password").fill(PASSPHRASE);
    await page.getByRole("button", { name: "Set the password" }).click();
    await page.getByText(`The password of ${user} is set.`).waitFor();
  }
  const noc = await as(browser, "noc");
  const viewer = await buttons(noc.page);
  assert.deepEqual(viewer.filter((name) => CHANGES.test(name) || ACTS.test(name)), []);
  for (const [method, path] of [["PATCH", "/config"], ["POST", "/connections/to-hub:reset"], ["GET", "/diagnostics"], ["GET", "/secrets"], ["GET", "/audit"]]) {
    assert.deepEqual(await refused(noc.page, method, path), [403, "role-insufficient"], `${method} ${path}`);
  }
  await noc.context.close();
  const olga = await as(browser, "olga");
  const operator = await buttons(olga.page);
  assert.deepEqual(operator.filter((name) => CHANGES.test(name)), []);
  assert.ok(operator.some((name) => ACTS.test(name)), operator.join());
  assert.deepEqual(await refused(olga.page, "PATCH", "/config"), [403, "role-insufficient"]);
  await olga.context.close();
}
