import assert from "node:assert/strict";
import { visit } from "../browser.mjs";
import { wish } from "../stage.mjs";

/** The guide: what the box refuses stands at its field; at the end the tunnel is up and packets pass. */
export async function connect({ page }) {
  await visit(page, "connect");
  await page.getByLabel("Another device").check();
  await page.getByLabel("Name", { exact: true }).fill("hub");
  await page.getByLabel("Its outer address").fill("192.0.2.2");
  const networks = page.getByLabel("Networks behind it");
  await networks.fill("10.2.0.1/24");
  await page.getByLabel("Secret of both sides").fill(await wish("secret"));
  await page.getByLabel("Routes are exchanged by BGP").check();
  await page.getByLabel("Its autonomous system").fill("65020");
  await page.getByLabel("Its BGP address").fill("172.31.0.1");
  await page.getByRole("button", { name: "Check" }).click();
  await page.locator(".field", { has: networks }).getByText(/bits set after its prefix/).waitFor();
  assert.equal(await networks.getAttribute("aria-invalid"), "true");
  await networks.fill("");
  await page.getByRole("button", { name: "Check again" }).click();
  await page.getByText("Tunnels that come").waitFor();
  await page.getByRole("button", { name: "Commit and connect" }).click();
  await page.getByText("The tunnel is up.").waitFor();
  await page.getByLabel("Device").selectOption({ label: "strongSwan (swanctl)" });
  await page.getByText("remote_addrs = 192.0.2.1").waitFor();
  const forPeer = page.getByRole("region", { name: "For the other side" }).locator("pre");
  const said = await wish(`try-settings ${JSON.stringify(await forPeer.innerText())}`);
  assert.match(said, /loaded connection 'to-hub'[^]*successfully loaded 1 connections/);
  // Another Causeway is told a document that a Causeway takes.
  await page.getByLabel("Device").selectOption({ label: "Causeway" });
  const document = JSON.parse((await forPeer.innerText()).replace("psk-causeway", "psk-hub"));
  const taken = await page.evaluate(async (body) => {
    const { csrf_token: token } = await (await fetch("/api/v1/session")).json();
    const headers = { "Content-Type": "application/json", "X-Csrf-Token": token };
    const answer = await fetch("/api/v1/config:check", { method: "POST", body: JSON.stringify(body), headers });
    return { status: answer.status, text: await answer.text() };
  }, document);
  assert.equal(taken.status, 200, taken.text);
  const seen = await wish("ping");
  assert.equal(seen.lost, 0, JSON.stringify(seen));
}

/** The peer has another secret now: the reason says so, in plain words, with what to do. */
export async function breakIt({ page }) {
  await wish("wrong-secret");
  await visit(page, "connections", "to-hub");
  await page.getByRole("button", { name: "Try now" }).click();
  const why = page.getByRole("region", { name: "Why it is not up" });
  await why.getByText("authentication-failed").waitFor();
  await why.getByText("most often the secrets differ").waitFor();
  const log = page.getByRole("region", { name: "IKE log" });
  const pause = log.getByRole("button", { name: "Pause" });
  if (!(await pause.isVisible())) await log.getByText("IKE log").click();
  await log.getByText("peer IKE_AUTH response 1: AUTHENTICATION_FAILED").first().waitFor();
  await pause.click();
  await log.getByText(/^Paused/).waitFor();
  await log.getByRole("button", { name: "Go on" }).click();
  await visit(page, "overview");
  await page.getByRole("region", { name: "Needs attention" }).getByRole("link", { name: "to-hub" }).waitFor();
}

export async function fix({ page }) {
  await wish("right-secret");
  await visit(page, "connections", "to-hub");
  await page.getByRole("button", { name: "Try now" }).click();
  await page.getByText(/^up for/).waitFor();
  const seen = await wish("ping");
  assert.equal(seen.lost, 0, JSON.stringify(seen));
  const capture = page.getByRole("region", { name: "Packet capture" });
  await capture.getByText("Packet capture").click();
  await capture.getByLabel("Seconds").fill("1");
  const saved = page.waitForEvent("download");
  await capture.getByRole("button", { name: "Take packets" }).click();
  assert.equal((await saved).suggestedFilename(), "causeway-to-hub.pcapng");
  await capture.getByText(/it is in your downloads/).waitFor();
}
