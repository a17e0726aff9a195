// Chromium, watched: no page may fail, ask anybody but the box, or break its own policy.
import fs from "node:fs";
import path from "node:path";
import { chromium } from "playwright-core";

export const CONSOLE = process.env.CONSOLE ?? "https://10.1.0.1:8443";
export const USER = "alice";
export const PASSWORD = "lab only, and long enough";
/** With CONSOLE_DIST the files come from that folder and not from the daemon: for whoever works on the console. */
const DIST = process.env.CONSOLE_DIST;
const TYPES = { ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".html": "text/html" };
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/** What went wrong in any page. */
export const faults = [];

export async function launch() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
}

/** A browser profile of its own: cookies, storage, size. */
export async function profile(browser, options = {}) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1280, height: 900 }, reducedMotion: "reduce", locale: "en-GB", baseURL: CONSOLE, ...options });
  context.setDefaultTimeout(30_000);
  context.on("request", (request) => {
    if (!request.url().startsWith(options.baseURL ?? CONSOLE)) faults.push(`asked somebody else: ${request.url()}`);
  });
  context.on("weberror", (error) => faults.push(`threw: ${error.error().stack ?? error.error()}`));
  context.on("console", (message) => {
    const text = message.text();
    if (/Content Security Policy|Uncaught/.test(text)) faults.push(text);
  });
  if (DIST) await context.route((url) => !url.pathname.startsWith("/api/"), fromDist);
  return context;
}

function fromDist(route) {
  const { pathname } = new URL(route.request().url());
  const file = path.join(DIST, pathname === "/" ? "index.html" : pathname);
  if (!fs.existsSync(file)) return route.fulfill({ status: 404 });
  const headers = { "content-type": TYPES[path.extname(file)], "content-security-policy": POLICY };
  return route.fulfill({ body: fs.readFileSync(file), headers });
}

/** Signs in where the sign-in page is shown. */
export async function signIn(page) {
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  await page.getByLabel("User").fill(USER);
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("navigation", { name: "Views" }).waitFor();
}

/** Goes to a place in the console of the page's box. */
export async function visit(page, ...parts) {
  await page.goto(`/#/${parts.join("/")}`);
  await page.getByRole("heading", { level: 1 }).waitFor();
}
