// The ends of a prefix, for pictures. Pure.

/** The first and the last address of an IPv4 prefix; null of anything else. */
export function ends(prefix: string): [string, string] | null {
  const match = /^(\d+)\.(\d+)\.(\d+)\.(\d+)\/(\d+)$/.exec(prefix);
  if (!match) return null;
  const [a = 0, b = 0, c = 0, d = 0, length = 0] = match.slice(1).map(Number);
  if (length > 32 || [a, b, c, d].some((octet) => octet > 255)) return null;
  const size = 2 ** (32 - length);
  const number = ((a * 256 + b) * 256 + c) * 256 + d;
  const first = number - (number % size);
  return [dotted(first), dotted(first + size - 1)];
}

function dotted(number: number): string {
  return [2 ** 24, 2 ** 16, 2 ** 8, 1].map((unit) => Math.floor(number / unit) % 256).join(".");
}
