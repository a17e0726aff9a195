// The stage, which acts at the peer: a wish is a line, and so is the answer.
import { createInterface } from "node:readline";

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Has the stage do something; gives what it saw, or throws why not. */
export async function wish(what) {
  process.stdout.write(`wish: ${what}\n`);
  const { value } = await answers.next();
  const answer = JSON.parse(value);
  if (answer.error) throw new Error(`${what}: ${answer.error}`);
  return answer.value;
}
