// What the console computes without a browser. Vite turns the sources into what Node takes.
import assert from "node:assert/strict";
import fs from "node:fs";
import { after, before, test } from "node:test";
import { createServer } from "vite";

let vite;
before(async () => {
  vite = await createServer({ server: { middlewareMode: true, hmr: false, ws: false, watch: null }, appType: "custom", logLevel: "error", optimizeDeps: { noDiscovery: true } });
});
after(() => vite.close());
const load = (path) => vite.ssrLoadModule(`/src/${path}`);

test("two changes of one document come together, and what both changed is asked about", async () => {
  const { merge } = await load("api/difference.ts");
  const base = { a: { x: 1, y: 1 }, b: { z: 1 }, list: [1] };
  const mine = { a: { x: 2, y: 1 }, b: { z: 1 }, list: [1, 2] };
  const theirs = { a: { x: 1, y: 3 }, b: { z: 1 }, list: [1] };
  assert.deepEqual(merge(base, mine, theirs), { merged: { a: { x: 2, y: 3 }, b: { z: 1 }, list: [1, 2] }, conflicts: [] });
  const other = { a: { x: 9, y: 1 }, b: { z: 1 }, list: [1] };
  const { merged, conflicts } = merge(base, mine, other);
  assert.deepEqual(conflicts, [{ path: ["a", "x"], base: 1, mine: 2, theirs: 9 }]);
  assert.deepEqual(merged.a, { x: 9, y: 1 });
  // The same from both is no conflict, and neither is lost where one took away what the other changed.
  assert.deepEqual(merge(base, mine, mine).conflicts, []);
  const gone = { a: { x: 1, y: 1 }, list: [1] };
  const within = { a: { x: 1, y: 1 }, b: { z: 2 }, list: [1] };
  assert.deepEqual(merge(base, within, gone).conflicts, [{ path: ["b"], base: { z: 1 }, mine: { z: 2 }, theirs: undefined }]);
});

test("putting takes away, makes what is on the way, and leaves the original alone", async () => {
  const { at, put, changes, pointer } = await load("api/difference.ts");
  const document = { a: { b: 1 } };
  assert.deepEqual(put(document, ["a", "c", "d"], 2), { a: { b: 1, c: { d: 2 } } });
  assert.deepEqual(put(document, ["a", "b"], undefined), { a: {} });
  assert.deepEqual(put(document, ["x", "y"], undefined), document);
  assert.deepEqual(document, { a: { b: 1 } });
  assert.deepEqual(changes({ a: [1] }, { a: [1, 2], b: 0 }), [
    { path: ["a"], before: [1], after: [1, 2] },
    { path: ["b"], before: undefined, after: 0 },
  ]);
  assert.equal(pointer(["a/b", "c~d"]), "/a~1b/c~0d");
  const list = { a: [{ b: 1 }, { b: 2 }] };
  assert.deepEqual(put(list, ["a", "1", "b"], 3), { a: [{ b: 1 }, { b: 3 }] });
  assert.deepEqual(put(list, ["a", "0"], undefined), { a: [{ b: 2 }] });
  assert.deepEqual(put(list, ["a", "2", "b"], 3), list);
  assert.equal(at(list, ["a", "1", "b"]), 2);
});

test("what Azure says of a gateway and of a VPN site fills the form", async () => {
  const { read } = await load("views/connect/azure.ts");
  const gateway = {
    bgpSettings: {
      asn: 65515,
      bgpPeeringAddresses: [{ customBgpIpAddresses: ["169.254.21.1"], defaultBgpIpAddresses: ["10.20.0.30"], tunnelIpAddresses: ["203.0.113.10"] }],
    },
  };
  assert.deepEqual(read(JSON.stringify(gateway)), { endpoint: "203.0.113.10", asn: 65515, address: "169.254.21.1" });
  const site = [
    {
      vpnSiteConnections: [
        {
          hubConfiguration: { AddressSpace: "10.1.0.0/24", ConnectedSubnets: ["10.2.0.0/16"] },
          gatewayConfiguration: { IpAddresses: { Instance0: "203.0.113.18" }, BgpSetting: { Asn: 65515, BgpPeeringAddresses: { Instance0: "10.1.0.4" } } },
          connectionConfiguration: { PSK: "secret" },
        },
      ],
    },
  ];
  assert.deepEqual(read(JSON.stringify(site)), {
    endpoint: "203.0.113.18", networks: ["10.1.0.0/24", "10.2.0.0/16"], asn: 65515, address: "10.1.0.4", secret: "secret",
  });
  for (const text of ["", "[]", "{}", "no JSON", '{"bgpSettings": 7}']) assert.equal(read(text), null, text);
});

