// What the other side is configured with, in the words of five devices. Pure. What a device has no word for is said as a
// remark in its own comments.
import type { Facts, Proof } from "./facts.ts";

export interface Device {
  id: string;
  title: string;
  /** Whether it is told of certificates and of a second secret, too. */
  certificates: boolean;
  write: (facts: Facts) => string;
}

/** Words of algorithms that a device knows, as regular expressions. */
const CIPHERS = "DES|DES3|AES128|AES192|AES256|GCMAES128|GCMAES192|GCMAES256|MD5|SHA1|SHA256|SHA384|None|ECP256|ECP384";
const AZURE = new RegExp(`^(${CIPHERS}|(DHGroup|PFS)(1|2|14|2048|24))$`);
const CISCO = new RegExp(`^(${CIPHERS}|SHA512|ECP521|(DHGroup|PFS)(1|2|5|14|2048|15|16|24))$`);
const FORTIGATE = new RegExp(`^(${CIPHERS}|SHA512|ECP521|X25519|CHACHA20POLY1305|(DHGroup|PFS)(1|2|5|14|2048|15|16))$`);

/** What of this a device cannot be told in its own words. */
function lacking({ name, ike, esp }: Facts, known: RegExp, sign: string): string {
  const words = [ike.encryption, ike.integrity, ike.group, ...ike.more, esp.encryption, esp.integrity, esp.pfs, ...esp.more];
  const unknown = [...new Set(words.filter((word) => !known.test(word)))];
  return unknown.length === 0 ? "" : `${sign} It has no word for ${unknown.join(", ")}: choose other algorithms for ${name}.\n`;
}

function azure(facts: Facts): string {
  const bgp = facts.bgp ? ` \\\n  --asn ${facts.bgp.ourAsn} --bgp-peering-address ${facts.bgp.ourAddress}` : "";
  const networks = facts.peerNetworks.join(" ") || '""';
  const { ike, esp } = facts;
  const elder = facts.version === 1 ? "# IKEv1: az makes connections of IKEv2; make this one in the portal, then the rest\n" : "";
  return `# GROUP, GATEWAY and THE-SECRET are yours to fill in
${lacking(facts, AZURE, "#")}${elder}az network local-gateway create -g GROUP -n causeway-${facts.name} \\
  --gateway-ip-address ${facts.peer} --local-address-prefixes ${networks}${bgp}
az network vpn-connection create -g GROUP -n ${facts.name} --vnet-gateway1 GATEWAY \\
  --local-gateway2 causeway-${facts.name} --shared-key 'THE-SECRET'${facts.bgp ? " --enable-bgp" : ""}${facts.lines.length > 0 ? " \\\n  --use-policy-based-traffic-selectors true" : ""}
az network vpn-connection ipsec-policy add -g GROUP --connection-name ${facts.name} \\
  --ike-encryption ${ike.encryption} --ike-integrity ${ike.integrity} --dh-group ${ike.group} \\
  --ipsec-encryption ${esp.encryption} --ipsec-integrity ${esp.integrity} --pfs-group ${esp.pfs} \\
  --sa-lifetime ${esp.lifetime} --sa-max-size ${esp.kilobytes}
`;
}

const GROUPS: Record<string, { swan: string; number: number }> = {
  DHGroup1: { swan: "modp768", number: 1 },
  DHGroup2: { swan: "modp1024", number: 2 },
  DHGroup5: { swan: "modp1536", number: 5 },
  DHGroup14: { swan: "modp2048", number: 14 },
  DHGroup2048: { swan: "modp2048", number: 14 },
  DHGroup15: { swan: "modp3072", number: 15 },
  DHGroup16: { swan: "modp4096", number: 16 },
  DHGroup24: { swan: "modp2048s256", number: 24 },
  ECP256: { swan: "ecp256", number: 19 },
  ECP384: { swan: "ecp384", number: 20 },
  ECP521: { swan: "ecp521", number: 21 },
  X25519: { swan: "curve25519", number: 31 },
  MLKEM512: { swan: "mlkem512", number: 35 },
  MLKEM768: { swan: "mlkem768", number: 36 },
  MLKEM1024: { swan: "mlkem1024", number: 37 },
};

