//! MP_REACH_NLRI and MP_UNREACH_NLRI (RFC 7606 §3 g, §3 j, §5.3, §7.11, §7.12).

use super::sample::*;

const HOP: [u8; 16] = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const LOCAL: [u8; 16] = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

fn reach(afi: u8, safi: u8, next_hop: &[u8], nlri: &[u8]) -> Vec<u8> {
    let length = u8::try_from(next_hop.len()).unwrap();
    let value = [&[0, afi, safi, length], next_hop, &[0], nlri].concat();
    attribute(0x80, 14, &value)
}

/// A message without other prefixes.
fn alone(context: Context, reach: &[u8]) -> Update {
    decode(context, &body(&[], &[reach, ORIGIN, AS_PATH], &[]))
}

#[test]
fn ipv6_route_is_sound() {
    let update = alone(EXTERNAL, REACH);
    assert_eq!(
        (prefixes(&update), update.faults),
        (vec!["2001:db8::/32".to_owned()], vec![])
    );
}

/// RFC 7606 §3 g: both occurrences would have to be read.
#[test]
fn repeated_mp_reach_resets() {
    let update = decode(EXTERNAL, &body(&[], &[REACH, ORIGIN, AS_PATH, REACH], &[]));
    assert_reset(&update, 1, &[]);
}

/// RFC 7606 §3 g.
#[test]
fn repeated_mp_unreach_resets() {
    assert_reset(&decode(EXTERNAL, &body(&[], &[UNREACH, UNREACH], &[])), 1, &[]);
}

/// RFC 7606 §7.11: the prefixes cannot be found, so that the family ends; the milder of the two that are allowed.
#[test]
fn mp_reach_with_a_next_hop_of_another_length_disables_the_family() {
    for length in [0, 4, 15, 24, 31, 48] {
        let next_hop = vec![0x20; length];
        let update = alone(EXTERNAL, &reach(2, 1, &next_hop, &[32, 0x20, 1, 0x0d, 0xb8]));
        assert_eq!(prefixes(&update), [""; 0]);
        let words = format!("a next hop of {length} octets");
        assert_disabled(&update, Family::Ipv6, &words);
    }
}

/// RFC 7606 §7.11: where there is no other family, the session is reset.
#[test]
fn mp_reach_with_a_next_hop_of_another_length_resets_without_another_family() {
    let malformed = reach(2, 1, &[1; 4], &[]);
    assert_reset(&alone(ONLY_IPV6, &malformed), 9, &malformed);
}

/// RFC 7606 §2: what comes of the family afterwards is ignored, and the other one goes on.
#[test]
fn disabled_family_is_ignored_afterwards() {
    let mut decoder = Decoder::new(EXTERNAL);
    assert!(
        !decoder
            .decode(&body(&[], &[REACH, ORIGIN, AS_PATH], &[]))
            .announced
            .is_empty()
    );
    decoder.decode(&body(&[], &[&reach(2, 1, &[1; 4], &[]), ORIGIN, AS_PATH], &[]));
    let update = decoder.decode(&body(&[], &[REACH, ORIGIN, AS_PATH], &[]));
    assert!(update.announced.is_empty() && update.faults.is_empty());
    assert!(decoder.decode(&body(&[], &[UNREACH], &[])).withdrawn.is_empty());
    assert_sound(&decoder.decode(&body(&[], &[ORIGIN, AS_PATH, NEXT_HOP], PREFIX)));
}

/// Once every family is disabled, there is nothing left to speak of.
#[test]
fn last_family_to_be_disabled_resets() {
    let mut decoder = Decoder::new(EXTERNAL);
    let update = decoder.decode(&body(&[], &[&reach(2, 1, &[1; 4], &[]), ORIGIN, AS_PATH], &[]));
    assert_disabled(&update, Family::Ipv6, "");
    let malformed = reach(1, 1, &[1; 3], &[]);
    let update = decoder.decode(&body(&[], &[&malformed, ORIGIN, AS_PATH], &[]));
    assert_reset(&update, 9, &malformed);
}

/// RFC 7606 §5.3: flags that RFC 4760 does not have.
#[test]
fn mp_reach_that_is_transitive_disables_the_family() {
    let mut transitive = REACH.to_vec();
    transitive[0] = 0xc0;
    assert_disabled(&alone(EXTERNAL, &transitive), Family::Ipv6, "flags 0xc0");
}

