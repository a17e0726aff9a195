//! Messages with one thing wrong, and what is said about them.

pub(crate) use bgp::wire::error::Treatment;
pub(crate) use bgp::wire::notification::Notification;
pub(crate) use bgp::wire::update::{Context, Decoder, Update};
pub(crate) use bgp::{Families, Family};

/// An external neighbour of today that speaks both families.
pub(crate) const EXTERNAL: Context = Context {
    four_octet_asn: true,
    families: Families::ALL,
    add_path: Families::NONE,
    ipv6_next_hops: false,
    internal: false,
    first_asn: None,
    as_sets: false,
};

/// A neighbour in our own autonomous system.
pub(crate) const INTERNAL: Context = Context {
    internal: true,
    ..EXTERNAL
};

/// A neighbour that only knows AS numbers of two octets.
pub(crate) const OLD: Context = Context {
    four_octet_asn: false,
    ..EXTERNAL
};

/// A neighbour that only speaks IPv6.
pub(crate) const ONLY_IPV6: Context = Context {
    families: Families::NONE.with(Family::Ipv6),
    ..EXTERNAL
};

pub(crate) const ORIGIN: &[u8] = &[0x40, 1, 1, 0];
pub(crate) const AS_PATH: &[u8] = &[0x40, 2, 6, 2, 1, 0, 0, 0xfd, 0xe9];
pub(crate) const SHORT_AS_PATH: &[u8] = &[0x40, 2, 4, 2, 1, 0xfd, 0xe9];
pub(crate) const NEXT_HOP: &[u8] = &[0x40, 3, 4, 192, 0, 2, 1];
pub(crate) const LOCAL_PREF: &[u8] = &[0x40, 5, 4, 0, 0, 0, 100];

/// 198.51.100.0/24.
pub(crate) const PREFIX: &[u8] = &[24, 198, 51, 100];

/// MP_REACH_NLRI of 2001:db8::/32 by 2001:db8::1.
pub(crate) const REACH: &[u8] = &[
    0x80, 14, 26, 0, 2, 1, 16, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 32, 0x20, 1, 0x0d,
    0xb8,
];

/// MP_UNREACH_NLRI of 2001:db8::/32.
pub(crate) const UNREACH: &[u8] = &[0x80, 15, 8, 0, 2, 1, 32, 0x20, 1, 0x0d, 0xb8];

/// An attribute with flags, code and value.
pub(crate) fn attribute(flags: u8, code: u8, value: &[u8]) -> Vec<u8> {
    let length = u8::try_from(value.len()).unwrap();
    [&[flags, code, length], value].concat()
}

/// The body of an UPDATE.
pub(crate) fn body(withdrawn: &[u8], attributes: &[&[u8]], nlri: &[u8]) -> Vec<u8> {
    let attributes = attributes.concat();
    let length = |field: &[u8]| u16::try_from(field.len()).unwrap().to_be_bytes();
    [
        &length(withdrawn),
        withdrawn,
        &length(&attributes),
        &attributes,
        nlri,
    ]
    .concat()
}

pub(crate) fn decode(context: Context, body: &[u8]) -> Update {
    Decoder::new(context).decode(body)
}

/// What becomes of a route with these attributes and one prefix.
pub(crate) fn announced(context: Context, attributes: &[&[u8]]) -> Update {
    decode(context, &body(&[], attributes, PREFIX))
}

/// The same with sound attributes and this one after them.
pub(crate) fn with(context: Context, attribute: &[u8]) -> Update {
    let path = if context.four_octet_asn {
        AS_PATH
    } else {
        SHORT_AS_PATH
    };
    let sound: &[&[u8]] = if context.internal {
        &[ORIGIN, path, NEXT_HOP, LOCAL_PREF]
    } else {
        &[ORIGIN, path, NEXT_HOP]
    };
    announced(context, &[sound, &[attribute]].concat())
}

pub(crate) fn prefixes(update: &Update) -> Vec<String> {
    let all = update.announced.iter().flat_map(|(_, destinations)| destinations);
    all.map(|destination| destination.prefix.to_string()).collect()
}

pub(crate) fn withdrawals(update: &Update) -> Vec<String> {
    update
        .withdrawn
        .iter()
        .map(|destination| destination.prefix.to_string())
        .collect()
}

/// The route is there, and nothing is wrong.
#[track_caller]
pub(crate) fn assert_sound(update: &Update) {
    assert_eq!(update.faults, []);
    assert_eq!(prefixes(update), ["198.51.100.0/24"]);
}

/// The route is there without the attribute, of which we speak so.
#[track_caller]
pub(crate) fn assert_discarded(update: &Update, words: &str) {
    assert_eq!(prefixes(update), ["198.51.100.0/24"]);
    assert_eq!(withdrawals(update), [""; 0]);
    assert_fault(update, &Treatment::DiscardAttribute, words);
}

/// The route is taken as withdrawn; we speak of it so.
#[track_caller]
pub(crate) fn assert_withdrawn(update: &Update, words: &str) {
    assert_eq!(prefixes(update), [""; 0]);
    assert_eq!(withdrawals(update), ["198.51.100.0/24"]);
    assert_fault(update, &Treatment::WithdrawRoutes, words);
}

/// The session ends with an UPDATE Message Error of this subcode and data, and nothing else counts.
#[track_caller]
pub(crate) fn assert_reset(update: &Update, subcode: u8, data: &[u8]) {
    assert_eq!((prefixes(update), withdrawals(update)), (vec![], vec![]));
    let notification = Notification::new(3, subcode, data.to_vec());
    assert_fault(update, &Treatment::ResetSession(notification), "");
}

/// The family is no longer used.
#[track_caller]
pub(crate) fn assert_disabled(update: &Update, family: Family, words: &str) {
    assert_fault(update, &Treatment::DisableFamily(family), words);
}

#[track_caller]
pub(crate) fn assert_fault(update: &Update, treatment: &Treatment, words: &str) {
    let found = update
        .faults
        .iter()
        .any(|fault| fault.treatment == *treatment && fault.words.contains(words));
    assert!(found, "{treatment:?}, {words:?} in {:#?}", update.faults);
}
