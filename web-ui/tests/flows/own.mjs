import assert from "node:assert/strict";
import { visit } from "../browser.mjs";
import { commit } from "./network.mjs";

const field = (page, label) => page.locator(".field", { has: page.locator("label", { hasText: label }) });

const ike = (page) => page.evaluate(async () => (await (await fetch("/api/v1/status/connections/to-hub")).json()).ike);

/** Algorithms of one's own: what does not go together is told at its field; the tunnel then has what was chosen. */
export async function algorithms({ page }) {
  await visit(page, "connections", "to-hub", "edit");
  await page.getByRole("button", { name: "Choose algorithms for to-hub" }).click();
  const policy = page.getByRole("region", { name: "Policy to-hub" });
  await policy.getByLabel("IPsec integrity").selectOption("SHA256");
  await field(page, "IPsec integrity").getByText("GCMAES256 encryption needs GCMAES256 here").waitFor();
  await policy.getByLabel("IPsec integrity").selectOption("GCMAES256");
  await field(page, "IPsec integrity").locator(".wrong").waitFor({ state: "detached" });
  await policy.getByLabel("Keys last, s").fill("60");
  await field(page, "Keys last, s").locator(".wrong").waitFor();
  await policy.getByLabel("Keys last, s").fill("3600");
  await policy.getByLabel("IKE key exchanges after it").fill("MLKEM768\nNONSENSE");
  await field(page, "IKE key exchanges after it").locator(".wrong").waitFor();
  await policy.getByLabel("IKE key exchanges after it").fill("");
  await policy.getByLabel("IKE encryption").selectOption("GCMAES256");
  await policy.getByLabel("IKE integrity and PRF").selectOption("SHA384");
  await policy.getByLabel(/^IKE key exchange( in draft)?$/).selectOption("ECP384");
  await policy.getByLabel("Key exchange at each rekey (PFS)").selectOption({ label: "None" });
  const before = await ike(page);
  await commit(page);
  await visit(page, "connections", "to-hub");
  await page.getByText(before.initiator_spi).waitFor({ state: "detached" });
  await page.getByText(/^up for/).waitFor();
  assert.equal((await ike(page)).algorithms, "AES_GCM_16_256/PRF_HMAC_SHA2_384/ECP_384");
}

/** Lines of selectors of one's own, of which one leads nowhere. */
export async function selectors({ page }) {
  await visit(page, "connections", "to-depot", "edit");
  await page.getByLabel("Traffic selectors").selectOption("custom");
  const lines = page.getByRole("group", { name: "Lines of selectors" });
  await lines.getByText("no line, so nothing could pass").waitFor();
  await lines.getByRole("button", { name: "Add a line" }).click();
  await lines.getByLabel("Networks there, line 1").fill("10.77.0.0/25");
  await lines.getByRole("button", { name: "Add a line" }).click();
  await lines.getByLabel("Networks there, line 2").fill("10.99.0.0/24");
  await field(page, "Networks there, line 2").getByText("has nothing in common with the site's address space").waitFor();
  assert.equal(await field(page, "Networks there, line 1").locator(".wrong").count(), 0);
  await lines.getByLabel("Networks there, line 2").fill("10.77.0.128/25");
  await lines.locator(".wrong").waitFor({ state: "detached" });
  await commit(page);
  await visit(page, "connections", "to-depot");
  await page.getByRole("region", { name: "Table of selectors" }).getByText("10.77.0.128/25").waitFor();
}

/** Keys of TCP-AO take turns in the form. Once they are committed, why the session does not come back is told, for this kernel or the peer
    has none; without them it does. */
export async function signed({ page }) {
  await visit(page, "connections", "to-hub", "edit");
  const by = page.getByLabel(/^Its segments are signed/);
  if (!(await by.isVisible())) await page.getByText("More of the session").click();
  await by.selectOption("tcp_ao");
  const keys = page.getByRole("group", { name: "Keys of TCP-AO" });
  await keys.getByRole("button", { name: "Add a key" }).click();
  await keys.getByLabel("We call key 2").fill("1");
  await keys.getByText(/duplicate-key-id/).waitFor();
  await keys.getByLabel("We call key 2").fill("2");
  await keys.getByText(/duplicate-key-id/).waitFor({ state: "detached" });
  await keys.getByRole("button", { name: "Sign with key 2" }).click();
  assert.equal(await keys.getByLabel("Name of the secret of key 1").inputValue(), "bgp-ao-to-hub-2");
  await page.screenshot({ path: "../target/console-screenshots/flow-tcp-ao.png", fullPage: true });
  await keys.getByRole("button", { name: "Take key 1 out" }).click();
  await keys.getByRole("button", { name: /Take key/ }).first().waitFor({ state: "detached" });
  const secret = page.locator(".secret", { hasText: "bgp-ao-to-hub" });
  await secret.getByRole("button", { name: "Make one up" }).click();
  await secret.getByText(/^Set .* by alice/).waitFor();
  await commit(page);

  await visit(page, "routing", "peers");
  const session = page.getByRole("listitem").filter({ has: page.getByRole("heading", { name: "to-hub" }) });
  await session.getByText("Next:").waitFor();
  // That it was changed is no reason why it does not come back.
  await session.locator(".notice .chip").filter({ hasNotText: "configuration-changed" }).waitFor();
  await page.screenshot({ path: "../target/console-screenshots/flow-tcp-ao-reason.png", fullPage: true });
  await visit(page, "connections", "to-hub", "edit");
  if (!(await by.isVisible())) await page.getByText("More of the session").click();
  await by.selectOption({ label: "not at all" });
  await commit(page);
  await visit(page, "routing", "peers");
  await session.getByText(/^established for/).waitFor();
}

/** Whoever would no more listen where one is connected is told so, and it stays a draft. */
export async function guarded({ page }) {
  await visit(page, "system", "machine");
  const management = page.getByRole("region", { name: "Console and API" });
  await management.getByLabel("Served at").fill("0.0.0.0:9443");
  await management.getByText("nothing listens at 10.1.0.1:8443 any more").waitFor();
  await page.screenshot({ path: "../target/console-screenshots/flow-cut-off.png", fullPage: true });
  await management.getByLabel("Served at").fill("0.0.0.0:9443\n10.1.0.1:8443");
  await management.getByText("This may cut you off").waitFor({ state: "detached" });
  await management.getByRole("button", { name: /^Serve them at/ }).click();
  const draft = page.getByRole("region", { name: "Draft", exact: true });
  await draft.getByRole("button", { name: "Discard" }).click();
  await draft.getByRole("button", { name: "Yes, throw it away" }).click();
}
