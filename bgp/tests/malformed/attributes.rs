//! Attributes, one by one (RFC 7606 §3, §4, §7).

use bgp::wire::as_path::{AsPath, Segment};

use super::sample::*;

/// RFC 7606 §7.1: a length other than one.
#[test]
fn origin_of_two_octets_withdraws() {
    let update = announced(EXTERNAL, &[&attribute(0x40, 1, &[0, 0]), AS_PATH, NEXT_HOP]);
    assert_withdrawn(&update, "ORIGIN has 2 octets instead of 1");
}

/// RFC 7606 §4, §7.1.
#[test]
fn empty_origin_withdraws() {
    let update = announced(EXTERNAL, &[&attribute(0x40, 1, &[]), AS_PATH, NEXT_HOP]);
    assert_withdrawn(&update, "ORIGIN");
}

/// RFC 7606 §7.1: a value that is not defined.
#[test]
fn undefined_origin_withdraws() {
    let update = announced(EXTERNAL, &[&attribute(0x40, 1, &[3]), AS_PATH, NEXT_HOP]);
    assert_withdrawn(&update, "ORIGIN is 3");
}

/// RFC 7606 §3 d.
#[test]
fn missing_origin_withdraws() {
    assert_withdrawn(&announced(EXTERNAL, &[AS_PATH, NEXT_HOP]), "ORIGIN is missing");
}

/// RFC 7606 §3 d.
#[test]
fn missing_as_path_withdraws() {
    assert_withdrawn(&announced(EXTERNAL, &[ORIGIN, NEXT_HOP]), "AS_PATH is missing");
}

/// RFC 7606 §3 d.
#[test]
fn missing_next_hop_withdraws() {
    assert_withdrawn(&announced(EXTERNAL, &[ORIGIN, AS_PATH]), "NEXT_HOP is missing");
}

/// RFC 4271 §5, §5.1.5: required inside an autonomous system; RFC 7606 §3 d.
#[test]
fn missing_local_pref_inside_withdraws() {
    let update = announced(INTERNAL, &[ORIGIN, AS_PATH, NEXT_HOP]);
    assert_withdrawn(&update, "LOCAL_PREF is missing");
}

/// RFC 7606 §3 c: what must be well-known is not optional.
#[test]
fn optional_origin_withdraws() {
    let update = announced(EXTERNAL, &[&attribute(0xc0, 1, &[0]), AS_PATH, NEXT_HOP]);
    assert_withdrawn(&update, "ORIGIN has flags 0xc0");
}

/// RFC 7606 §3 c.
#[test]
fn transitive_med_withdraws() {
    let update = with(EXTERNAL, &attribute(0xc0, 4, &[0, 0, 0, 1]));
    assert_withdrawn(&update, "MULTI_EXIT_DISC has flags 0xc0");
}

/// RFC 7606 §3 c: their own sections only speak of lengths.
#[test]
fn aggregator_that_is_not_transitive_withdraws() {
    let update = with(EXTERNAL, &attribute(0x80, 7, &[0, 0, 0xfd, 0xe9, 10, 0, 0, 1]));
    assert_withdrawn(&update, "AGGREGATOR has flags 0x80");
}

/// RFC 4271 §4.3: the four low bits have no meaning; nor does Partial for RFC 7606 §3 c.
#[test]
fn other_flags_are_ignored() {
    let origin = attribute(0x6f, 1, &[0]);
    assert_sound(&announced(EXTERNAL, &[&origin, AS_PATH, NEXT_HOP]));
}

fn as_path(context: Context, value: &[u8]) -> Update {
    announced(context, &[ORIGIN, &attribute(0x40, 2, value), NEXT_HOP])
}

/// RFC 7606 §7.2.
#[test]
fn as_path_segment_of_unknown_type_withdraws() {
    let update = as_path(EXTERNAL, &[5, 1, 0, 0, 0, 1]);
    assert_withdrawn(&update, "AS_PATH: a segment has the type 5");
}