/// As above.
#[test]
fn mp_unreach_that_is_well_known_disables_the_family() {
    let mut well_known = UNREACH.to_vec();
    well_known[0] = 0x40;
    let update = decode(EXTERNAL, &body(&[], &[&well_known], &[]));
    assert_disabled(&update, Family::Ipv6, "flags 0x40");
    assert_eq!(withdrawals(&update), [""; 0]);
}

/// RFC 7606 §5.3: shorter than its fixed fields; without a family to disable.
#[test]
fn mp_reach_without_a_family_resets() {
    for length in 0..3 {
        let short = attribute(0x80, 14, &[0, 2, 1][..length]);
        assert_reset(&alone(EXTERNAL, &short), 9, &short);
    }
}

/// RFC 7606 §5.3: fewer than five octets.
#[test]
fn mp_reach_without_a_next_hop_disables_the_family() {
    for value in [&[0, 2, 1][..], &[0, 2, 1, 0], &[0, 2, 1, 16, 0x20]] {
        assert_disabled(
            &alone(EXTERNAL, &attribute(0x80, 14, value)),
            Family::Ipv6,
            "ends",
        );
    }
}

/// RFC 7606 §5.3: fewer than three octets.
#[test]
fn mp_unreach_without_a_family_resets() {
    let short = attribute(0x80, 15, &[0, 2]);
    assert_reset(&decode(EXTERNAL, &body(&[], &[&short], &[])), 9, &short);
}

/// RFC 7606 §5.3: longer than an address.
#[test]
fn mp_prefix_of_129_bits_disables_the_family() {
    let nlri = [&[129][..], &[0x20; 17]].concat();
    let update = alone(EXTERNAL, &reach(2, 1, &HOP, &nlri));
    assert_disabled(&update, Family::Ipv6, "a length of 129 bits");
    let update = decode(
        EXTERNAL,
        &body(
            &[],
            &[&attribute(0x80, 15, &[&[0, 2, 1], &nlri[..]].concat())],
            &[],
        ),
    );
    assert_disabled(&update, Family::Ipv6, "a length of 129 bits");
}

/// RFC 4760 §7: where nothing is left but a reset, the attribute is shown.
#[test]
fn mp_prefix_of_129_bits_resets_without_another_family() {
    let nlri = [&[129][..], &[0x20; 17]].concat();
    let malformed = reach(2, 1, &HOP, &nlri);
    assert_reset(&alone(ONLY_IPV6, &malformed), 9, &malformed);
    let malformed = attribute(0x80, 15, &[&[0, 2, 1], &nlri[..]].concat());
    assert_reset(&decode(ONLY_IPV6, &body(&[], &[&malformed], &[])), 9, &malformed);
}

/// RFC 7606 §5.3: the last one is longer than what is left; those before it do not count either.
#[test]
fn mp_prefix_that_overruns_disables_the_family() {
    let nlri = [32, 0x20, 1, 0x0d, 0xb8, 48, 0x20];
    let update = alone(EXTERNAL, &reach(2, 1, &HOP, &nlri));
    assert_disabled(&update, Family::Ipv6, "longer than its field");
    assert_eq!(prefixes(&update), [""; 0]);
    let update = decode(
        EXTERNAL,
        &body(
            &[],
            &[&attribute(0x80, 15, &[&[0, 2, 1], &nlri[..]].concat())],
            &[],
        ),
    );
    assert_eq!(withdrawals(&update), [""; 0]);
}

/// RFC 4271 §6.3 for IPv6: not the address of a host.
#[test]
fn ipv6_next_hop_that_is_no_host_withdraws() {
    let mut loopback = [0; 16];
    loopback[15] = 1;
    let multicast = [0xff; 16];
    for next_hop in [[0; 16], loopback, multicast] {
        let update = alone(EXTERNAL, &reach(2, 1, &next_hop, &[32, 0x20, 1, 0x0d, 0xb8]));
        assert_eq!(
            (prefixes(&update), withdrawals(&update)),
            (vec![], vec!["2001:db8::/32".to_owned()])
        );
        assert_fault(&update, &Treatment::WithdrawRoutes, "the next hop");
    }
}

