// The flows in their order, each on what those before it left; then a picture of every view. `main.mjs [WORD…]` runs, after
// the claim, only flows whose names contain a word.
import fs from "node:fs";
import { faults, launch, profile } from "./browser.mjs";
import { PICTURES, pictures } from "./pictures.mjs";
import { claim } from "./flows/claim.mjs";
import { certify, rotate } from "./flows/certificates.mjs";
import { firmware } from "./flows/firmware.mjs";
import { breakIt, connect, fix } from "./flows/connect.mjs";
import { conflict, keep, revert, sessionEnds, twoTabs } from "./flows/change.mjs";
import { keyboard, many, types } from "./flows/console.mjs";
import { nat, prepend, rollBack } from "./flows/network.mjs";
import { algorithms, guarded, selectors, signed } from "./flows/own.mjs";
import { askForVersion2, interfaces, ourSide, secondSecret } from "./flows/newer.mjs";
import { backup, diagnostics, roles } from "./flows/system.mjs";

const FLOWS = [
  ["the generated types are those of the daemon", types],
  ["claim the box and name it", claim],
  ["reach everything by keyboard", keyboard],
  ["connect a site until traffic flows", connect],
  ["break it at the peer and read the reason", breakIt],
  ["fix it", fix],
  ["ask a peer of IKEv1 for IKEv2", askForVersion2],
  ["commit on trial and let it revert", revert],
  ["take it up again, commit and confirm", keep],
  ["two tabs share a draft", twoTabs],
  ["a session that ends keeps the draft", sessionEnds],
  ["decide what another admin changed too", conflict],
  ["prove who one is by a certificate", certify],
  ["rotate a certificate", rotate],
  ["mix in a second secret", secondSecret],
  ["say what is behind us, and the peer learns it", ourSide],
  ["choose algorithms of one's own", algorithms],
  ["say which networks may pass", selectors],
  ["sign a session by keys, and read why it does not come back", signed],
  ["see what would cut one off", guarded],
  ["take the links over", interfaces],
  ["make a NAT pair", nat],
  ["prepend to a path", prepend],
  ["roll back", rollBack],
  ["back up and restore", backup],
  ["diagnostics for whoever helps", diagnostics],
  ["each role sees what it may do", roles],
  ["a thousand connections", many],
  ["update a machine with slots, and plan for it", firmware],
  ["pictures of every view, and axe", pictures],
];

const words = process.argv.slice(2).filter((word) => !word.startsWith("--"));
fs.mkdirSync(PICTURES, { recursive: true });
const browser = await launch();
const context = await profile(browser);
const scene = { browser, context, page: await context.newPage() };
let [passed, failed] = [0, 0];
for (const [name, flow] of FLOWS) {
  if (words.length > 0 && flow !== claim && !words.some((word) => name.includes(word))) continue;
  const begun = Date.now();
  try {
    await flow(scene);
    if (faults.length > 0) throw new Error(faults.splice(0).join("\n"));
    passed += 1;
    console.log(`ok      ${name} (${((Date.now() - begun) / 1000).toFixed(1)} s)`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}: ${error.stack}`);
    await scene.page.screenshot({ path: `${PICTURES}/failed-${failed}.png`, fullPage: true }).catch(() => undefined);
  }
}
await browser.close();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
