// A picture of every view at three widths, light and dark, and what axe says of it (WCAG 2.2 AA).
import assert from "node:assert/strict";
import { AxeBuilder } from "@axe-core/playwright";
import { CONSOLE, profile, visit } from "./browser.mjs";

export const PICTURES = "../target/console-screenshots";
const WIDTHS = [360, 820, 1440];
const VIEWS = [
  ["connections"], ["connections", "to-hub"], ["connections", "to-depot"], ["connections", "to-hub", "edit"],
  ["connections", "to-depot", "edit"],
  ["connect"], ["connect", "watch", "to-hub"], ["routing", "peers"], ["routing", "routes"], ["routing", "policies"], ["nat"],
  ["certificates"], ["certificates", "trust"], ["certificates", "keys"], ["certificates", "verify"], ["system", "machine"], ["system", "generations"], ["system", "people"], ["system", "audit"], ["system", "firmware"], ["system", "backup"],
  ["system", "document"], ["review"],
  // Last: by then what passes is known.
  ["overview"],
];
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

async function judge(page, where) {
  const { violations } = await new AxeBuilder({ page }).withTags(RULES).analyze();
  return violations.map((found) => `${where}: ${found.id}: ${found.help}: ${found.nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(" | ")}`);
}

async function settle(page) {
  await page.getByText("Loading …").first().waitFor({ state: "detached" });
  return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
}

/** The view that is there, at three widths in light and dark; what is wrong with it. The page is then as wide as before. */
export async function picture(page, view, schemes = ["dark", "light"]) {
  const size = page.viewportSize();
  const wrong = [];
  for (const colorScheme of schemes) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    for (const width of WIDTHS) {
      await page.setViewportSize({ width, height: 900 });
      const name = `${view}-${width}-${colorScheme}`;
      const beyond = await settle(page);
      if (beyond > 0) wrong.push(`${name}: ${beyond} pixels wider than the window`);
      await page.screenshot({ path: `${PICTURES}/${name}.png`, fullPage: true });
      if (width !== 820) wrong.push(...(await judge(page, name)));
    }
  }
  await page.setViewportSize(size);
  return wrong;
}

export async function pictures({ browser, context }) {
  const state = await context.storageState();
  const wrong = [];
  for (const colorScheme of ["light", "dark"]) {
    const shown = await profile(browser, { colorScheme, storageState: state });
    const page = await shown.newPage();
    for (const parts of VIEWS) {
      await visit(page, ...parts);
      wrong.push(...(await picture(page, parts.join("-"), [colorScheme])));
    }
    await shown.close();
    const stranger = await profile(browser, { colorScheme, viewport: { width: 360, height: 760 } });
    const door = await stranger.newPage();
    await door.goto(CONSOLE);
    await door.getByRole("heading", { name: "Sign in" }).waitFor();
    await door.screenshot({ path: `${PICTURES}/login-360-${colorScheme}.png` });
    wrong.push(...(await judge(door, `login-${colorScheme}`)));
    await stranger.close();
  }
  assert.equal(wrong.length, 0, `\n${[...new Set(wrong)].join("\n")}`);
}