/// RFC 2545 §3: the second address is the link-local one; another is not used.
#[test]
fn second_next_hop_is_used_if_it_is_link_local() {
    use bgp::wire::attribute::NextHop;
    let nlri = [32, 0x20, 1, 0x0d, 0xb8];
    let update = alone(EXTERNAL, &reach(2, 1, &[HOP, LOCAL].concat(), &nlri));
    assert_eq!(
        update.announced[0].0.next_hop,
        NextHop::WithLinkLocal(HOP.into(), LOCAL.into())
    );
    let update = alone(EXTERNAL, &reach(2, 1, &[HOP, HOP].concat(), &nlri));
    let global = std::net::Ipv6Addr::from(HOP);
    assert_eq!(update.announced[0].0.next_hop, NextHop::Address(global.into()));
}

/// RFC 4760 §3: reserved, and ignored.
#[test]
fn reserved_octet_of_mp_reach_is_ignored() {
    let mut reserved = REACH.to_vec();
    reserved[23] = 7;
    assert_eq!(prefixes(&alone(EXTERNAL, &reserved)), ["2001:db8::/32"]);
}

/// RFC 7606 §3 d: NEXT_HOP is not needed beside MP_REACH_NLRI, the others are.
#[test]
fn missing_attributes_beside_mp_reach_withdraw() {
    for (attributes, words) in [
        ([REACH, AS_PATH], "ORIGIN is missing"),
        ([REACH, ORIGIN], "AS_PATH is missing"),
    ] {
        let update = decode(EXTERNAL, &body(&[], &attributes, &[]));
        assert_eq!(withdrawals(&update), ["2001:db8::/32"]);
        assert_fault(&update, &Treatment::WithdrawRoutes, words);
    }
}

/// RFC 7606 §3 j: all prefixes of the message, wherever they are.
#[test]
fn malformed_attribute_withdraws_both_families() {
    let origin = attribute(0x40, 1, &[7]);
    let update = decode(EXTERNAL, &body(&[], &[REACH, &origin, AS_PATH, NEXT_HOP], PREFIX));
    assert_eq!(withdrawals(&update), ["198.51.100.0/24", "2001:db8::/32"]);
}

/// RFC 4760 §3: ignored where there are only prefixes of MP_REACH_NLRI.
#[test]
fn next_hop_beside_mp_reach_is_ignored() {
    for value in [&[0, 0, 0, 0][..], &[1]] {
        let next_hop = attribute(0x40, 3, value);
        let update = decode(EXTERNAL, &body(&[], &[REACH, ORIGIN, AS_PATH, &next_hop], &[]));
        assert_eq!(
            (prefixes(&update), update.faults),
            (vec!["2001:db8::/32".to_owned()], vec![])
        );
    }
}

/// RFC 4760 §6: what was not agreed on is ignored.
#[test]
fn family_that_was_not_agreed_on_is_ignored() {
    let multicast = reach(2, 2, &HOP, &[32, 0x20, 1, 0x0d, 0xb8]);
    let update = alone(EXTERNAL, &multicast);
    assert_eq!(prefixes(&update), [""; 0]);
    assert_fault(&update, &Treatment::DiscardAttribute, "AFI 2, SAFI 2");
    let update = with(ONLY_IPV6, &[]);
    assert_eq!(prefixes(&update), [""; 0]);
    assert_fault(
        &update,
        &Treatment::DiscardAttribute,
        "ipv4 prefixes were not agreed on",
    );
}

/// RFC 8950 §3: only where it was agreed on.
#[test]
fn ipv6_next_hop_of_ipv4_prefixes_has_to_be_agreed_on() {
    let by_ipv6 = reach(1, 1, &HOP, PREFIX);
    assert_disabled(
        &alone(EXTERNAL, &by_ipv6),
        Family::Ipv4,
        "a next hop of 16 octets",
    );
    let agreed = Context {
        ipv6_next_hops: true,
        ..EXTERNAL
    };
    assert_sound(&alone(agreed, &by_ipv6));
    assert_sound(&alone(agreed, &reach(1, 1, &[HOP, LOCAL].concat(), PREFIX)));
}
