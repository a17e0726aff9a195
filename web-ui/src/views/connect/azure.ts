// What Azure's JSON says of a gateway: that of `az network vnet-gateway show`, or the device configuration of a VPN site
// in Virtual WAN. Pure; whatever is not there is left out.

export interface Offered {
  endpoint?: string;
  networks?: string[];
  asn?: number;
  address?: string;
  secret?: string;
}

type Tree = Record<string, unknown>;

function tree(value: unknown): Tree {
  const first = Array.isArray(value) ? value[0] : value;
  return typeof first === "object" && first !== null ? (first as Tree) : {};
}

/** The first text of a list, of the members of an object, or a text itself. */
function first(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  const values = typeof value === "object" && value !== null ? Object.values(value) : [];
  return values.find((one): one is string => typeof one === "string");
}

/** What the text offers, or null when it is no such JSON. */
export function read(text: string): Offered | null {
  let json: Tree;
  try {
    json = tree(JSON.parse(text));
  } catch {
    return null;
  }
  const offered = json["vpnSiteConnections"] ? ofSite(json) : ofGateway(json);
  const known = Object.entries(offered).filter(([, value]) => value !== undefined && (!Array.isArray(value) || value.length > 0));
  return known.length > 0 ? (Object.fromEntries(known) as Offered) : null;
}

function ofGateway(json: Tree): Offered {
  const settings = tree(json["bgpSettings"]);
  const peering = tree(settings["bgpPeeringAddresses"]);
  const custom = first(peering["customBgpIpAddresses"]);
  return {
    ...named("endpoint", first(peering["tunnelIpAddresses"]) ?? first(json["gatewayIpAddress"])),
    ...named("asn", typeof settings["asn"] === "number" ? settings["asn"] : undefined),
    ...named("address", custom ?? first(peering["defaultBgpIpAddresses"]) ?? first(settings["bgpPeeringAddress"])),
    ...named("secret", first(json["sharedKey"])),
  };
}

function ofSite(json: Tree): Offered {
  const connection = tree(json["vpnSiteConnections"]);
  const gateway = tree(connection["gatewayConfiguration"]);
  const bgp = tree(gateway["BgpSetting"]);
  const hub = tree(connection["hubConfiguration"]);
  const spokes = hub["ConnectedSubnets"];
  const networks = [first(hub["AddressSpace"]), ...(Array.isArray(spokes) ? spokes : [])];
  return {
    ...named("endpoint", first(gateway["IpAddresses"])),
    networks: networks.filter((network): network is string => typeof network === "string"),
    ...named("asn", typeof bgp["Asn"] === "number" ? bgp["Asn"] : undefined),
    ...named("address", first(bgp["BgpPeeringAddresses"])),
    ...named("secret", first(tree(connection["connectionConfiguration"])["PSK"])),
  };
}

function named<V>(name: keyof Offered, value: V | undefined): Record<string, V> {
  return value === undefined ? {} : { [name]: value };
}
