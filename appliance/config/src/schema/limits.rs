use std::ops::RangeInclusive;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::model::addressing::{IPV4_METHOD, IPV6_METHOD};
use crate::model::asn::ASNS;
use crate::model::authentication::METHOD;
use crate::model::bfd::{INTERVALS_MS, MULTIPLIERS};
use crate::model::bgp::{HOLD_TIMES_S, KEEPALIVES_S};
use crate::model::bgp_capabilities::{FAMILY, ROLE as BGP_ROLE};
use crate::model::bgp_session::{HOPS, PREFIX_LIMITS, RESTARTS_S};
use crate::model::bgp_signing::{ALGORITHM as TCP_AO, MOST_KEYS};
use crate::model::certificate_profile::PROFILE;
use crate::model::connection::{
    CHILDLESS, DPD_TIMEOUTS_S, FRAGMENT_SIZES, IDLE_TIMEOUTS_S, MODE, MTUS, PRIORITIES, PROTOCOL,
    REAUTHENTICATE_S, SMALLEST_TCP_MSS, UDP_ENCAPSULATION,
};
use crate::model::interface;
use crate::model::key_provider::{KIND as KIND_OF_PROVIDER, MANAGED};
use crate::model::limits::NAT_RULE_LIMITS;
use crate::model::list_source;
use crate::model::management::CONFIRM_WITHINS_S;
use crate::model::nat;
use crate::model::policy::algorithm::{ADDITIONAL, GROUP, IKE_ENCRYPTION, INTEGRITY, IPSEC_ENCRYPTION, PFS};
use crate::model::policy::reading::{IKE_LIFETIME_S, IPSEC_LIFETIMES_KB, IPSEC_LIFETIMES_S, MOST_ADDITIONAL};
use crate::model::ppk::LONGEST_ID;
use crate::model::route_policy::{self, PATH_LENGTHS, PREFERENCES, PREPENDS, TERMS};
use crate::model::selectors::{ACCEPT, KIND, LINES};
use crate::model::signatures::RSA_HASH;
use crate::model::system::MOST_HOURS;
use crate::model::trust::CRL;
use crate::model::user;
use crate::model::x509;

const NAME: &str = "^(?!\\.{1,2}$)[a-zA-Z0-9._-]{1,63}$";

pub(super) fn schema_version() -> u32 {
    1
}

/// Items by name.
pub(super) fn items<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let item = generator.subschema_for::<T>();
    json_schema!({
        "type": "object",
        "propertyNames": { "pattern": NAME },
        "additionalProperties": item,
    })
}

/// Items by name, at least one.
pub(super) fn some_items<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = items::<T>(generator);
    schema.insert("minProperties".to_owned(), 1.into());
    schema
}

/// IPv4 or IPv6 prefixes in canonical form.
pub(super) fn prefixes(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "items": { "type": "string" } })
}

/// The same, at least one.
pub(super) fn some_prefixes(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = prefixes(generator);
    schema.insert("minItems".to_owned(), 1.into());
    schema
}

/// Certificates, each from the next.
pub(super) fn chain(_: &mut SchemaGenerator) -> Schema {
    let certificate = json_schema!({ "type": "string", "minLength": 1, "maxLength": x509::LONGEST });
    json_schema!({ "type": "array", "items": certificate, "maxItems": x509::MOST })
}

/// The same, at least one, each from the one before.
pub(super) fn trusted_chain(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = chain(generator);
    schema.insert("minItems".to_owned(), 1.into());
    schema
}

/// Where lists of revoked certificates are.
pub(super) fn list_sources(_: &mut SchemaGenerator) -> Schema {
    let source = json_schema!({ "type": "string", "minLength": 1, "maxLength": list_source::LONGEST });
    json_schema!({ "type": "array", "items": source, "maxItems": list_source::MOST, "uniqueItems": true })
}

/// IPv4 or IPv6 addresses, at least one.
pub(super) fn some_addresses(generator: &mut SchemaGenerator) -> Schema {
    some_prefixes(generator)
}

/// The name of another item.
pub(super) fn name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "pattern": NAME })
}

/// Names of other items.
pub(super) fn names(generator: &mut SchemaGenerator) -> Schema {
    let name = name(generator);
    json_schema!({ "type": "array", "items": name })
}

fn word<T>(table: &[(&str, T)]) -> Schema {
    let words: Vec<&str> = table.iter().map(|(word, _)| *word).collect();
    json_schema!({ "type": "string", "enum": words })
}

fn whole(bounds: &RangeInclusive<u64>) -> Schema {
    json_schema!({ "type": "integer", "minimum": bounds.start(), "maximum": bounds.end() })
}

macro_rules! limits {
    ($($name:ident = $schema:expr;)*) => {
        $(pub(super) fn $name(_: &mut SchemaGenerator) -> Schema { $schema })*
    };
}