/// RFC 5065 §5: from outside of a confederation.
#[test]
fn confederation_segment_in_as_path_withdraws() {
    for kind in [3, 4] {
        assert_withdrawn(&as_path(EXTERNAL, &[kind, 1, 0, 0, 0, 1]), "AS_PATH");
    }
}

/// RFC 7606 §7.2: the segment is longer than the attribute.
#[test]
fn as_path_segment_that_overruns_withdraws() {
    assert_withdrawn(
        &as_path(EXTERNAL, &[2, 2, 0, 0, 0, 1]),
        "longer than the attribute",
    );
}

/// RFC 7606 §7.2: a single octet is left.
#[test]
fn as_path_with_one_octet_left_withdraws() {
    assert_withdrawn(&as_path(EXTERNAL, &[2, 1, 0, 0, 0, 1, 2]), "one octet follows");
}

/// RFC 7606 §7.2.
#[test]
fn empty_as_path_segment_withdraws() {
    assert_withdrawn(&as_path(EXTERNAL, &[2, 0]), "a segment is empty");
}

/// RFC 7607 §2.
#[test]
fn as_zero_in_as_path_withdraws() {
    assert_withdrawn(
        &as_path(EXTERNAL, &[2, 2, 0, 0, 0, 1, 0, 0, 0, 0]),
        "autonomous system 0",
    );
}

/// RFC 6793: numbers of two octets in a session that has four.
#[test]
fn as_path_of_the_other_width_withdraws() {
    assert_withdrawn(
        &announced(EXTERNAL, &[ORIGIN, SHORT_AS_PATH, NEXT_HOP]),
        "AS_PATH",
    );
    assert_withdrawn(&announced(OLD, &[ORIGIN, AS_PATH, NEXT_HOP]), "AS_PATH");
}

/// RFC 9774 §3; before it, sets were good.
#[test]
fn as_set_withdraws_unless_it_is_wanted() {
    let set = [1, 2, 0, 0, 0, 1, 0, 0, 0, 2];
    assert_withdrawn(&as_path(EXTERNAL, &set), "AS_PATH: it has a set");
    let lenient = Context {
        as_sets: true,
        ..EXTERNAL
    };
    let update = as_path(lenient, &set);
    assert_sound(&update);
    assert_eq!(
        update.announced[0].0.as_path,
        AsPath(vec![Segment::Set(vec![1, 2])])
    );
}

/// RFC 4271 §6.3, RFC 7606 §3 e.
#[test]
fn as_path_that_begins_with_another_neighbour_withdraws() {
    let strict = |asn| Context {
        first_asn: Some(asn),
        ..EXTERNAL
    };
    assert_sound(&with(strict(65_001), &[]));
    assert_withdrawn(&with(strict(65_002), &[]), "does not begin with");
    assert_withdrawn(&as_path(strict(65_001), &[]), "does not begin with");
}

/// RFC 7606 §4: AS_PATH may be empty.
#[test]
fn empty_as_path_is_sound() {
    assert_sound(&as_path(EXTERNAL, &[]));
}

/// RFC 7606 §7.3.
#[test]
fn next_hop_of_another_length_withdraws() {
    for value in [&[][..], &[192, 0, 2], &[192, 0, 2, 1, 0]] {
        let update = announced(EXTERNAL, &[ORIGIN, AS_PATH, &attribute(0x40, 3, value)]);
        assert_withdrawn(&update, "NEXT_HOP has");
    }
}

fn next_hop(address: [u8; 4]) -> Update {
    announced(EXTERNAL, &[ORIGIN, AS_PATH, &attribute(0x40, 3, &address)])
}

/// RFC 4271 §6.3: not an address of a host; RFC 7606 §3 e.
#[test]
fn next_hop_zero_withdraws() {
    assert_withdrawn(&next_hop([0, 0, 0, 0]), "the next hop 0.0.0.0");
}

/// As above.
#[test]
fn multicast_next_hop_withdraws() {
    assert_withdrawn(&next_hop([224, 0, 0, 1]), "the next hop 224.0.0.1");
}

/// As above.
#[test]
fn broadcast_next_hop_withdraws() {
    assert_withdrawn(&next_hop([255, 255, 255, 255]), "the next hop");
}

