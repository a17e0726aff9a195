//! The nftables table of ours, replaced whole.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::link::LinkName;
use crate::mark;

/// What the table does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ruleset {
    /// For each link, the largest TCP segment that may be announced by what is forwarded in or out of it.
    pub maximum_segments: BTreeMap<LinkName, u16>,
}

impl Ruleset {
    /// The script for `nft -f -`: makes or replaces the table in one transaction.
    pub fn script(&self) -> String {
        let mut script = format!("{}table inet {} {{\n", Ruleset::removal(), mark::NFT_TABLE);
        script.push_str("\tchain clamp {\n\t\ttype filter hook forward priority mangle; policy accept;\n");
        for (link, segment) in &self.maximum_segments {
            for side in ["iifname", "oifname"] {
                // Only ever lowered (RFC 9293 §3.7.1 lets the sender choose less than it was offered).
                let _ = writeln!(
                    script,
                    "\t\t{side} \"{link}\" tcp flags syn tcp option maxseg size > {segment} tcp option maxseg size set {segment}",
                );
            }
        }
        script.push_str("\t}\n}\n");
        script
    }

    /// The script that removes the table, whether it is there or not.
    pub fn removal() -> String {
        let table = mark::NFT_TABLE;
        format!("table inet {table} {{}}\ndelete table inet {table}\n")
    }

    /// Reads what `nft list table` prints of our table; what we would not have written is passed over.
    pub(crate) fn from_listing(listing: &str) -> Self {
        let clamp = |line: &str| {
            let (link, rule) = line.trim().strip_prefix("oifname \"")?.split_once('"')?;
            let (_, segment) = rule.rsplit_once("maxseg size set ")?;
            Some((LinkName::try_from(link).ok()?, segment.trim().parse().ok()?))
        };
        Ruleset {
            maximum_segments: listing.lines().filter_map(clamp).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ruleset() -> Ruleset {
        let link = |name| LinkName::try_from(name).unwrap();
        Ruleset {
            maximum_segments: BTreeMap::from([(link("cw-a"), 1350), (link("cw-b"), 1200)]),
        }
    }

    /// Both directions are clamped, and only what announces more.
    #[test]
    fn segments_are_only_lowered() {
        let script = ruleset().script();
        for side in ["iifname", "oifname"] {
            let rule = format!("{side} \"cw-a\" tcp flags syn tcp option maxseg size > 1350");
            assert!(script.contains(&rule), "{script}");
        }
    }

    /// A table that we wrote is recognised.
    #[test]
    fn scripts_are_read_back() {
        assert_eq!(Ruleset::from_listing(&ruleset().script()), ruleset());
    }
}
