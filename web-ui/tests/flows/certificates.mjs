import assert from "node:assert/strict";
import { visit } from "../browser.mjs";
import { wish } from "../stage.mjs";
import { commit, commitReviewed } from "./network.mjs";

const draft = (page) => page.getByRole("region", { name: "Draft", exact: true });
const file = (name, text) => ({ name, mimeType: "application/x-pem-file", buffer: Buffer.from(text) });
const certificate = (page, name) => page.getByRole("region", { name: `Certificate ${name}`, exact: true });
const FILES = "Certificate, those above it, and its key";
let made;

/** From secrets to certificates: roots and a bundle in no order are uploaded, the key is sealed and in no document. */
export async function certify({ page }) {
  made = await wish("certificates");
  await visit(page, "certificates", "trust");
  await page.getByLabel("Name of new roots").fill("lab-roots");
  await page.getByRole("button", { name: "Add to the draft" }).click();
  const trust = page.getByRole("region", { name: "Trust lab-roots" });
  await trust.getByText("a root certificate is needed").waitFor();
  await trust.getByLabel("Roots of lab-roots, and what leads from them", { exact: true }).setInputFiles(file("root.pem", made.root));
  await trust.getByText("Lab root, until").waitFor();
  await trust.locator(".wrong").first().waitFor({ state: "detached" });

  await visit(page, "certificates");
  await page.getByLabel("Name of a new certificate").fill("edge");
  await page.getByRole("button", { name: "Add to the draft" }).click();
  const edge = certificate(page, "edge");
  await edge.getByText("a file has the key alone").waitFor();
  await edge.getByLabel(FILES, { exact: true }).setInputFiles(file("edge.pem", made.near));
  await edge.getByText("The key is sealed on the box as key-edge.").waitFor();
  assert.match(await edge.getByRole("listitem").first().innerText(), /^gw-a, until/);
  await edge.getByText("a file has the key alone").waitFor({ state: "detached" });

  await visit(page, "connections", "to-hub", "edit");
  await page.getByLabel("We prove ourselves by").selectOption("certificate");
  await page.getByLabel("Our certificate").selectOption("edge");
  await page.getByLabel("Common name of the peer").fill("gw-a");
  await page.getByLabel("Believed by").selectOption("lab-roots");
  const kept = await page.evaluate(() => JSON.stringify({ ...localStorage }));
  assert.ok(!kept.includes("PRIVATE KEY"), "a private key is in the draft");
  await draft(page).getByRole("link", { name: "Review" }).click();
  await page.getByText("Tunnels that are reset").waitFor();
  await commitReviewed(page);

  // The name of the peer was wrong: that is told, and put right.
  await visit(page, "connections", "to-hub");
  await page.getByRole("region", { name: "Why it is not up" }).getByText("gw-b").first().waitFor();
  await visit(page, "connections", "to-hub", "edit");
  await page.getByLabel("Common name of the peer").fill("gw-b");
  await commit(page);
  await visit(page, "connections", "to-hub");
  await page.getByText(/^up for/).waitFor();
  const seen = await wish("ping");
  assert.equal(seen.lost, 0, JSON.stringify(seen));
}

/** Another certificate and another key in the place of those in use: nothing is reset, no packet is lost, and the peer takes it. */
export async function rotate({ page }) {
  await wish("ping-begin");
  await visit(page, "certificates");
  const edge = certificate(page, "edge");
  await edge.getByRole("button", { name: "Test-sign with edge" }).click();
  await edge.getByText("The key signs.").waitFor();
  await edge.getByRole("button", { name: "Replace edge" }).click();
  const next = certificate(page, "edge-2");
  await next.getByText("Takes the place of edge for to-hub.").waitFor();
  await next.getByLabel(FILES, { exact: true }).setInputFiles(file("next.pem", made.next));
  await next.getByText("The key is sealed on the box as key-edge-2.").waitFor();
  await draft(page).getByRole("link", { name: "Review" }).click();
  await page.getByText("connections / to-hub / authentication / certificate").waitFor();
  const impact = page.getByRole("region", { name: "What it does" });
  await impact.getByText("Tunnels that change while their keys stay").waitFor();
  assert.equal(await impact.getByText("Tunnels that are reset").count(), 0);
  await page.screenshot({ path: "../target/console-screenshots/flow-rotation.png", fullPage: true });
  await page.getByLabel("Seconds to keep it within").fill("90");
  await page.getByRole("button", { name: "Commit on trial" }).click();
  await wish("proved-by-next");
  const trial = page.getByRole("region", { name: "Change on trial" });
  await trial.getByRole("button", { name: "Keep it" }).click();
  await trial.waitFor({ state: "detached" });
  const seen = await wish("ping-end");
  assert.ok(seen.sent > 25 && seen.lost === 0, JSON.stringify(seen));

  await visit(page, "certificates");
  await next.getByText("1 made, 0 failed").waitFor();
  await edge.getByText("no connection").waitFor();
  // What nobody shows any more is taken out, and then its key.
  await edge.getByRole("button", { name: "Remove edge" }).click();
  await draft(page).getByRole("link", { name: "Review" }).click();
  await page.getByText("No tunnel, session or interface is touched.").waitFor();
  await commitReviewed(page);
  await visit(page, "certificates", "keys");
  await page.getByRole("button", { name: "Remove key-edge", exact: true }).click();
  await page.getByText("key-edge is gone.").waitFor();
  await page.getByText("key-edge-2").first().waitFor();

  await visit(page, "certificates", "verify");
  await page.getByLabel("Certificate, and what is above it (PEM)").fill(made.next.split(/(?=-----BEGIN)/).filter((text) => text.includes("CERTIFICATE")).reverse().join(""));
  await page.getByRole("combobox", { name: "As" }).selectOption("own");
  await page.getByRole("button", { name: "Verify" }).click();
  await page.getByText("It would be believed.").waitFor();
}