/// As above.
#[test]
fn loopback_next_hop_withdraws() {
    assert_withdrawn(&next_hop([127, 0, 0, 1]), "the next hop 127.0.0.1");
}

/// The addresses of tunnels are link-local ones (issue 5).
#[test]
fn link_local_ipv4_next_hop_is_sound() {
    assert_sound(&next_hop([169, 254, 21, 1]));
}

/// RFC 7606 §7.4.
#[test]
fn med_of_another_length_withdraws() {
    assert_withdrawn(
        &with(EXTERNAL, &attribute(0x80, 4, &[0, 0, 1])),
        "MULTI_EXIT_DISC has 3",
    );
    assert_withdrawn(&with(EXTERNAL, &attribute(0x80, 4, &[])), "MULTI_EXIT_DISC has 0");
}

/// RFC 7606 §7.5: from outside it is discarded, whatever it holds.
#[test]
fn local_pref_from_outside_is_discarded() {
    for value in [&[0, 0, 0, 9][..], &[1]] {
        let update = with(EXTERNAL, &attribute(0x40, 5, value));
        assert_discarded(&update, "LOCAL_PREF");
        assert_eq!(update.announced[0].0.local_preference, None);
    }
}

/// RFC 7606 §7.5.
#[test]
fn local_pref_of_another_length_inside_withdraws() {
    let update = announced(INTERNAL, &[ORIGIN, AS_PATH, NEXT_HOP, &attribute(0x40, 5, &[1])]);
    assert_withdrawn(&update, "LOCAL_PREF has 1");
}

/// RFC 7606 §7.6.
#[test]
fn atomic_aggregate_with_a_value_is_discarded() {
    let update = with(EXTERNAL, &attribute(0x40, 6, &[0]));
    assert_discarded(&update, "ATOMIC_AGGREGATE");
    assert!(!update.announced[0].0.atomic_aggregate);
}

/// RFC 7606 §7.7: eight octets, or six where AS numbers have two.
#[test]
fn aggregator_of_another_length_is_discarded() {
    let (short, long) = ([0xfd, 0xe9, 10, 0, 0, 1], [0, 0, 0xfd, 0xe9, 10, 0, 0, 1]);
    assert_discarded(&with(EXTERNAL, &attribute(0xc0, 7, &short)), "AGGREGATOR has 6");
    assert_discarded(&with(OLD, &attribute(0xc0, 7, &long)), "AGGREGATOR has 8");
    assert_discarded(&with(EXTERNAL, &attribute(0xc0, 7, &[])), "AGGREGATOR has 0");
    assert_sound(&with(EXTERNAL, &attribute(0xc0, 7, &long)));
    assert_sound(&with(OLD, &attribute(0xc0, 7, &short)));
}

/// RFC 7607 §2.
#[test]
fn aggregator_zero_is_discarded() {
    let update = with(EXTERNAL, &attribute(0xc0, 7, &[0, 0, 0, 0, 10, 0, 0, 1]));
    assert_discarded(&update, "autonomous system 0");
    assert_eq!(update.announced[0].0.aggregator, None);
}

/// RFC 7606 §7.9.
#[test]
fn originator_from_outside_is_discarded() {
    let update = with(EXTERNAL, &attribute(0x80, 9, &[10, 0, 0, 1]));
    assert_discarded(&update, "ORIGINATOR_ID");
    assert_eq!(update.announced[0].0.originator, None);
}

/// RFC 7606 §7.9.
#[test]
fn originator_of_another_length_inside_withdraws() {
    assert_withdrawn(
        &with(INTERNAL, &attribute(0x80, 9, &[10, 0, 0])),
        "ORIGINATOR_ID has 3",
    );
}

/// RFC 7606 §7.10.
#[test]
fn cluster_list_from_outside_is_discarded() {
    let update = with(EXTERNAL, &attribute(0x80, 10, &[10, 0, 0, 1]));
    assert_discarded(&update, "CLUSTER_LIST");
    assert!(update.announced[0].0.clusters.is_empty());
}

