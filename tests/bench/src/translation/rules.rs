//! The same rules as our program, and as a list that somebody writes by hand.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;

use anyhow::{Context, Result};
use appliance_nat::{Kind, Numbers, Program, Rule, Rules, Tunnel, compile};
use ipnet::{IpNet, Ipv4Net};

/// The link of the tunnel.
pub(super) const LINK: &str = "cw-site";
/// The network behind the tunnel, and what it is called on this side.
const SITE: [Ipv4Net; 2] = [net([172, 31, 0, 0]), net([100, 64, 1, 0])];
/// Our network, and what it is called behind the tunnel.
const OURS: [Ipv4Net; 2] = [net([10, 0, 0, 0]), net([100, 64, 100, 0])];

/// Rules with the number of them.
pub struct Named {
    /// Whose they are.
    pub name: &'static str,
    /// For `nft -f`.
    pub script: String,
    /// Marks, each with the link to which it leads.
    pub tables: BTreeMap<u32, String>,
}

const fn net([a, b, c, d]: [u8; 4]) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), 24)
}

/// `count` rules for what comes from the site; the packets that are measured meet the last one. One more translates what is
/// ours.
fn ingress(count: u16) -> impl Iterator<Item = (String, [Ipv4Net; 2])> {
    let idle = (1..count).map(|number| {
        let [high, low] = number.to_be_bytes();
        let pair = [net([172, 16 + high, low, 0]), net([100, 65 + high, low, 0])];
        (format!("idle-{number}"), pair)
    });
    idle.chain([("site".to_owned(), SITE)])
}

fn whole([internal, external]: [Ipv4Net; 2]) -> Rule {
    Rule {
        kind: Kind::Static { ports: None },
        internal: internal.into(),
        external: external.into(),
    }
}

fn compiled(ingress: BTreeMap<String, Rule>, ours: Rule) -> Result<Program> {
    let tunnel = Tunnel {
        link: LINK.to_owned(),
        number: 1,
        site: "site".to_owned(),
        ingress,
        egress: [("ours".to_owned(), ours)].into(),
    };
    let rules = Rules {
        tunnels: [("site".to_owned(), tunnel)].into(),
    };
    compile(&rules, &Numbers::default()).context("compiling")
}

fn named(program: &Program) -> Named {
    Named {
        name: "ours",
        script: program.script(&BTreeMap::new()),
        tables: program.tables().clone(),
    }
}

/// Our program of `count` static rules.
///
/// # Errors
/// When there are too many of them.
pub fn program(count: u16) -> Result<Named> {
    let ingress = ingress(count).map(|(name, pair)| (name, whole(pair))).collect();
    Ok(named(&compiled(ingress, whole(OURS))?))
}

/// Our program of a dynamic rule for what is ours: 64 addresses with all ports.
///
/// # Errors
/// None that is expected.
pub fn dynamic() -> Result<Named> {
    let ours = Rule {
        kind: Kind::Dynamic {
            ports: vec![1024..=65_535],
        },
        internal: IpNet::from(OURS[0]),
        external: "100.64.100.0/26".parse()?,
    };
    let ingress = ingress(1).map(|(name, pair)| (name, whole(pair))).collect();
    Ok(named(&compiled(ingress, ours)?))
}

/// The same static rules, a line each for what comes and what leaves, as guides have it.
pub fn by_hand(count: u16) -> Named {
    let mut destination = String::new();
    let mut source = String::new();
    for (_, [internal, external]) in ingress(count) {
        let _ = writeln!(destination, "ip daddr {external} dnat ip prefix to {internal}");
        let _ = writeln!(
            source,
            "iifname \"{LINK}\" ip saddr {internal} snat ip prefix to {external}"
        );
    }
    let [internal, external] = OURS;
    let script = format!(
        "table ip by_hand {{\n\
         chain destination {{ type nat hook prerouting priority dstnat;\n\
         {destination}iifname \"{LINK}\" ip daddr {external} dnat ip prefix to {internal}\n}}\n\
         chain source {{ type nat hook postrouting priority srcnat;\n\
         {source}oifname \"{LINK}\" ip saddr {internal} snat ip prefix to {external}\n}}\n}}\n"
    );
    Named {
        name: "peer",
        script,
        tables: BTreeMap::new(),
    }
}
