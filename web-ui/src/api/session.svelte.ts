// Who is signed in.
import { ask, carry, get, onSignedOut, post, Refusal, wordsOf } from "./client.ts";
import type { Role, Session } from "./model.ts";

class Signed {
  /** Not known yet, nobody, or somebody. */
  state = $state<"asking" | "out" | "in">("asking");
  user = $state("");
  role = $state<Role>("viewer");
  /** Why the sign-in page is there, in the API's words. */
  why = $state("");

  constructor() {
    onSignedOut((refusal) => {
      if (this.state !== "in") return;
      this.state = "out";
      this.why = refusal.reason === "session-expired" ? "Your session has ended. Your draft is kept." : refusal.message;
    });
  }

  get changes(): boolean {
    return this.role === "admin";
  }

  get acts(): boolean {
    return this.role !== "viewer";
  }

  /** Finds out whether a session of before goes on. */
  async resume(): Promise<void> {
    try {
      this.take(await get<Session>("/session"));
    } catch (thrown) {
      this.state = "out";
      if (!(thrown instanceof Refusal)) this.why = wordsOf(thrown);
    }
  }

  async signIn(user: string, password: string): Promise<void> {
    const session = await post<Session>("/session", { user, password });
    this.take({ ...session, who: user });
  }

  /** Makes the first admin with the code of the console, and signs in. */
  async claim(code: string, user: string, password: string): Promise<void> {
    await post("/claim", { code, user, password });
    await this.signIn(user, password);
  }

  async signOut(): Promise<void> {
    await ask("/session", { method: "DELETE" });
    carry(null);
    this.why = "";
    this.state = "out";
  }

  private take(session: Session): void {
    if (!session.role) {
      this.state = "out";
      return;
    }
    carry(session.csrf_token);
    this.user = session.user ?? session.who;
    this.role = session.role;
    this.why = "";
    this.state = "in";
  }
}

export const session = new Signed();
