use appliance_nat::Mode;
use schemars::JsonSchema;
use serde::Serialize;

use crate::datapath::{BindingSnapshot, Refused, TranslationSnapshot};

/// What is translated.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct NatStatus {
    /// Whether the kernel translates by the rules of the configuration, or there are none.
    in_place: bool,
    /// Why it does not, if something refuses them.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<Refused>,
    /// The connections whose rules the kernel does not know: they have no routes until it does.
    closed: Vec<String>,
    /// Flows that were dropped since the kernel started, for want of a free port or otherwise.
    flows_refused: u64,
    /// Each rule on each connection, by name of both.
    rules: Vec<NatRuleStatus>,
    /// There are more, after this rule on this connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// A rule on a connection.
#[derive(Debug, Serialize, JsonSchema)]
struct NatRuleStatus {
    connection: String,
    rule: String,
    /// As in the document: whose source addresses it translates, the site's or ours.
    mode: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    internal: String,
    external: String,
    /// What it translated, both ways.
    packets: u64,
    bytes: u64,
    /// The flows that it translates now.
    flows: u64,
    /// Of a dynamic rule: external ports in use, of the protocol that uses most.
    #[serde(skip_serializing_if = "Option::is_none")]
    ports_in_use: Option<u64>,
    /// Of a dynamic rule: external ports that each protocol has.
    #[serde(skip_serializing_if = "Option::is_none")]
    ports: Option<u64>,
    /// Of a dynamic rule: packets that came to its external prefix without being asked for, and were dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    packets_refused: Option<u64>,
}

impl NatStatus {
    /// With all rules.
    pub(crate) fn new(translation: &TranslationSnapshot) -> Self {
        let mut rules: Vec<_> = translation.bindings.iter().map(rule).collect();
        rules.sort_by(|one, other| one.place().cmp(&other.place()));
        Self {
            in_place: translation.in_place,
            refused: translation.refused.clone(),
            closed: translation.closed.iter().map(|name| name.0.to_string()).collect(),
            flows_refused: translation.flows_refused,
            rules,
            next: None,
        }
    }

    /// Only the rules by these names.
    pub(crate) fn of(mut self, connection: Option<&str>, name: Option<&str>) -> Self {
        self.rules.retain(|rule| {
            connection.is_none_or(|connection| rule.connection == connection)
                && name.is_none_or(|name| rule.rule == name)
        });
        self
    }

    /// Only so many rules, those after one.
    pub(crate) fn page(mut self, after: Option<(&str, &str)>, limit: usize) -> Self {
        self.rules
            .retain(|rule| after.is_none_or(|after| rule.place() > after));
        if self.rules.len() > limit {
            self.rules.truncate(limit);
            let last = self.rules.last();
            self.next = last.map(|rule| format!("{}/{}", rule.connection, rule.rule));
        }
        self
    }

    /// The last rule here, if there are more.
    pub(crate) fn next(&self) -> Option<&str> {
        self.next.as_deref()
    }
}

impl NatRuleStatus {
    fn place(&self) -> (&str, &str) {
        (&self.connection, &self.rule)
    }
}

/// As the document has it.
pub(super) fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Ingress => "IngressSnat",
        Mode::Egress => "EgressSnat",
    }
}

fn rule(binding: &BindingSnapshot) -> NatRuleStatus {
    NatRuleStatus {
        connection: binding.connection.clone(),
        rule: binding.rule.clone(),
        mode: mode(binding.mode),
        kind: match binding.dynamic {
            Some(_) => "Dynamic",
            None => "Static",
        },
        internal: binding.internal.to_string(),
        external: binding.external.to_string(),
        packets: binding.translated.packets,
        bytes: binding.translated.bytes,
        flows: binding.flows,
        ports_in_use: binding.dynamic.map(|dynamic| dynamic.ports_in_use),
        ports: binding.dynamic.map(|dynamic| dynamic.ports),
        packets_refused: binding.dynamic.map(|dynamic| dynamic.refused.packets),
    }
}