/// RFC 7606 §7.10.
#[test]
fn cluster_list_of_another_length_inside_withdraws() {
    for value in [&[][..], &[10, 0, 0, 1, 10]] {
        assert_withdrawn(&with(INTERNAL, &attribute(0x80, 10, value)), "CLUSTER_LIST has");
    }
}

/// RFC 9234 §5.
#[test]
fn only_to_customer_of_another_length_withdraws() {
    assert_withdrawn(
        &with(EXTERNAL, &attribute(0xc0, 35, &[0, 1])),
        "ONLY_TO_CUSTOMER has 2",
    );
}

/// RFC 6793 §6.
#[test]
fn malformed_as4_path_is_discarded() {
    let cases: [&[u8]; 5] = [
        &[],
        &[2, 0],
        &[2, 2, 0, 1, 17, 112],
        &[9, 1, 0, 1, 17, 112],
        &[2, 1, 0, 0, 0, 0],
    ];
    for value in cases {
        let update = with(OLD, &attribute(0xc0, 17, value));
        assert_discarded(&update, "AS4_PATH");
        assert_eq!(update.announced[0].0.as_path.to_string(), "65001");
    }
}

/// RFC 6793 §6: segments of a confederation are taken out, the rest counts.
#[test]
fn confederation_segment_in_as4_path_is_left_out() {
    let path = attribute(0x40, 2, &[2, 2, 0xfd, 0xe9, 0x5b, 0xa0]);
    let as4_path = attribute(0xc0, 17, &[3, 1, 0, 0, 0, 9, 2, 1, 0, 1, 0x11, 0x70]);
    let update = announced(OLD, &[ORIGIN, &path, NEXT_HOP, &as4_path]);
    assert_sound(&update);
    assert_eq!(update.announced[0].0.as_path.to_string(), "65001 70000");
}

/// RFC 6793 §4.1: between speakers of four octets it has no meaning.
#[test]
fn as4_path_beside_four_octets_is_discarded() {
    let update = with(EXTERNAL, &attribute(0xc0, 17, &[2, 1, 0, 1, 0x11, 0x70]));
    assert_discarded(&update, "AS4_PATH");
    let update = with(EXTERNAL, &attribute(0xc0, 18, &[0, 1, 0x11, 0x70, 10, 0, 0, 1]));
    assert_discarded(&update, "AS4_AGGREGATOR");
}

/// RFC 6793 §6.
#[test]
fn malformed_as4_aggregator_is_discarded() {
    assert_discarded(
        &with(OLD, &attribute(0xc0, 18, &[0, 1, 0x11, 0x70])),
        "AS4_AGGREGATOR has 4",
    );
}

/// RFC 6793 §4.2.3: an AGGREGATOR of another number says that both are of an older path.
#[test]
fn as4_attributes_before_an_old_aggregator_are_ignored() {
    let path = attribute(0x40, 2, &[2, 2, 0xfd, 0xe9, 0x5b, 0xa0]);
    let as4_path = attribute(0xc0, 17, &[2, 1, 0, 1, 0x11, 0x70]);
    let as4_aggregator = attribute(0xc0, 18, &[0, 1, 0x11, 0x70, 10, 0, 0, 2]);
    let merged = |aggregator: [u8; 2]| {
        let aggregator = attribute(0xc0, 7, &[&aggregator[..], &[10, 0, 0, 1]].concat());
        let all = [ORIGIN, &path, NEXT_HOP, &aggregator, &as4_path, &as4_aggregator];
        let update = announced(OLD, &all);
        assert_sound(&update);
        let attributes = &update.announced[0].0;
        (attributes.as_path.to_string(), attributes.aggregator.unwrap().0)
    };
    assert_eq!(merged([0x5b, 0xa0]), ("65001 70000".to_owned(), 70_000));
    assert_eq!(merged([0xfd, 0xe9]), ("65001 23456".to_owned(), 65_001));
}

