use schemars::JsonSchema;
use serde::Serialize;

use crate::datapath::{BindingSnapshot, TranslationSnapshot};

/// What is translated.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct NatStatus {
    /// Whether the kernel translates by the rules of the configuration. If not, `refused` says why, and connections whose
    /// rules it does not know have no routes.
    in_place: bool,
    /// Flows that were dropped since the kernel started, for want of a free port or otherwise.
    flows_refused: u64,
    /// Each rule on each connection.
    rules: Vec<NatRuleStatus>,
}

/// A rule on a connection.
#[derive(Debug, Serialize, JsonSchema)]
struct NatRuleStatus {
    connection: String,
    rule: String,
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
    /// `None` without rules.
    pub(super) fn new(translation: &TranslationSnapshot) -> Option<Self> {
        translation.wanted.then(|| Self {
            in_place: translation.in_place,
            flows_refused: translation.flows_refused,
            rules: translation.bindings.iter().map(rule).collect(),
        })
    }
}

fn rule(binding: &BindingSnapshot) -> NatRuleStatus {
    NatRuleStatus {
        connection: binding.connection.clone(),
        rule: binding.rule.clone(),
        packets: binding.translated.packets,
        bytes: binding.translated.bytes,
        flows: binding.flows,
        ports_in_use: binding.dynamic.map(|dynamic| dynamic.ports_in_use),
        ports: binding.dynamic.map(|dynamic| dynamic.ports),
        packets_refused: binding.dynamic.map(|dynamic| dynamic.refused.packets),
    }
}