test("the other side is told the same in five languages, and never the secret", async () => {
  const { DEVICES, groupOf, masked } = await load("views/connect/devices.ts");
  const { facts } = await load("views/connect/facts.ts");
  const document = {
    gateway: { ip_configurations: { default: { address: "192.0.2.1" } }, address_space: ["10.1.0.0/24"] },
    sites: { b: { endpoint: "192.0.2.2", address_space: ["10.2.0.0/24"] } },
    policies: { own: { ike: { encryption: "AES256", integrity: "SHA384", dh_group: "DHGroup14" }, ipsec: { encryption: "AES256", integrity: "SHA256", pfs_group: "PFS2048" } } },
    connections: { "to-b": { site: "b", policy: "own", authentication: { method: "psk", secret: "psk-b" } } },
  };
  const told = Object.fromEntries(DEVICES.map((device) => [device.id, device.write(facts(document, "to-b"))]));
  for (const [id, text] of Object.entries(told)) {
    assert.ok(text.includes("192.0.2.1"), id);
    assert.ok(!text.includes("psk-b") && !text.includes("undefined") && !text.includes("NaN"), text);
  }
  assert.match(told.strongswan, /proposals = aes256-sha384-modp2048\n/);
  assert.match(told.strongswan, /local_ts = 10\.2\.0\.0\/24\n/);
  document.policies.own.ike.dh_group = "X25519";
  const newer = Object.fromEntries(DEVICES.map((device) => [device.id, device.write(facts(document, "to-b"))]));
  assert.match(newer.azure, /# It has no word for X25519: choose other algorithms for to-b\.\n/);
  assert.ok(/no word for X25519/.test(newer.cisco) && !/no word/.test(newer.fortigate + newer.strongswan));
  document.policies.own.ike.dh_group = "DHGroup14";
  Object.assign(document.policies.own.ipsec, { additional_key_exchanges: ["MLKEM768"] });
  const quantum = Object.fromEntries(DEVICES.map((device) => [device.id, device.write(facts(document, "to-b"))]));
  assert.match(quantum.strongswan, /strongSwan 6\.\n[^]*esp_proposals = aes256-sha256-modp2048-ke1_mlkem768\n/);
  assert.match(quantum.fortigate, /no word for MLKEM768/);
  delete document.policies.own.ipsec.additional_key_exchanges;
  assert.match(told.azure, /--ike-encryption AES256 --ike-integrity SHA384 --dh-group DHGroup14/);
  assert.match(told.cisco, /ip route 10\.1\.0\.0 255\.255\.255\.0 Tunnel1/);
  assert.match(told.fortigate, /set dhgrp 14\n/);
  const mirrored = JSON.parse(told.causeway);
  assert.equal(mirrored.sites.causeway.endpoint, "192.0.2.1");
  assert.deepEqual(mirrored.policies.own, document.policies.own);
  assert.equal(mirrored.connections["to-causeway"].policy, "own");
  assert.equal(masked("10.0.0.0/14"), "10.0.0.0 255.252.0.0");
  assert.equal(groupOf("ECP384").number, 20);
  assert.equal(groupOf("PFS5").number, 5);
});

test("the other side is told of IKEv1, of certificates and of a second secret", async () => {
  const { DEVICES } = await load("views/connect/devices.ts");
  const { facts } = await load("views/connect/facts.ts");
  const own = fs.readFileSync(new URL("../../../appliance/keys/tests/vectors/leaf.der", import.meta.url)).toString("base64");
  const of = (connection) => {
    const known = facts(
      {
        gateway: { ip_configurations: { default: { address: "192.0.2.1" } }, address_space: ["10.1.0.0/24"] },
        sites: { b: { endpoint: "192.0.2.2", address_space: ["10.2.0.0/24"] } },
        certificates: { edge: { chain: [own] } },
        connections: { "to-b": { site: "b", ...connection } },
      },
      "to-b",
    );
    return Object.fromEntries(DEVICES.map((device) => [device.id, device.write(known)]));
  };
  const secret = { method: "psk", secret: "psk-b" };
  const elder = of({ protocol: "IKEv1", authentication: { ...secret, local_id: "us.example" } });
  assert.match(elder.strongswan, /version = 1\n[^]*proposals = aes256-sha256-modp1024\n[^]*id = "us\.example"/);
  assert.match(elder.cisco, /crypto isakmp policy 10\n encryption aes 256\n hash sha256\n/);
  assert.ok(!elder.cisco.includes("ikev2"));
  const there = JSON.parse(elder.causeway).connections["to-causeway"];
  assert.deepEqual([there.protocol, there.policy, there.authentication.remote_id], ["IKEv1", "azure-default", "us.example"]);

  const based = JSON.parse(of({ protocol: "IKEv1", authentication: secret, selectors: { kind: "policy-based" } }).causeway).connections["to-causeway"];
  assert.deepEqual([based.policy, based.selectors.lines], ["azure-policy-based", [{ local: ["10.2.0.0/24"], remote: ["10.1.0.0/24"] }]]);

  const certified = of({ authentication: { method: "certificate", certificate: "edge", peer: { subject: "gw-b", chain: "roots" }, ppk: { id: "both", secret: "ppk-b" } } });
  assert.match(certified.strongswan, /ppk_id = both\n    ppk_required = yes\n/);
  assert.match(certified.strongswan, /local \{ auth = pubkey\n[^]*id = "CN=gw-b"[^]*remote \{ auth = pubkey\n[^]*id = "CN=site-a"/);
  assert.ok(!certified.strongswan.includes("ike-to-b") && certified.strongswan.includes("ppk-to-b"));
  const { authentication } = JSON.parse(certified.causeway).connections["to-causeway"];
  assert.deepEqual(authentication.peer, { subject: "site-a", chain: "causeway-roots" });
  assert.deepEqual(authentication.ppk, { id: "both", required: true, secret: "ppk-causeway" });
  const custom = of({ authentication: secret, selectors: { kind: "custom", lines: [{ local: ["10.1.0.0/25"], remote: ["10.2.0.0/25"] }, { local: ["10.1.0.0/24"], remote: ["10.2.0.128/25"] }] } });
  assert.match(custom.strongswan, /net \{\n        local_ts = 10\.2\.0\.0\/25\n        remote_ts = 10\.1\.0\.0\/25\n[^]*net1 \{\n        local_ts = 10\.2\.0\.128\/25\n/);
  assert.match(custom.azure, /--use-policy-based-traffic-selectors true\n/);
  assert.match(custom.fortigate, /# Only this may pass: 10\.2\.0\.128\/25 with 10\.1\.0\.0\/24\.\n/);
  assert.deepEqual(JSON.parse(custom.causeway).connections["to-causeway"].selectors.lines[0], { local: ["10.2.0.0/25"], remote: ["10.1.0.0/25"] });
  assert.ok(!/no word for/.test(Object.values(custom).join("")));
  const mixed = of({ authentication: { method: "certificate", certificate: "edge", peer: { secret: "psk-b" } } });
  assert.match(mixed.strongswan, /local \{ auth = psk\n[^]*remote \{ auth = pubkey\n/);
  assert.deepEqual(JSON.parse(mixed.causeway).connections["to-causeway"].authentication.peer, { subject: "site-a", chain: "causeway-roots" });
});

test("numbers are read at a glance", async () => {
  const { octets, bits, duration, countdown } = await load("parts/format.ts");
  assert.deepEqual([octets(0), octets(999), octets(1000), octets(1_234_567)], ["0 B", "999 B", "1.00 kB", "1.23 MB"]);
  assert.equal(bits(999_600), "1.00 Mbit/s");
  assert.deepEqual([duration(0), duration(59), duration(3661), duration(90_000)], ["0 s", "59 s", "1 h 1 min", "1 d 1 h"]);
  assert.deepEqual([countdown(61.2), countdown(-4)], ["1:02", "0:00"]);
  const { ends } = await load("views/nat/prefix.ts");
  assert.deepEqual(ends("10.1.0.7/24"), ["10.1.0.0", "10.1.0.255"]);
  assert.deepEqual([ends("10.1.0.0/33"), ends("fd00::/64"), ends("")], [null, null, null]);
});

test("files hold certificates in any order, and keys, which are told apart", async () => {
  const { leafFirst, link, read, rootsFirst } = await load("parts/pem.ts");
  const vector = (name) => fs.readFileSync(new URL(`../../../appliance/keys/tests/vectors/${name}`, import.meta.url));
  const of = (name) => read(new Uint8Array(vector(name)));
  const [leaf, middle, root] = ["leaf.der", "mid.der", "root.der"].map((name) => of(name).certificates[0]);
  assert.equal(leaf.text, vector("leaf.der").toString("base64"));
  assert.equal(leaf.name, "site-a");
  assert.equal(leaf.ends.toISOString(), "2126-11-03T17:16:25.000Z");
  for (const mixed of [[root, leaf, middle], [middle, root, leaf]]) {
    assert.deepEqual(leafFirst(mixed), [leaf, middle, root]);
    assert.deepEqual(rootsFirst(mixed), [root, middle, leaf]);
  }
  // What does not hang together is left as it is, for the box to say so.
  assert.deepEqual(leafFirst([middle, middle]), [middle, middle]);
  assert.deepEqual(rootsFirst([leaf, middle]), [leaf, middle]);
  const bundle = of("bundle.pem");
  assert.ok(bundle.certificates.length > 0 && bundle.key.startsWith("-----BEGIN") && bundle.key.includes("PRIVATE KEY"));
  assert.equal(of("modern.p12").pkcs12, vector("modern.p12").toString("base64"));
  for (const text of ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "0\u0084"]) {
    assert.deepEqual(read(new TextEncoder().encode(text)), { certificates: [], key: null, pkcs12: null }, text);
  }
  const cut = vector("leaf.der").subarray(0, 200);
  assert.equal(link(cut.toString("base64")), null);
});

test("reason words become sentences", async () => {
  const { sentence } = await load("parts/words.ts");
  assert.deepEqual(["bgp-down", "child-rekeyed", "ike-rekeyed", "kernel-refused-no-more"].map(sentence), ["BGP down", "Child rekeyed", "IKE rekeyed", "Kernel refused no more"]);
});

test("the share that was lost is of what was sent, and starts anew with the daemon", async () => {
  const { lostBetween } = await load("api/traffic.ts");
  const { percent } = await load("parts/format.ts");
  const of = (packets, lost) => ({ in: 0, out: 0, packets, lost });
  assert.equal(lostBetween(of(10, 1), of(10, 1)), 0);
  assert.equal(lostBetween(of(10, 1), of(40, 11)), 0.25);
  assert.equal(lostBetween(of(1000, 50), of(3, 1)), 0);
  assert.deepEqual([0, 0.0004, 0.012, 0.25, 1].map(percent), ["0.0 %", "< 0.1 %", "1.2 %", "25 %", "100 %"]);
});

test("a time of going over begins with the next midnight in UTC, over the ends of months and years", async () => {
  const { begun } = await load("views/connections/transition.ts");
  assert.deepEqual(begun(new Date("2026-11-28T19:42:07.123Z")), { from: "2026-11-29T00:00:00Z", until: "2026-12-29T00:00:00Z" });
  assert.deepEqual(begun(new Date("2026-12-31T23:59:59+01:00")), { from: "2027-01-01T00:00:00Z", until: "2027-01-31T00:00:00Z" });
});

test("words of the API begin a sentence and keep their capitals", async () => {
  const { sentence } = await load("parts/words.ts");
  assert.equal(sentence("ikev2-tried"), "IKEv2 tried");
  assert.equal(sentence("peer-unreachable"), "Peer unreachable");
  assert.equal(sentence("bgp-session-up"), "BGP session up");
});

test("rules in a draft are tried on the sessions whose routes they judge otherwise", async () => {
  const { affected } = await load("views/routing/uses.ts");
  const document = (longer, bgp) => ({ route_policies: { longer, other: { default: "accept" } }, connections: { a: { bgp }, b: { bgp: { import: "other" } }, c: {} } });
  const running = document({ default: "accept" }, { export: "longer" });
  assert.deepEqual(affected(running, running, "longer"), []);
  assert.deepEqual(affected(running, document({ default: "reject" }, { export: "longer" }), "longer"), [{ neighbour: "a", direction: "export" }]);
  // Newly used, or not any more.
  assert.deepEqual(affected(running, document({ default: "accept" }, { export: "longer", import: "longer" }), "longer"), [{ neighbour: "a", direction: "import" }]);
  assert.deepEqual(affected(running, document({ default: "accept" }, { export: "other" }), "longer"), [{ neighbour: "a", direction: "export" }]);
  assert.deepEqual(affected(running, document({ default: "accept" }, { export: "other" }), "other"), [{ neighbour: "a", direction: "export" }]);
  // A session that only one of both has.
  assert.deepEqual(affected(running, document({ default: "reject" }, undefined), "longer"), []);
});

test("a line of the log of IKE says who said what, or what came of it", async () => {
  const { logged } = await load("parts/words.ts");
  const line = { id: 1, at: "2026-01-02T03:04:05.678Z", side: "we", exchange: "IKE_SA_INIT", message: "request 0" };
  assert.equal(logged({ ...line, retransmission: 2 }), "we IKE_SA_INIT request 0 (retransmission 2)");
  assert.equal(logged({ ...line, says: "SA A; KE B" }), "we IKE_SA_INIT request 0: SA A; KE B");
  assert.equal(logged({ ...line, side: "peer", event: "dropped", reason: "integrity-failed" }), "peer IKE_SA_INIT request 0: dropped: integrity-failed");
  const failed = { id: 2, at: line.at, side: "peer", event: "attempt-failed", reason: "ike-proposal-mismatch", offered: "A", expected: "B" };
  assert.equal(logged(failed), "peer: attempt-failed: ike-proposal-mismatch; offered A; expected B");
});

test("a key more of TCP-AO has an id of its own, both ways", async () => {
  const { another } = await load("views/connections/signing.ts");
  const first = another("to-b", []);
  assert.deepEqual(first, { secret: "bgp-ao-to-b-1", send_id: 1, receive_id: 1 });
  assert.deepEqual(another("to-b", [first, { send_id: 3, receive_id: 2 }]), { secret: "bgp-ao-to-b-4", send_id: 4, receive_id: 4 });
});

test("dead-peer checks in a row take two lines of the log", async () => {
  const { withLine, logged } = await load("parts/words.ts");
  const lines = [{ id: 1, says: "SA" }, ...[1, 2, 3].flatMap((checks) => [{ id: 2 * checks, checks }, { id: 2 * checks + 1, checks }]), { id: 8, event: "down" }];
  assert.deepEqual(lines.reduce(withLine, []).map((line) => line.id), [1, 6, 7, 8]);
  assert.equal(logged({ side: "we", exchange: "INFORMATIONAL", message: "request 7", checks: 7, says: "dead-peer check" }), "we INFORMATIONAL request 7 (7 checks in a row): dead-peer check");
});