/// RFC 7606 §3 g: all but the first are discarded, known or not.
#[test]
fn repeated_attribute_is_discarded() {
    let update = with(EXTERNAL, &attribute(0x40, 1, &[2]));
    assert_discarded(&update, "ORIGIN is there more than once");
    assert_eq!(update.announced[0].0.origin, bgp::wire::attribute::Origin::Igp);
    let twice = [attribute(0xc0, 99, &[1]), attribute(0xc0, 99, &[2])].concat();
    let update = with(EXTERNAL, &twice);
    assert_discarded(&update, "attribute 99 is there more than once");
    assert_eq!(update.announced[0].0.unknown[0].value, [1]);
}

/// RFC 7606 §3 g: not even looked at.
#[test]
fn repeated_attribute_that_is_malformed_is_discarded() {
    assert_discarded(&with(EXTERNAL, &attribute(0x40, 1, &[7, 7])), "ORIGIN");
}

/// RFC 4271 §6.3: unknown, but well-known; with the attribute.
#[test]
fn unknown_well_known_attribute_resets() {
    let unknown = attribute(0x40, 99, &[1, 2]);
    assert_reset(&with(EXTERNAL, &unknown), 2, &unknown);
}

/// RFC 4271 §5: passed on.
#[test]
fn unknown_transitive_attribute_is_kept() {
    let update = with(EXTERNAL, &attribute(0xc0, 99, &[1, 2]));
    assert_sound(&update);
    let kept = &update.announced[0].0.unknown;
    assert_eq!((kept[0].code, kept[0].value.as_slice()), (99, &[1, 2][..]));
}

/// RFC 4271 §5: ignored.
#[test]
fn unknown_attribute_that_is_not_transitive_is_ignored() {
    let update = with(EXTERNAL, &attribute(0x80, 99, &[1, 2]));
    assert_sound(&update);
    assert!(update.announced[0].0.unknown.is_empty());
}

/// RFC 7606 §4: longer than what is left; the prefixes are found by the total length.
#[test]
fn attribute_that_overruns_the_attributes_withdraws() {
    assert_withdrawn(&with(EXTERNAL, &[0x80, 4, 9, 0, 0]), "longer than the attributes");
}

/// RFC 7606 §4: fewer than three octets are left, or four for a length of two.
#[test]
fn attributes_with_too_few_octets_left_withdraw() {
    for left in [&[0x80][..], &[0x80, 4], &[0x90, 4, 0]] {
        assert_withdrawn(&with(EXTERNAL, left), "longer than the attributes");
    }
}

/// RFC 7606 §3 h: the strongest treatment counts.
#[test]
fn the_strongest_treatment_counts() {
    let discarded = attribute(0x40, 6, &[1]);
    let withdrawn = attribute(0x80, 4, &[]);
    let reset = attribute(0x40, 99, &[]);
    let update = with(EXTERNAL, &[&discarded[..], &withdrawn].concat());
    assert_withdrawn(&update, "MULTI_EXIT_DISC");
    assert_fault(&update, &Treatment::DiscardAttribute, "ATOMIC_AGGREGATE");
    assert_reset(&with(EXTERNAL, &[&withdrawn[..], &reset].concat()), 2, &reset);
}

/// RFC 7606 §5.2: without a prefix nothing tells that all prefixes were found.
#[test]
fn fault_in_a_message_without_prefixes_resets() {
    let origin = attribute(0x40, 1, &[7]);
    let update = decode(EXTERNAL, &body(&[], &[&origin, AS_PATH, NEXT_HOP], &[]));
    assert_reset(&update, 6, &origin);
    let discarded = attribute(0x40, 6, &[1]);
    let update = decode(EXTERNAL, &body(&[], &[ORIGIN, &discarded], &[]));
    assert_fault(&update, &Treatment::DiscardAttribute, "ATOMIC_AGGREGATE");
}

/// What was withdrawn beside a malformed route stays withdrawn (RFC 7606 §2).
#[test]
fn withdrawn_routes_of_a_malformed_message_count() {
    let message = body(&[8, 10], &[&attribute(0x40, 1, &[7]), AS_PATH, NEXT_HOP], PREFIX);
    let update = decode(EXTERNAL, &message);
    assert_eq!(withdrawals(&update), ["10.0.0.0/8", "198.51.100.0/24"]);
}