/** The number of a group (IANA, Transform Type 4), of key exchange or PFS. */
export function groupOf(word: string): { swan: string; number: number } | undefined {
  return GROUPS[word] ?? GROUPS[word.replace(/^PFS(\d+)$/, "DHGroup$1")];
}

function isCombined(encryption: string): boolean {
  return encryption.startsWith("GCM") || encryption.startsWith("CHACHA");
}

function swanCipher(encryption: string): string {
  if (encryption.startsWith("GCMAES")) return `aes${encryption.slice(6)}gcm16`;
  if (encryption.startsWith("CHACHA")) return "chacha20poly1305";
  return encryption === "DES3" ? "3des" : encryption.toLowerCase();
}

function strongSwan(facts: Facts): string {
  const { ike, esp } = facts;
  const swan = (word: string) => groupOf(word)?.swan ?? word;
  const hash = `${isCombined(ike.encryption) ? "prf" : ""}${ike.integrity.toLowerCase()}`;
  const more = (words: string[]) => words.map((word, index) => `ke${index + 1}_${swan(word)}`);
  const pfs = groupOf(esp.pfs);
  const child = [swanCipher(esp.encryption), isCombined(esp.encryption) ? "" : esp.integrity.toLowerCase(), pfs?.swan ?? "", ...more(esp.more)];
  const any = facts.lines.length === 0 && (facts.bgp !== null || facts.localNetworks.length === 0);
  const wanted = facts.lines.length > 0 ? facts.lines : [any ? { here: ["0.0.0.0/0"], there: ["0.0.0.0/0"] } : { here: facts.localNetworks, there: facts.peerNetworks }];
  const proposal = child.filter((word) => word !== "").join("-");
  const ppk = facts.ppk ? `\n    ppk_id = ${facts.ppk.id}\n    ppk_required = ${facts.ppk.required ? "yes" : "no"}` : "";
  const newer = ike.more.length + esp.more.length > 0 ? "# Several key exchanges, and ML-KEM, need strongSwan 6.\n" : "";
  return `# /etc/swanctl/conf.d/${facts.name}.conf
${newer}connections {
  ${facts.name} {
    version = ${facts.version}
    local_addrs = ${facts.local}
    remote_addrs = ${facts.peer}
    proposals = ${[swanCipher(ike.encryption), hash, swan(ike.group), ...more(ike.more)].join("-")}${ppk}
    local { ${swanProof(facts.theirs, facts.local, "certs = THEIR-CERTIFICATE.pem")} }
    remote { ${swanProof(facts.ours, facts.peer, "cacerts = OUR-ROOT.pem")} }
    children {
${wanted.map((line, index) => swanChild(`net${index || ""}`, line, proposal)).join("")}    }
  }
}
${swanSecrets(facts)}${any ? "# Any to any: give the child an interface id and route into an XFRM interface.\n" : ""}${remarks(facts, "#")}`;
}

function swanChild(name: string, line: Facts["lines"][number], proposal: string): string {
  return `      ${name} {
        local_ts = ${line.here.join(", ")}
        remote_ts = ${line.there.join(", ")}
        esp_proposals = ${proposal}
        start_action = trap
      }
`;
}

function swanProof(proof: Proof, address: string, certificate: string): string {
  const id = proof.id ?? (proof.by === "psk" ? address : `CN=${proof.commonName}`);
  return proof.by === "psk" ? `auth = psk\n      id = "${id}"` : `auth = pubkey\n      ${certificate}\n      id = "${id}"`;
}

function swanSecrets(facts: Facts): string {
  const { ours, theirs, ppk } = facts;
  const secrets = [
    ours.by === "psk" || theirs.by === "psk" ? `  ike-${facts.name} {\n    id = "${ours.id ?? facts.peer}"\n    secret = "THE-SECRET"\n  }\n` : "",
    ppk ? `  ppk-${facts.name} {\n    id = ${ppk.id}\n    secret = "THE-SECOND-SECRET"\n  }\n` : "",
  ].join("");
  return secrets === "" ? "" : `secrets {\n${secrets}}\n`;
}

/** For devices whose tunnel is told to carry anything. */
function selected({ lines }: Facts, sign: string): string {
  return lines.map(({ here, there }) => `${sign} Only this may pass: ${here.join(", ")} with ${there.join(", ")}.\n`).join("");
}

