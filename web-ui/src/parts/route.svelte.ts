// Where one is in the console: what stands after the # of the address.

class Route {
  parts = $state<string[]>([]);

  constructor() {
    this.read();
    globalThis.addEventListener?.("hashchange", () => this.read());
  }

  get view(): string {
    return this.parts[0] ?? "overview";
  }

  private read(): void {
    const hash = globalThis.location?.hash ?? "";
    const parts = hash.replace(/^#\/?/, "").split("/");
    this.parts = parts.filter((part) => part !== "").map((part) => decoded(part));
  }
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The address of a place in the console. */
export function to(...parts: string[]): string {
  return `#/${parts.map(encodeURIComponent).join("/")}`;
}

export function go(...parts: string[]): void {
  location.hash = to(...parts);
}

export const route = new Route();
