use ike::Outage;
use schemars::JsonSchema;
use serde::Serialize;

use crate::clock;
use crate::ike_log::{Line, What};

/// One thing that IKE did for a connection: a message, or what came of some.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct IkeLogLine {
    /// Greater than that of any line before it.
    pub(crate) id: u64,
    /// When; RFC 3339, in milliseconds.
    at: String,
    /// Who sent the message, or said what is amiss: `we` or `peer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    side: Option<&'static str>,
    /// Of a message, its exchange: `IKE_SA_INIT`, `main mode`.
    #[serde(skip_serializing_if = "Option::is_none")]
    exchange: Option<String>,
    /// Which message of the exchange: `request 1`, `response 1`, `message 3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// It was sent before: the so manieth time after the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    retransmission: Option<u32>,
    /// Of a message that only asks whether the other side is there, or says so: how many such checks there were in a row. Of those the
    /// last two messages are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    checks: Option<u32>,
    /// What was offered, chosen, proved or asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    says: Option<String>,
    /// What came of it, in the word of the event; `dropped` for a message that changed nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'static str>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// Where the negotiation stood.
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<&'static str>,
    /// What was offered that was not taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    offered: Option<String>,
    /// What would have been.
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<String>,
}

impl IkeLogLine {
    /// As the API tells it.
    pub(crate) fn new(line: &Line) -> Self {
        let some = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        let none = Self {
            id: line.id,
            at: clock::exact_words(line.at),
            side: None,
            exchange: None,
            message: None,
            retransmission: None,
            checks: Some(line.checks).filter(|checks| *checks > 0),
            says: None,
            event: None,
            reason: None,
            stage: None,
            offered: None,
            expected: None,
        };
        match &line.what {
            What::Message(message) => Self {
                side: Some(message.side.word()),
                exchange: some(&message.exchange),
                message: some(&message.message),
                retransmission: Some(message.repeat).filter(|repeat| *repeat > 0),
                says: some(&message.says),
                event: message.dropped.map(|_| "dropped"),
                reason: message.dropped.map(|cause| cause.word()),
                ..none
            },
            What::Came(word, outage) => {
                let outage = outage.as_ref();
                let said = |of: fn(&Outage) -> &String| outage.and_then(|outage| some(of(outage)));
                Self {
                    side: outage.map(|outage| outage.side.word()),
                    event: Some(word),
                    reason: outage.map(|outage| outage.reason.word()),
                    stage: outage.map(|outage| outage.stage.word()),
                    offered: said(|outage| &outage.offered),
                    expected: said(|outage| &outage.expected),
                    ..none
                }
            }
        }
    }
}
