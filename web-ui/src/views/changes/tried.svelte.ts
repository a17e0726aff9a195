// The change that is on trial, kept in this browser, so that one that returns by itself is not lost.
import { draft } from "../../api/draft.svelte.ts";
import type { Item, Status } from "../../api/model.ts";

const KEY = "causeway-trial";

interface Tried {
  generation: number;
  document: Item;
  comment: string;
}

class Trial {
  returned = $state.raw<Tried | null>(null);

  /** Remembers what is on trial. */
  remember(tried: Tried): void {
    this.returned = null;
    localStorage.setItem(KEY, JSON.stringify(tried));
  }

  /** Looks whether what was on trial is still there. */
  look(configuration: Status["configuration"] | undefined): void {
    const text = localStorage.getItem(KEY);
    if (!configuration || !text) {
      if (!text) this.returned = null;
      return;
    }
    const tried = JSON.parse(text) as Tried;
    if (configuration.trial?.generation === tried.generation) return;
    if (configuration.generation < tried.generation) this.returned = tried;
    else this.forget();
  }

  async keep(generation: number): Promise<void> {
    await draft.confirm(generation);
    this.forget();
  }

  takeUp(): void {
    if (this.returned) draft.replace(this.returned.document);
    this.forget();
  }

  forget(): void {
    localStorage.removeItem(KEY);
    this.returned = null;
  }
}

export const tried = new Trial();
