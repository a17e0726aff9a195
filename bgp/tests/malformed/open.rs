//! OPEN and its capabilities (RFC 4271 §6.2).

use std::time::Duration;

use bgp::Role;
use bgp::wire::capability::Capabilities;
use bgp::wire::open::Open;

use super::sample::*;

/// AS 65001, 180 s, 10.0.0.1.
const FIXED: [u8; 9] = [4, 0xfd, 0xe9, 0, 180, 10, 0, 0, 1];

fn open(fixed: [u8; 9], parameters: &[u8]) -> Result<Open, Notification> {
    let length = u8::try_from(parameters.len()).unwrap();
    Open::decode(&[&fixed[..], &[length], parameters].concat())
}

/// One capability in one optional parameter.
fn capability(code: u8, value: &[u8]) -> Result<Capabilities, Notification> {
    let length = u8::try_from(value.len()).unwrap();
    let parameter = [&[2, length + 2, code, length], value].concat();
    Ok(open(FIXED, &parameter)?.capabilities)
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug + PartialEq>(
    refused: Result<T, Notification>,
    subcode: u8,
    data: &[u8],
) {
    assert_eq!(refused, Err(Notification::new(2, subcode, data.to_vec())));
}

/// The data is the version that we speak.
#[test]
fn another_version_is_refused() {
    for version in [0, 3, 5] {
        let mut fixed = FIXED;
        fixed[0] = version;
        assert_refused(open(fixed, &[]), 1, &[0, 4]);
    }
}

/// RFC 7607 §2.
#[test]
fn as_zero_is_refused() {
    assert_refused(open([4, 0, 0, 0, 180, 10, 0, 0, 1], &[]), 2, &[]);
}

/// RFC 4271 §4.2: zero, or three and more.
#[test]
fn hold_times_of_one_and_two_seconds_are_refused() {
    for hold_time in [1, 2] {
        assert_refused(open([4, 0xfd, 0xe9, 0, hold_time, 10, 0, 0, 1], &[]), 6, &[]);
    }
    assert!(open([4, 0xfd, 0xe9, 0, 0, 10, 0, 0, 1], &[]).is_ok());
    assert!(open([4, 0xfd, 0xe9, 0, 3, 10, 0, 0, 1], &[]).is_ok());
}

/// RFC 6286 §2.1: any number but zero, be it an address or not.
#[test]
fn identifier_zero_is_refused() {
    assert_refused(open([4, 0xfd, 0xe9, 0, 180, 0, 0, 0, 0], &[]), 3, &[]);
    assert!(open([4, 0xfd, 0xe9, 0, 180, 255, 255, 255, 255], &[]).is_ok());
}

#[test]
fn unknown_optional_parameter_is_refused() {
    assert_refused(open(FIXED, &[1, 1, 0]), 4, &[]);
}

#[test]
fn open_that_ends_early_is_refused() {
    for length in 1..FIXED.len() {
        assert_refused(Open::decode(&FIXED[..length]), 0, &[]);
    }
    assert_refused(Open::decode(&FIXED), 0, &[]);
}

/// The length of all parameters is not what follows it.
#[test]
fn parameters_of_another_length_are_refused() {
    for rest in [&[4, 2, 0][..], &[0, 2, 0], &[2, 2, 0, 0]] {
        assert_refused(Open::decode(&[&FIXED[..], rest].concat()), 0, &[]);
    }
}

#[test]
fn parameter_that_overruns_is_refused() {
    assert_refused(open(FIXED, &[2, 9, 2, 0]), 0, &[]);
    assert_refused(open(FIXED, &[2]), 0, &[]);
}

#[test]
fn capability_that_overruns_is_refused() {
    assert_refused(open(FIXED, &[2, 2, 2, 9]), 0, &[]);
    assert_refused(open(FIXED, &[2, 1, 2]), 0, &[]);
}

/// RFC 9072 §2.
#[test]
fn extended_parameters_of_another_length_are_refused() {
    for rest in [
        &[255, 255, 0, 9, 2, 0, 0][..],
        &[255, 255, 0, 3, 2, 0],
        &[255, 255, 0],
    ] {
        assert_refused(Open::decode(&[&FIXED[..], rest].concat()), 0, &[]);
    }
}

/// RFC 5492 §3: unknown ones are ignored.
#[test]
fn unknown_capability_is_ignored() {
    assert_eq!(capability(200, &[1, 2, 3]), Ok(Capabilities::default()));
}

/// RFC 4760 §8: four octets.
#[test]
fn multiprotocol_of_another_length_is_refused() {
    for value in [&[0, 1, 0][..], &[0, 1, 0, 1, 0], &[]] {
        assert_refused(capability(1, value), 0, &[]);
    }
}

/// RFC 4760 §8: that they are said at all means that IPv4 is not there by itself.
#[test]
fn family_that_is_unknown_is_none() {
    let capabilities = capability(1, &[0, 25, 0, 65]).unwrap();
    assert_eq!(capabilities.families, Some(Families::NONE));
}

/// RFC 2918 §2, RFC 7313 §3.1, RFC 8654 §3: they have no value.
#[test]
fn capability_with_a_value_that_has_none_is_refused() {
    for code in [2, 6, 70] {
        assert!(capability(code, &[]).is_ok());
        assert_refused(capability(code, &[0]), 0, &[]);
    }
}

/// RFC 6793 §3.
#[test]
fn four_octet_asn_of_another_length_is_refused() {
    assert_refused(capability(65, &[0xfd, 0xe9]), 0, &[]);
    assert_refused(capability(65, &[0, 0, 0xfd, 0xe9, 0]), 0, &[]);
}

/// RFC 7607 §2; RFC 6793 §9: 23456 is nobody's number.
#[test]
fn four_octet_asn_of_nobody_is_refused() {
    assert_refused(capability(65, &[0, 0, 0, 0]), 2, &[]);
    assert_refused(capability(65, &[0, 0, 0x5b, 0xa0]), 2, &[]);
}

/// RFC 6793 §4.1: the short number is the long one or stands for it.
#[test]
fn asns_that_contradict_each_other_are_refused() {
    assert_refused(capability(65, &[0, 0, 0xfd, 0xea]), 2, &[]);
    assert_refused(capability(65, &[0, 1, 0x11, 0x70]), 2, &[]);
    let trans = [4, 0x5b, 0xa0, 0, 180, 10, 0, 0, 1];
    let large = open(trans, &[2, 6, 65, 4, 0, 1, 0x11, 0x70]).unwrap();
    assert_eq!(large.asn, 70_000);
}

/// RFC 4724 §3: two octets, and four for each family.
#[test]
fn graceful_restart_of_another_length_is_refused() {
    for value in [&[][..], &[0], &[0, 120, 0], &[0, 120, 0, 1, 1]] {
        assert_refused(capability(64, value), 0, &[]);
    }
}

/// RFC 4724 §3: unknown families are left out, and what is unused has no meaning.
#[test]
fn graceful_restart_of_unknown_families_is_read() {
    let capabilities = capability(64, &[0xb0, 120, 0, 25, 65, 0x80, 0, 1, 1, 0x80]).unwrap();
    let restart = capabilities.graceful_restart.unwrap();
    assert!(restart.restarted && !restart.notification);
    assert_eq!(restart.time, Duration::from_secs(120));
    assert_eq!(restart.families, [(Family::Ipv4, true)]);
}

/// RFC 4724 §3: the last one counts.
#[test]
fn repeated_graceful_restart_is_replaced() {
    let parameter = [2, 8, 64, 2, 0, 100, 64, 2, 0, 50];
    let restart = open(FIXED, &parameter)
        .unwrap()
        .capabilities
        .graceful_restart
        .unwrap();
    assert_eq!(restart.time, Duration::from_secs(50));
}

/// RFC 7911 §4: four octets for each family.
#[test]
fn add_path_of_another_length_is_refused() {
    assert_refused(capability(69, &[0, 1, 1]), 0, &[]);
    assert_refused(capability(69, &[0, 1, 1, 3, 0]), 0, &[]);
}

/// RFC 7911 §4: ignored.
#[test]
fn add_path_of_unknown_direction_is_ignored() {
    let capabilities = capability(69, &[0, 1, 1, 4, 0, 2, 1, 2]).unwrap();
    assert_eq!(capabilities.add_path_receive, Families::NONE);
    assert_eq!(capabilities.add_path_send, Families::NONE.with(Family::Ipv6));
}

/// RFC 8950 §4: six octets for each.
#[test]
fn extended_next_hop_of_another_length_is_refused() {
    assert_refused(capability(5, &[0, 1, 0, 1, 0]), 0, &[]);
    assert!(capability(5, &[0, 1, 0, 1, 0, 2]).unwrap().ipv6_next_hops);
    assert!(!capability(5, &[0, 1, 0, 2, 0, 2]).unwrap().ipv6_next_hops);
}

/// RFC 9234 §4.1: one octet.
#[test]
fn role_of_another_length_is_refused() {
    assert_refused(capability(9, &[]), 0, &[]);
    assert_refused(capability(9, &[3, 3]), 0, &[]);
}

/// RFC 9234 §4.2: those that are equal count once, others are a mismatch.
#[test]
fn roles_that_differ_are_a_mismatch() {
    let twice = |first, second| open(FIXED, &[2, 6, 9, 1, first, 9, 1, second]);
    assert_eq!(twice(3, 3).unwrap().capabilities.role, Some(Role::Customer));
    assert_refused(twice(3, 4), 11, &[]);
    assert_refused(twice(3, 200), 11, &[]);
}

/// RFC 9234 §4.2: it fits none of ours, which the session finds out if it has one.
#[test]
fn unknown_role_is_told() {
    let capabilities = capability(9, &[5]).unwrap();
    assert_eq!((capabilities.role, capabilities.unknown_role), (None, Some(5)));
}

/// A draft has no errors: what is malformed is ignored.
#[test]
fn malformed_fqdn_is_ignored() {
    for value in [
        &[][..],
        &[9, b'a'],
        &[1, 0xff, 0],
        &[0, 0],
        &[1, b'a', 9],
        &[1, 7, 0],
    ] {
        assert_eq!(capability(73, value).unwrap().host_name, None, "{value:?}");
    }
    let name = capability(73, b"\x04east\x07example").unwrap().host_name;
    assert_eq!(name.as_deref(), Some("east.example"));
}
