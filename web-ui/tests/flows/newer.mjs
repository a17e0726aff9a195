import assert from "node:assert/strict";
import { visit } from "../browser.mjs";
import { wish } from "../stage.mjs";
import { commit } from "./network.mjs";

const ike = (page) => page.evaluate(async () => (await (await fetch("/api/v1/status/connections/to-hub")).json()).ike);

/** The tunnel is another one, and up, and packets pass. */
async function anew(page, before) {
  await visit(page, "connections", "to-hub");
  await page.getByText(before).first().waitFor({ state: "detached" });
  await page.getByText(/^up for/).waitFor();
  const seen = await wish("ping");
  assert.equal(seen.lost, 0, JSON.stringify(seen));
}

/** A peer that takes nobody without the second secret; certificates are proved as the form says, and others come at a set time. */
export async function secondSecret({ page }) {
  const { id, secret } = await wish("second-secret");
  await visit(page, "connections", "to-hub", "edit");
  const who = page.getByRole("region", { name: "Who is there" });
  await who.getByLabel("Mix in a second secret, against quantum computers").check();
  await who.getByLabel("What both sides call it").fill(id);
  await who.getByLabel("Secret ppk-to-hub").fill(secret);
  await who.getByRole("button", { name: "Set secret" }).click();
  await who.getByText("It is sealed on the box").waitFor();
  await who.getByLabel("Choose how certificates are proved").check();
  await who.getByLabel("Hashes of RSA signatures").fill("SHA384\nSHA256");
  await who.getByLabel("Go over to other certificates at a set time").check();
  await who.getByText('"certificate" or "chain" must be given').waitFor();
  await who.getByLabel("Then the peer is believed by").selectOption("lab-roots");
  await who.locator(".wrong").first().waitFor({ state: "detached" });
  const before = await ike(page);
  await commit(page);
  await anew(page, before?.initiator_spi ?? "none");
}

/** The peer of a connection of IKEv1 is asked whether it speaks IKEv2: it does, and the tunnel beside is not touched. */
export async function askForVersion2({ page }) {
  const before = await ike(page);
  await visit(page, "connections", "to-elder");
  await page.getByRole("button", { name: "Ask the peer for IKEv2" }).click();
  await page.getByRole("region", { name: "IKEv2 instead of IKEv1" }).getByText(/^The other side speaks IKEv2/).waitFor();
  assert.equal((await ike(page)).initiator_spi, before.initiator_spi);
}

/** One more network of ours, in the form of our side: the peer learns it through the tunnel. */
export async function ourSide({ page }) {
  await visit(page, "system", "machine");
  const ours = page.getByRole("region", { name: "Our side" });
  await ours.getByLabel("Networks behind us").fill("10.1.0.0/24\n10.1.1.0/24");
  await commit(page);
  await wish("second-network");
}

/** The box takes its links over, in their forms, on trial: it is reached as before, and the tunnel is up. */
export async function interfaces({ page }) {
  const links = [["lan", "lan", "10.1.0.1/24\n10.1.1.1/24", ""], ["wan", "wan", "192.0.2.1/24", "192.0.2.2"]];
  await visit(page, "system", "machine");
  const section = page.getByRole("region", { name: "Interfaces" });
  for (const [name, role, addresses, gateway] of links) {
    await section.getByLabel("Name of an interface to manage").fill(name);
    await section.getByRole("button", { name: "Add to the draft" }).click();
    const link = section.locator(".panel", { has: page.getByRole("heading", { name, exact: true }) });
    await link.getByLabel(/^Role/).selectOption(role);
    await link.getByLabel(/^IPv4/).selectOption("static");
    await link.getByLabel(/^Addresses/).fill(addresses);
    if (gateway) await link.getByLabel(/^Gateway/).fill(gateway);
  }
  await section.locator(".wrong").first().waitFor({ state: "detached" });
  await page.getByRole("region", { name: "Draft", exact: true }).getByRole("link", { name: "Review" }).click();
  await page.getByText("Interfaces that come").waitFor();
  await page.getByLabel("Seconds to keep it within").fill("90");
  await page.getByRole("button", { name: "Commit on trial" }).click();
  const trial = page.getByRole("region", { name: "Change on trial" });
  await trial.getByRole("button", { name: "Keep it" }).click();
  await trial.waitFor({ state: "detached" });
  await visit(page, "system", "machine");
  for (const [name] of links) await section.locator(".panel", { has: page.getByRole("heading", { name, exact: true }) }).getByText("up", { exact: true }).waitFor();
  await visit(page, "connections", "to-hub");
  await page.getByText(/^up for/).waitFor();
  const seen = await wish("ping");
  assert.equal(seen.lost, 0, JSON.stringify(seen));
}
