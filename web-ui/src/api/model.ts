// Names for what the API says, as the OpenAPI document of the daemon has it.
import type { components } from "./openapi.gen.ts";

type Schemas = components["schemas"];
export type Status = Schemas["Status"];
export type Connection = Schemas["ConnectionStatus"];
export type Outage = Schemas["OutageStatus"];
export type Event = Schemas["Event"];
export type PastEvent = Schemas["EventStatus"];
export type IkeLogLine = Schemas["IkeLogLine"];
export type Report = Schemas["Report"];
export type Violation = Schemas["Violation"];
export type Problem = Schemas["Problem"];
export type Peer = Schemas["PeerStatus"];
export type Route = Schemas["RouteStatus2"];
export type Routes = Schemas["RoutesStatus"];
export type NatRule = Schemas["NatRuleStatus"];
export type NatStatus = Schemas["NatStatus"];
export type NatExplanation = Schemas["NatExplanation"];
export type Generations = Schemas["Generations"];
export type Between = Schemas["Between"];
export type Certificate = Schemas["CertificateStatus"];
export type Timeline = Schemas["TimelineStatus"];
export type KeyTrial = Schemas["KeyTrialStatus"];
export type Verdict = Schemas["Verdict"];
export type Audit = Schemas["AuditLog"];
export type Interface = Schemas["InterfaceStatus"];
export type Servers = Schemas["ServersStatus"];
export type Secret = Schemas["Secret"];
export type Trust = Schemas["TrustEntryStatus"];
export type Export = Schemas["Export"];
export type Firmware = Schemas["FirmwareStatus"];
export type ProviderTrial = Schemas["ProviderTrialStatus"];
export type SecretThatWasSet = Schemas["SecretThatWasSet"];

export type Role = "viewer" | "operator" | "admin";
/** Answers that the OpenAPI document leaves open. */
export interface Session {
  who: string;
  user: string | null;
  role: Role | null;
  csrf_token: string | null;
}
export interface User {
  role: Role;
  password_set_at: string | null;
  password_set_by: string | null;
}
export interface Token {
  name: string;
  user: string;
  role: Role;
  scope: string[];
  expires_at?: string | null;
  used_at?: string | null;
}

/** Any JSON. */
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
export type Item = { [name: string]: Json };

/** What a state means to whoever looks: which sign it has, and in which order it needs attention. */
export type Sign = "up" | "busy" | "down" | "off";

/** The sign of a connection. */
export function signOf(state: string): Sign {
  if (state === "up" || state === "established" || state === "valid") return "up";
  if (state === "disabled" || state === "none") return "off";
  if (state === "starting" || state === "connecting" || state === "connect" || state === "waiting" || state === "pending") return "busy";
  return "down";
}

/** Whether a connection is down because somebody wants it so. */
export function isWanted(connection: Connection): boolean {
  return connection.state !== "disabled" && connection.outage?.reason !== "disconnected-by-admin";
}

/** What stands of a connection in a list: state, and why in a word. */
export function needsAttention(connection: Connection): boolean {
  if (connection.state === "disabled") return false;
  return connection.state !== "up" || connection.warnings.length > 0 || connection.lines.some((line) => line.outage);
}
