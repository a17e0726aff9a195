import { visit } from "../browser.mjs";
import { wish } from "../stage.mjs";

const draft = (page) => page.getByRole("region", { name: "Draft", exact: true });

/** Commits the draft for good. */
export async function commit(page) {
  await draft(page).getByRole("link", { name: "Review" }).click();
  await commitReviewed(page);
}

/** The same once it is looked at. */
export async function commitReviewed(page) {
  await page.getByLabel(/On trial/).uncheck();
  await page.getByRole("button", { name: "Commit for good" }).click();
  await page.getByRole("heading", { name: "Sites and tunnels" }).waitFor();
}

async function rule(page, name, translates, before, after) {
  await page.getByLabel("Name of a new rule").fill(name);
  await page.getByRole("button", { name: "Add to the draft" }).click();
  const shown = page.getByRole("region", { name: `Rule ${name}` });
  await shown.getByLabel("Translates").selectOption({ label: translates });
  await shown.getByLabel("Before translation").fill(before);
  await shown.getByLabel("After it").fill(after);
  await shown.getByLabel("to-hub").check();
  return shown;
}

/** Each side's network gets a name for the other; a prefix of the wrong length is told while it is typed. */
export async function nat({ page }) {
  await visit(page, "nat");
  const ours = await rule(page, "ours", "our addresses, for the site", "10.1.0.0/24", "100.64.1.0/25");
  await ours.locator(".wrong, .notice.down").first().waitFor();
  await ours.getByLabel("After it").fill("100.64.1.0/24");
  await ours.locator(".wrong, .notice.down").first().waitFor({ state: "detached" });
  await rule(page, "theirs", "the site's addresses, for us", "10.2.0.0/24", "100.64.2.0/24");
  await commit(page);
  await visit(page, "nat");
  await page.getByText("The kernel translates by the rules that run.").waitFor();
  await page.getByLabel("Source", { exact: true }).fill("10.1.0.10");
  await page.getByLabel("Destination", { exact: true }).fill("10.2.0.10");
  await page.getByRole("button", { name: "Explain" }).click();
  await page.getByText("translates its source").waitFor();
}

/** Our path looks longer to the peer, as its BIRD sees it. */
export async function prepend({ page }) {
  await visit(page, "routing", "policies");
  await page.getByLabel("Name of new rules").fill("longer");
  await page.getByRole("button", { name: "Add to the draft" }).click();
  const term = page.getByRole("group", { name: "Term 1 of longer" });
  await term.getByLabel("AS path", { exact: true }).fill("65010 ?");
  await term.getByText(/no pattern of an AS path/).waitFor();
  await term.getByLabel(/^AS path( in draft)?$/).fill("");
  await term.locator(".wrong").waitFor({ state: "detached" });
  await term.getByLabel("Communities put on").fill("65010:7");
  await page.getByLabel("Put our AS before the path, times").fill("3");
  await page.getByLabel("A route that no term of longer fits").selectOption("accept");
  await page.getByLabel("Rules of to-hub for what goes").selectOption("longer");
  const foreseen = page.getByRole("region", { name: /^What the draft would make of routes by longer/ });
  await foreseen.getByText(/^4 routes become something else/).waitFor();
  const row = foreseen.getByRole("listitem").filter({ hasText: "10.1.0.0/24" });
  await row.getByText("65010 65010 65010 65010").waitFor();
  // What is typed next is asked for, too; of a prefix all is told.
  await page.getByLabel("Put our AS before the path, times").fill("1");
  await row.getByText("65010 65010", { exact: true }).waitFor();
  await foreseen.getByLabel("In the prefix").fill("10.9.0.0/16");
  await foreseen.getByText(/^0 routes become something else/).waitFor();
  await page.getByLabel("Put our AS before the path, times").fill("3");
  await commit(page);
  await wish("prepended");
  await visit(page, "routing", "peers");
  await page.getByText(/established for/).waitFor();
  await visit(page, "routing", "routes");
  await page.getByLabel("Prefix", { exact: true }).last().fill("10.1.0.0/24");
  await page.getByRole("button", { name: "Explain" }).click();
  await page.getByText(/sent by policy, term 1/).waitFor();
}

/** Back to the document before the last, on trial, and kept. */
export async function rollBack({ page }) {
  await visit(page, "system", "generations");
  const back = page.getByRole("button", { name: /What going back to/ }).first();
  await back.click();
  await page.getByText("connections / to-hub / bgp / export").waitFor();
  await page.getByRole("button", { name: /^Go back to/ }).click();
  const trial = page.getByRole("region", { name: "Change on trial" });
  await trial.getByRole("button", { name: "Keep it" }).click();
  await trial.waitFor({ state: "detached" });
  await wish("not-prepended");
}
