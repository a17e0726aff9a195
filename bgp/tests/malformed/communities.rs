//! Communities of each kind.

use super::sample::*;

/// RFC 7606 §7.8: a multiple of four, and not zero.
#[test]
fn communities_of_another_length_withdraw() {
    for value in [&[][..], &[0, 1, 0], &[0, 1, 0, 2, 0]] {
        assert_withdrawn(&with(EXTERNAL, &attribute(0xc0, 8, value)), "COMMUNITIES has");
    }
}

/// RFC 7606 §7.14: a multiple of eight, and not zero.
#[test]
fn extended_communities_of_another_length_withdraw() {
    for value in [&[][..], &[0; 7], &[0; 12]] {
        let update = with(EXTERNAL, &attribute(0xc0, 16, value));
        assert_withdrawn(&update, "EXTENDED COMMUNITIES has");
    }
}

/// RFC 7606 §7.14: types that we do not know are no fault.
#[test]
fn extended_community_of_unknown_type_is_sound() {
    let update = with(EXTERNAL, &attribute(0xc0, 16, &[0x3f; 8]));
    assert_sound(&update);
    assert_eq!(update.announced[0].0.extended_communities, [[0x3f; 8]]);
}

/// RFC 7606 §7.15: a multiple of twenty, and not zero.
#[test]
fn ipv6_extended_communities_of_another_length_withdraw() {
    for value in [&[][..], &[0; 21]] {
        assert_withdrawn(
            &with(EXTERNAL, &attribute(0xc0, 25, value)),
            "IPv6 EXTENDED COMMUNITIES",
        );
    }
    let update = with(EXTERNAL, &attribute(0xc0, 25, &[7; 20]));
    assert_sound(&update);
    assert_eq!(update.announced[0].0.unknown[0].value, [7; 20]);
}

/// RFC 8092 §6: a multiple of twelve, and not zero.
#[test]
fn large_communities_of_another_length_withdraw() {
    for value in [&[][..], &[0; 11], &[0; 16]] {
        assert_withdrawn(
            &with(EXTERNAL, &attribute(0xc0, 32, value)),
            "LARGE_COMMUNITY has",
        );
    }
}

/// RFC 8092 §3: what is there twice counts once.
#[test]
fn repeated_large_community_counts_once() {
    let value: Vec<u8> = [1_u32, 2, 3, 4, 5, 6, 1, 2, 3]
        .into_iter()
        .flat_map(u32::to_be_bytes)
        .collect();
    let update = with(EXTERNAL, &attribute(0xc0, 32, &value));
    assert_sound(&update);
    assert_eq!(update.announced[0].0.large_communities, [(1, 2, 3), (4, 5, 6)]);
}

/// RFC 7606 §3 c.
#[test]
fn communities_that_are_not_transitive_withdraw() {
    for (code, length) in [(8, 4), (16, 8), (25, 20), (32, 12)] {
        let update = with(EXTERNAL, &attribute(0x80, code, &vec![0; length]));
        assert_withdrawn(&update, "has flags 0x80");
    }
}