limits! {
    mode = word(MODE);
    protocol = word(PROTOCOL);
    udp_encapsulation = word(UDP_ENCAPSULATION);
    childless = word(CHILDLESS);
    kind = word(KIND);
    accept = word(ACCEPT);
    method = word(METHOD);
    ike_encryption = word(IKE_ENCRYPTION);
    ipsec_encryption = word(IPSEC_ENCRYPTION);
    integrity = word(INTEGRITY);
    pfs_group = word(PFS);
    user_role = word(user::ROLE);
    interface_role = word(interface::ROLE);
    ipv4_method = word(IPV4_METHOD);
    ipv6_method = word(IPV6_METHOD);
    interface_mtu = whole(&interface::MTUS);
    vlan_id = whole(&interface::VLAN_IDS);
    confirm_within_s = whole(&CONFIRM_WITHINS_S);
    maintenance_hours = whole(&MOST_HOURS);
    crl = word(CRL);
    certificate_profile = word(PROFILE);
    provider_kind = word(KIND_OF_PROVIDER);
    managed = word(MANAGED);
    priority = whole(&PRIORITIES);
    dpd_timeout_s = whole(&DPD_TIMEOUTS_S);
    idle_timeout_s = whole(&IDLE_TIMEOUTS_S);
    reauthenticate_s = whole(&REAUTHENTICATE_S);
    mtu = whole(&MTUS);
    tcp_mss = whole(&(SMALLEST_TCP_MSS..=*MTUS.end()));
    fragment_size = whole(&FRAGMENT_SIZES);
    ike_lifetime_s = whole(&(IKE_LIFETIME_S..=IKE_LIFETIME_S));
    ipsec_lifetime_s = whole(&IPSEC_LIFETIMES_S);
    asn = whole(&ASNS);
    hold_time_s = whole(&HOLD_TIMES_S);
    keepalive_s = whole(&KEEPALIVES_S);
    bgp_role = word(BGP_ROLE);
    tcp_ao_algorithm = word(TCP_AO);
    multihop = whole(&HOPS);
    ttl_security = whole(&HOPS);
    bfd_interval_ms = whole(&INTERVALS_MS);
    bfd_multiplier = whole(&MULTIPLIERS);
    prefix_limit = whole(&PREFIX_LIMITS);
    restart_after_s = whole(&RESTARTS_S);
    nat_rules = whole(&NAT_RULE_LIMITS);
    nat_type = word(nat::KIND);
    nat_mode = word(nat::MODE);
    port = whole(&nat::PORTS);
    verdict = word(route_policy::VERDICT);
    origin = word(route_policy::ORIGIN);
    path_length = whole(&PATH_LENGTHS);
    preference = whole(&PREFERENCES);
    prepend = whole(&PREPENDS);
}

/// A group of an IKE SA, which cannot do without one.
pub(super) fn dh_group(_: &mut SchemaGenerator) -> Schema {
    let groups: Vec<(&str, ())> = GROUP
        .iter()
        .filter(|(_, group)| group.is_some())
        .map(|(word, _)| (*word, ()))
        .collect();
    word(&groups)
}

/// Units of 1,024 bytes; 0 is no limit.
pub(super) fn ipsec_lifetime_kb(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "integer", "anyOf": [{ "const": 0 }, whole(&IPSEC_LIFETIMES_KB)] })
}

/// Families of routes, at least one.
pub(super) fn families(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "items": word(FAMILY), "minItems": 1, "uniqueItems": true })
}

/// Keys of TCP-AO, the first first.
pub(super) fn tcp_ao<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let key = generator.subschema_for::<T>();
    json_schema!({ "type": "array", "items": key, "minItems": 1, "maxItems": MOST_KEYS })
}

/// Key exchanges after the first, in their order.
pub(super) fn additional(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "items": word(ADDITIONAL), "maxItems": MOST_ADDITIONAL, "uniqueItems": true })
}

/// A time in UTC, to the second.
pub(super) fn moment(_: &mut SchemaGenerator) -> Schema {
    let pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$";
    json_schema!({ "type": "string", "pattern": pattern })
}

/// Hashes of RSA, at least one, the one we sign with first.
pub(super) fn rsa_hashes(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "items": word(RSA_HASH), "minItems": 1, "uniqueItems": true })
}

/// What both sides call a post-quantum preshared key.
pub(super) fn ppk_id(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "pattern": "^[!-~]+$", "maxLength": LONGEST_ID })
}

/// Ranges of ports, at least one.
pub(super) fn port_ranges(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array", "items": { "type": "string", "pattern": "^[0-9]{1,5}(-[0-9]{1,5})?$" }, "minItems": 1
    })
}

/// Terms of a route policy, in their order.
pub(super) fn terms<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let term = generator.subschema_for::<T>();
    json_schema!({ "type": "array", "items": term, "maxItems": TERMS })
}

/// Selectors, one Child SA each.
pub(super) fn lines<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let line = generator.subschema_for::<T>();
    json_schema!({ "type": "array", "items": line, "minItems": 1, "maxItems": LINES })
}