function remarks(facts: Facts, sign: string): string {
  const { bgp } = facts;
  return bgp ? `${sign} BGP: AS ${bgp.theirAsn} at ${bgp.theirAddress} with AS ${bgp.ourAsn} at ${bgp.ourAddress}, through the tunnel.\n` : "";
}

/** The length of a key, in bits. */
function bits(word: string): string {
  return /(\d+)$/.exec(word)?.[1] ?? "256";
}

function ciscoVersion1({ ike, peer }: Facts): string {
  const hash = ike.integrity === "SHA1" ? "sha" : ike.integrity.toLowerCase();
  return `crypto isakmp policy 10
 encryption ${ike.encryption === "DES3" ? "3des" : ike.encryption === "DES" ? "des" : `aes ${bits(ike.encryption)}`}
 hash ${hash}
 authentication pre-share
 group ${groupOf(ike.group)?.number ?? ike.group}
 lifetime ${ike.lifetime}
crypto isakmp key THE-SECRET address ${peer}
`;
}

function ciscoVersion2({ ike, name, peer }: Facts): string {
  const cipher = isCombined(ike.encryption) ? `aes-gcm-${bits(ike.encryption)}` : `aes-cbc-${bits(ike.encryption)}`;
  const integrity = isCombined(ike.encryption) ? ` prf ${ike.integrity.toLowerCase()}` : ` integrity ${ike.integrity.toLowerCase()}`;
  return `crypto ikev2 proposal ${name}
 encryption ${cipher}
${integrity}
 group ${groupOf(ike.group)?.number ?? ike.group}
crypto ikev2 policy ${name}
 proposal ${name}
crypto ikev2 keyring ${name}
 peer causeway
  address ${peer}
  pre-shared-key THE-SECRET
crypto ikev2 profile ${name}
 match identity remote address ${peer} 255.255.255.255
 authentication remote pre-share
 authentication local pre-share
 keyring local ${name}
 lifetime ${ike.lifetime}
`;
}

function cisco(facts: Facts): string {
  const { esp } = facts;
  const transform = isCombined(esp.encryption) ? `esp-gcm ${bits(esp.encryption)}` : `esp-aes ${bits(esp.encryption)} esp-${esp.integrity.toLowerCase()}-hmac`;
  const pfs = groupOf(esp.pfs);
  const address = facts.bgp ? `${facts.bgp.theirAddress} 255.255.255.252` : "169.254.1.1 255.255.255.252";
  const routes = facts.peerNetworks.map((network) => `ip route ${masked(network)} Tunnel1`).join("\n");
  const bgp = facts.bgp;
  const speaker = bgp ? `router bgp ${bgp.theirAsn}\n neighbor ${bgp.ourAddress} remote-as ${bgp.ourAsn}\n neighbor ${bgp.ourAddress} ebgp-multihop 2\n neighbor ${bgp.ourAddress} update-source Tunnel1` : routes;
  return `! IOS XE, IKEv${facts.version} over a tunnel interface; GigabitEthernet1 is its outer one
${lacking(facts, CISCO, "!")}${selected(facts, "!")}${facts.version === 1 ? ciscoVersion1(facts) : ciscoVersion2(facts)}crypto ipsec transform-set ${facts.name} ${transform}
 mode tunnel
crypto ipsec profile ${facts.name}
 set transform-set ${facts.name}${facts.version === 2 ? `\n set ikev2-profile ${facts.name}` : ""}
 set security-association lifetime seconds ${esp.lifetime}${pfs ? `\n set pfs group${pfs.number}` : ""}
interface Tunnel1
 ip address ${address}
 ip mtu 1400
 ip tcp adjust-mss 1350
 tunnel source GigabitEthernet1
 tunnel mode ipsec ipv4
 tunnel destination ${facts.peer}
 tunnel protection ipsec profile ${facts.name}
${speaker}
`;
}

/** An IPv4 prefix as address and mask. */
export function masked(prefix: string): string {
  const [address = "", length = "32"] = prefix.split("/");
  const bits = Number(length);
  const octets = [0, 1, 2, 3].map((index) => 256 - 2 ** (8 - Math.min(8, Math.max(0, bits - 8 * index))));
  return `${address} ${octets.join(".")}`;
}

