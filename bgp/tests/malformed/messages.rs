//! Fields of UPDATE, NOTIFICATION and ROUTE-REFRESH.

use bgp::wire::refresh::{Refresh, RefreshKind};

use super::sample::*;

/// RFC 4271 §6.3, RFC 7606 §3 b.
#[test]
fn withdrawn_length_beyond_the_message_resets() {
    assert_reset(&decode(EXTERNAL, &[0, 5, 8, 10, 0, 0]), 1, &[]);
}

/// RFC 4271 §6.3, RFC 7606 §3 b.
#[test]
fn attribute_length_beyond_the_message_resets() {
    assert_reset(&decode(EXTERNAL, &[0, 0, 0, 9, 0x40, 1, 1, 0]), 1, &[]);
}

#[test]
fn update_without_its_lengths_resets() {
    for body in [&[][..], &[0], &[0, 0], &[0, 0, 0]] {
        assert_reset(&decode(EXTERNAL, body), 1, &[]);
    }
}

/// RFC 7606 §5.3, RFC 4271 §6.3: nothing tells what is withdrawn.
#[test]
fn prefix_of_33_bits_resets() {
    let nlri = [33, 198, 51, 100, 0, 0];
    assert_reset(
        &decode(EXTERNAL, &body(&[], &[ORIGIN, AS_PATH, NEXT_HOP], &nlri)),
        10,
        &[],
    );
}

/// RFC 7606 §5.3.
#[test]
fn prefix_that_overruns_the_message_resets() {
    let nlri = [24, 198, 51];
    assert_reset(
        &decode(EXTERNAL, &body(&[], &[ORIGIN, AS_PATH, NEXT_HOP], &nlri)),
        10,
        &[],
    );
}

/// RFC 7606 §3 i: in the same manner.
#[test]
fn malformed_withdrawn_prefix_resets() {
    for withdrawn in [&[33, 1, 2, 3, 4, 5][..], &[24, 198]] {
        assert_reset(&decode(EXTERNAL, &body(withdrawn, &[], &[])), 10, &[]);
    }
}

/// RFC 7911 §3.
#[test]
fn cut_path_identifier_resets() {
    let several = Context {
        add_path: Families::ALL,
        ..EXTERNAL
    };
    let update = decode(several, &body(&[], &[ORIGIN, AS_PATH, NEXT_HOP], &[0, 0, 1]));
    assert_reset(&update, 10, &[]);
}

/// RFC 4271 §6.3: semantically wrong, so that prefix is ignored and the others count.
#[test]
fn multicast_and_loopback_prefixes_are_ignored() {
    let nlri = [&[4, 224, 8, 127, 32, 239, 1, 2, 3][..], PREFIX].concat();
    assert_sound(&decode(EXTERNAL, &body(&[], &[ORIGIN, AS_PATH, NEXT_HOP], &nlri)));
}

/// RFC 4271 §4.3: bits beyond the length have no meaning.
#[test]
fn host_bits_are_cleared() {
    let nlri = [20, 198, 51, 0xff];
    let update = decode(EXTERNAL, &body(&[], &[ORIGIN, AS_PATH, NEXT_HOP], &nlri));
    assert_eq!(prefixes(&update), ["198.51.240.0/20"]);
}

/// RFC 4271 §6.4: nothing is answered; the error only says what was wrong.
#[test]
fn notification_without_subcode_is_refused() {
    assert_eq!(Notification::decode(&[6]).unwrap_err().code, 1);
}

/// RFC 9003 §2: at most as long as the data, and UTF-8; the rest of the message counts.
#[test]
fn malformed_shutdown_communication_is_left_out() {
    for data in [&[][..], &[0], &[9, b'a'], &[2, 0xff, 0xfe], &[1, 7]] {
        let notification = Notification::new(6, 2, data.to_vec());
        assert_eq!(notification.communication(), None, "{data:?}");
        assert_eq!(notification.reason(), "administrative-shutdown");
    }
}

/// RFC 7313 §5: with the whole message.
#[test]
fn refresh_of_another_length_is_an_error() {
    for body in [&[0, 1, 0][..], &[0, 1, 1, 1, 0], &[0, 1, 2, 1, 9, 9]] {
        let refusal = Refresh::decode(body, true).unwrap_err();
        assert_eq!((refusal.code, refusal.subcode), (7, 1));
        assert_eq!(&refusal.data[19..], body);
    }
}

/// RFC 7313 §5, RFC 2918 §4.
#[test]
fn refresh_that_is_unknown_is_ignored() {
    assert_eq!(Refresh::decode(&[0, 1, 9, 1], true), Ok(None));
    assert_eq!(Refresh::decode(&[0, 9, 0, 1], true), Ok(None));
    assert_eq!(Refresh::decode(&[0, 1, 0, 2], true), Ok(None));
}

/// RFC 2918 §3: the octet is reserved where RFC 7313 was not agreed on.
#[test]
fn refresh_kind_is_ignored_where_it_was_not_agreed_on() {
    let request = Refresh {
        family: Family::Ipv6,
        kind: RefreshKind::Request,
    };
    for octet in [0, 1, 2, 77] {
        assert_eq!(Refresh::decode(&[0, 2, octet, 1], false), Ok(Some(request)));
    }
}
