// A file for whoever sits at the browser.

/** Offers JSON as a file. */
export function save(name: string, value: unknown): void {
  offer(name, new Blob([`${JSON.stringify(value, null, 2)}\n`], { type: "application/json" }));
}

/** Offers octets as a file. */
export function offer(name: string, octets: Blob): void {
  const address = URL.createObjectURL(octets);
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  // The browser has it by then.
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