function fortiGate(facts: Facts): string {
  const { ike, esp } = facts;
  const gcm = (word: string) => word.replace(/^GCMAES(\d+)$/, "aes$1gcm").replace(/^AES(\d+)$/, "aes$1").replace("CHACHA20POLY1305", "chacha20poly1305");
  const one = `${gcm(ike.encryption)}-${isCombined(ike.encryption) ? "prf" : ""}${ike.integrity.toLowerCase()}`;
  const two = isCombined(esp.encryption) ? gcm(esp.encryption) : `${gcm(esp.encryption)}-${esp.integrity.toLowerCase()}`;
  const pfs = groupOf(esp.pfs);
  const routes = facts.bgp ? [] : facts.peerNetworks;
  return `# wan1 is its outer interface
${lacking(facts, FORTIGATE, "#")}${selected(facts, "#")}config vpn ipsec phase1-interface
  edit "${facts.name}"
    set interface "wan1"
    set ike-version ${facts.version}
    set peertype any
    set net-device disable
    set proposal ${one}
    set dhgrp ${groupOf(ike.group)?.number ?? ike.group}
    set keylife ${ike.lifetime}
    set remote-gw ${facts.peer}
    set psksecret THE-SECRET
  next
end
config vpn ipsec phase2-interface
  edit "${facts.name}"
    set phase1name "${facts.name}"
    set proposal ${two}
    ${pfs ? `set dhgrp ${pfs.number}` : "set pfs disable"}
    set keylifeseconds ${esp.lifetime}
  next
end
${routes.length > 0 ? `config router static\n${routes.map((network) => `  edit 0\n    set dst ${network}\n    set device "${facts.name}"\n  next\n`).join("")}end\n` : ""}${remarks(facts, "#")}`;
}

function causeway(facts: Facts): string {
  const { bgp, ours, theirs, policy } = facts;
  const certified = ours.by === "certificate" || theirs.by === "certificate";
  const document = {
    gateway: {
      ip_configurations: { default: { address: facts.local } },
      address_space: facts.localNetworks,
      ...(bgp ? { bgp: { asn: bgp.theirAsn, addresses: [bgp.theirAddress] } } : {}),
    },
    ...(policy.own ? { policies: { [policy.name]: policy.own } } : {}),
    ...(theirs.by === "certificate" ? { key_providers: { files: { kind: "file" } }, certificates: { own: { key: { provider: "files", reference: "key-own" }, chain: ["THEIR-CERTIFICATE"] } } } : {}),
    ...(ours.by === "certificate" ? { trust: { "causeway-roots": { chain: ["OUR-ROOT"] } } } : {}),
    sites: {
      causeway: { endpoint: facts.peer, address_space: bgp ? [] : facts.peerNetworks, ...(bgp ? { bgp: { asn: bgp.ourAsn, address: bgp.ourAddress } } : {}) },
    },
    connections: {
      "to-causeway": {
        site: "causeway",
        protocol: `IKEv${facts.version}`,
        policy: policy.name,
        authentication: {
          ...(theirs.by === "psk" ? { method: "psk", secret: "psk-causeway" } : { method: "certificate", certificate: "own" }),
          ...(!certified ? {} : ours.by === "psk" ? { peer: { secret: "psk-causeway" } } : { peer: { subject: ours.commonName, chain: "causeway-roots" } }),
          ...(theirs.id === null ? {} : { local_id: theirs.id }),
          ...(ours.id === null ? {} : { remote_id: ours.id }),
          ...(facts.ppk ? { ppk: { ...facts.ppk, secret: "ppk-causeway" } } : {}),
        },
        ...(facts.lines.length === 0 ? {} : { selectors: { kind: "custom", lines: facts.lines.map(({ here, there }) => ({ local: here, remote: there })) } }),
        ...(bgp ? { bgp: { local_address: bgp.theirAddress } } : {}),
      },
    },
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}

export const DEVICES: Device[] = [
  { id: "azure", title: "Azure CLI", certificates: false, write: azure },
  { id: "strongswan", title: "strongSwan (swanctl)", certificates: true, write: strongSwan },
  { id: "cisco", title: "Cisco IOS XE", certificates: false, write: cisco },
  { id: "fortigate", title: "FortiGate", certificates: false, write: fortiGate },
  { id: "causeway", title: "Causeway", certificates: true, write: causeway },
];
