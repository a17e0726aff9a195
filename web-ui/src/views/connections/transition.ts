// A time in which both sides go over to other certificates. Pure.

/** So long it lasts unless somebody says otherwise, in days. */
const DAYS = 30;

/** What one begins with: from the next midnight in UTC on. */
export function begun(now: Date): { from: string; until: string } {
  const midnight = (days: number) => new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate() + days));
  const written = (moment: Date) => moment.toISOString().replace(/\.\d+Z$/, "Z");
  return { from: written(midnight(1)), until: written(midnight(1 + DAYS)) };
}
