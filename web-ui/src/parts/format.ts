// Numbers and times as people read them. Pure.

/** Octets, in powers of ten, as the command line tells them. */
export function octets(count: number): string {
  return scaled(count, ["B", "kB", "MB", "GB", "TB", "PB"]);
}

/** Bits per second. */
export function bits(perSecond: number): string {
  return scaled(perSecond, ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"]);
}

/** A share of 1 in hundredths; what is there at all is not told as nothing. */
export function percent(share: number): string {
  if (share > 0 && share < 0.001) return "< 0.1 %";
  return `${(share * 100).toFixed(share < 0.0995 ? 1 : 0)} %`;
}

function scaled(count: number, units: string[]): string {
  let step = 0;
  let value = count;
  while (value >= 999.5 && step < units.length - 1) {
    value /= 1000;
    step += 1;
  }
  const digits = step === 0 || value >= 99.5 ? 0 : value >= 9.95 ? 1 : 2;
  return `${value.toFixed(digits)} ${units[step]}`;
}

/** Seconds in at most two units. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const parts: [number, string][] = [
    [Math.floor(whole / 86_400), "d"],
    [Math.floor(whole / 3600) % 24, "h"],
    [Math.floor(whole / 60) % 60, "min"],
    [whole % 60, "s"],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  if (first < 0) return "0 s";
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(" ");
}

/** What is left of a trial, as a clock shows it. */
export function countdown(seconds: number): string {
  const whole = Math.max(0, Math.ceil(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** A time of the API as this browser's clock has it. */
export function moment(text: string | null | undefined): string {
  if (!text) return "never";
  const date = new Date(text);
  if (Number.isNaN(date.getTime())) return text;
  const today = new Date().toDateString() === date.toDateString();
  const time = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
  return today ? time : `${date.toLocaleDateString()} ${time}`;
}

/** The same to the millisecond. */
export function instant(text: string): string {
  const date = new Date(text);
  return Number.isNaN(date.getTime()) ? text : `${moment(text)}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}

export function count(many: number, one: string, more = `${one}s`): string {
  return `${many.toLocaleString("en")} ${many === 1 ? one : more}`;
}
