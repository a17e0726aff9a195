// What a document says of a connection, as the other side sees it. Pure.
import { at, isItem } from "../../api/difference.ts";
import type { Item, Json } from "../../api/model.ts";
import { link } from "../../parts/pem.ts";

/** How a side proves itself, and what it says that it is, where that does not follow from the proof. */
export interface Proof {
  by: "psk" | "certificate";
  id: string | null;
  /** Of a certificate. */
  commonName: string;
}

/** A connection as the other side sees it: ours is its peer. */
export interface Facts {
  name: string;
  version: 1 | 2;
  ours: Proof;
  theirs: Proof;
  /** A second secret. */
  ppk: { id: string; required: boolean } | null;
  /** The name of the algorithms, and what they are if they are not built in. */
  policy: { name: string; own: Item | null };
  /** Our outer address and networks. */
  peer: string;
  peerNetworks: string[];
  /** Theirs. */
  local: string;
  localNetworks: string[];
  /** What may pass, where that is not anything: theirs, and ours. */
  lines: { here: string[]; there: string[] }[];
  ike: { encryption: string; integrity: string; group: string; more: string[]; lifetime: number };
  esp: { encryption: string; integrity: string; pfs: string; more: string[]; lifetime: number; kilobytes: number };
  bgp: { ourAsn: number; ourAddress: string; theirAsn: number; theirAddress: string } | null;
}

const MODERN = {
  ike: { encryption: "GCMAES256", integrity: "SHA384", group: "ECP384", more: [], lifetime: 28_800 },
  esp: { encryption: "GCMAES256", integrity: "GCMAES256", pfs: "None", more: [], lifetime: 27_000, kilobytes: 102_400_000 },
};
const AZURE_DEFAULT = {
  ike: { encryption: "AES256", integrity: "SHA256", group: "DHGroup2", more: [], lifetime: 28_800 },
  esp: { encryption: "AES256", integrity: "SHA256", pfs: "None", more: [], lifetime: 27_000, kilobytes: 102_400_000 },
};
const AZURE_POLICY_BASED = { ...AZURE_DEFAULT, esp: { ...AZURE_DEFAULT.esp, lifetime: 3_600 } };

function strings(value: Json | undefined): string[] {
  return Array.isArray(value) ? value.filter((one): one is string => typeof one === "string") : [];
}

function text(value: Json | undefined, otherwise: string): string {
  return typeof value === "string" || typeof value === "number" ? String(value) : otherwise;
}

/** What a document says of a connection; `address` is ours where the document names an interface. */
export function facts(document: Item, name: string, address: string | undefined): Facts | null {
  const connection = at(document, ["connections", name]);
  if (!isItem(connection)) return null;
  const site = at(document, ["sites", text(connection["site"], "")]);
  const configurations = at(document, ["gateway", "ip_configurations"]);
  const names = isItem(configurations) ? Object.keys(configurations) : [];
  const ours = at(configurations, [text(connection["ip_configuration"], names[0] ?? ""), "address"]);
  const theirs = at(site, ["bgp"]);
  const version = connection["protocol"] === "IKEv1" ? 1 : 2;
  const elder = at(connection, ["selectors", "kind"]) === "policy-based" ? "azure-policy-based" : "azure-default";
  const policy = text(connection["policy"], version === 1 ? elder : "modern");
  const own = at(document, ["policies", policy]);
  const ppk = at(connection, ["authentication", "ppk"]);
  return {
    name,
    version,
    ...proofs(document, connection),
    ppk: isItem(ppk) ? { id: text(ppk["id"], ""), required: ppk["required"] !== false } : null,
    policy: { name: policy, own: isItem(own) ? own : null },
    peer: text(ours, address?.replace(/:\d+$/, "") ?? "OUR-ADDRESS"),
    peerNetworks: strings(at(document, ["gateway", "address_space"])),
    local: text(at(connection, ["endpoint"]), text(at(site, ["endpoint"]), "THEIR-ADDRESS")),
    localNetworks: strings(at(site, ["address_space"])),
    lines: lines(connection, strings(at(site, ["address_space"])), strings(at(document, ["gateway", "address_space"]))),
    ...algorithms(own, policy),
    bgp: isItem(theirs)
      ? {
          ourAsn: Number(at(document, ["gateway", "bgp", "asn"])),
          ourAddress: text(at(connection, ["bgp", "local_address"]), strings(at(document, ["gateway", "bgp", "addresses"]))[0] ?? "OUR-BGP-ADDRESS"),
          theirAsn: Number(theirs["asn"]),
          theirAddress: text(theirs["address"], "THEIR-BGP-ADDRESS"),
        }
      : null,
  };
}

function lines(connection: Item, here: string[], there: string[]): Facts["lines"] {
  const kind = at(connection, ["selectors", "kind"]);
  if (kind === "policy-based") return [{ here, there }];
  const own = kind === "custom" ? at(connection, ["selectors", "lines"]) : [];
  return (Array.isArray(own) ? own : []).map((line) => ({ here: strings(at(line, ["remote"])), there: strings(at(line, ["local"])) }));
}

function proofs(document: Item, connection: Item): Pick<Facts, "ours" | "theirs"> {
  const authentication = at(connection, ["authentication"]);
  const said = (...member: string[]) => at(authentication, member);
  const certified = said("method") === "certificate";
  const chain = strings(at(document, ["certificates", text(said("certificate"), ""), "chain"]));
  const subject = said("peer", "subject");
  const id = (member: string) => (typeof said(member) === "string" ? text(said(member), "") : null);
  return {
    ours: { by: certified ? "certificate" : "psk", id: id("local_id"), commonName: link(chain[0] ?? "")?.name ?? "OUR-COMMON-NAME" },
    theirs: { by: subject === undefined ? "psk" : "certificate", id: id("remote_id"), commonName: text(subject, "") },
  };
}

function algorithms(policy: Json | undefined, name: string): Pick<Facts, "ike" | "esp"> {
  const usual = name === "azure-default" ? AZURE_DEFAULT : name === "azure-policy-based" ? AZURE_POLICY_BASED : MODERN;
  if (!isItem(policy)) return usual;
  const ike = (member: string) => at(policy, ["ike", member]);
  const esp = (member: string) => at(policy, ["ipsec", member]);
  return {
    ike: {
      encryption: text(ike("encryption"), usual.ike.encryption),
      integrity: text(ike("integrity"), usual.ike.integrity),
      group: text(ike("dh_group"), usual.ike.group),
      more: strings(ike("additional_key_exchanges")),
      lifetime: Number(ike("lifetime_s") ?? usual.ike.lifetime),
    },
    esp: {
      encryption: text(esp("encryption"), usual.esp.encryption),
      integrity: text(esp("integrity"), usual.esp.integrity),
      pfs: text(esp("pfs_group"), "None"),
      more: strings(esp("additional_key_exchanges")),
      lifetime: Number(esp("lifetime_s") ?? usual.esp.lifetime),
      kilobytes: Number(esp("lifetime_kb") ?? usual.esp.kilobytes),
    },
  };
}
