use bgpkit_parser::models::{Attributes, Bgp4MpEnum, BgpMessage, LegacyBgp, MrtMessage, TableDumpV2Message};

/// What a route bears beyond what the parser tells with it: 0 is told of what a route does not bear, and the number of a
/// path in a table (RFC 8050 §4) is not told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Borne {
    pub(super) med: Option<u32>,
    pub(super) local_preference: Option<u32>,
    pub(super) path: Option<u32>,
}

/// For each route of a record, in their order; the last counts for all that follow.
pub(super) fn borne(message: &MrtMessage) -> Vec<Borne> {
    match message {
        MrtMessage::TableDumpMessage(route) => vec![Borne::of(&route.attributes)],
        MrtMessage::TableDumpMessageBatch(routes) => {
            routes.iter().map(|route| Borne::of(&route.attributes)).collect()
        }
        MrtMessage::TableDumpV2Message(TableDumpV2Message::RibAfi(table)) => {
            let routes = table.rib_entries.iter();
            let numbered = routes.map(|route| Borne {
                path: route.path_id,
                ..Borne::of(&route.attributes)
            });
            numbered.collect()
        }
        MrtMessage::Bgp4Mp(Bgp4MpEnum::Message(logged)) => said(&logged.bgp_message),
        MrtMessage::LegacyBgp(LegacyBgp::Message(logged)) => said(&logged.bgp_message),
        MrtMessage::TableDumpV2Message(_) | MrtMessage::Bgp4Mp(_) | MrtMessage::LegacyBgp(_) => Vec::new(),
    }
}

fn said(message: &BgpMessage) -> Vec<Borne> {
    match message {
        BgpMessage::Update(update) => vec![Borne::of(&update.attributes)],
        _ => Vec::new(),
    }
}

impl Borne {
    fn of(attributes: &Attributes) -> Self {
        Self {
            med: attributes.multi_exit_discriminator(),
            local_preference: attributes.local_preference(),
            path: None,
        }
    }
}
