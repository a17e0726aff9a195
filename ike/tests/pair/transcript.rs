//! What the log of a connection says: who said what, message by message, and nothing that keys are made of.

use std::time::Duration;

use ike::{Authentication, Connection, DropCause, Input, LogLine};

use crate::hostile::start;
use crate::{Pair, Site, name, version1};

/// A line as a reader has it.
fn words(line: &LogLine) -> String {
    let LogLine {
        exchange,
        message,
        says,
        repeat,
        dropped,
        ..
    } = line;
    let side = line.side.word();
    let again = if *repeat > 0 {
        format!(" (again, {repeat})")
    } else {
        String::new()
    };
    let dropped = dropped.map(|cause| format!(" dropped: {}", cause.word()));
    let dropped = dropped.unwrap_or_default();
    format!("{side}: {exchange} {message}{again}: {says}{dropped}")
}

/// What a side wrote since it was asked last.
fn written(site: &mut Site) -> Vec<String> {
    std::mem::take(&mut site.log).iter().map(words).collect()
}

fn assert_said(lines: &[String], expected: &[String]) {
    let all = lines.join("\n");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(
            line.starts_with(expected.as_str()),
            "{expected:?} expected in\n{all}"
        );
    }
    assert_eq!(lines.len(), expected.len(), "{all}");
}

#[test]
fn both_sides_have_every_message_of_a_new_connection() {
    let mut pair = Pair::established();
    let (init, auth) = (
        "SA AES_GCM_16_128/PRF_HMAC_SHA2_256/X25519; KE X25519",
        "AUTH by pre-shared key",
    );
    let (east, west) = (written(&mut pair.east), written(&mut pair.west));
    let said = |first: &str, second: &str| {
        [
            format!("{first}: IKE_SA_INIT request 0: {init}"),
            format!("{second}: IKE_SA_INIT response 0: {init}"),
            format!("{first}: IKE_AUTH request 1: IDi 192.0.2.1; INITIAL_CONTACT; IDr 192.0.2.2; {auth}"),
            format!("{second}: IKE_AUTH response 1: IDr 192.0.2.2; {auth}"),
        ]
    };
    assert_said(&east, &said("we", "peer"));
    assert_said(&west, &said("peer", "we"));
}

#[test]
fn a_rekey_is_named_and_what_is_sent_again_is_counted() {
    let mut pair = Pair::established();
    written(&mut pair.east);
    pair.network.cut = true;
    pair.tell_east(Input::RekeyChild(name("to-west")));
    pair.run_for(Duration::from_secs(2));
    let lines = written(&mut pair.east);
    let request = "we: CREATE_CHILD_SA request 2";
    let again = |times| format!("{request} (again, {times})");
    assert!(
        lines[0].starts_with(&format!("{request}: rekey of the Child SA ")),
        "{lines:#?}"
    );
    assert_said(&lines[1..], &[again(1), again(2)]);
}

#[test]
fn both_sides_have_every_message_of_ikev1() {
    let mut pair = version1::established();
    let said = |first: &str, second: &str| {
        let message = |number, said: &str| {
            let side = if number % 2 == 1 { first } else { second };
            format!("{side}: main mode message {number}: {said}")
        };
        let offer = "SA AES_CBC_256/PRF_HMAC_SHA2_256/ECP_256";
        let quick = |side: &str, number, said: &str| format!("{side}: quick mode message {number}: {said}");
        let child = "SA AES_GCM_16_128";
        vec![
            message(1, offer),
            message(2, offer),
            message(3, ""),
            message(4, ""),
            message(5, "ID 192.0.2.1"),
            message(6, "ID 192.0.2.2"),
            quick(first, 1, child),
            quick(second, 2, child),
            quick(first, 3, ""),
        ]
    };
    assert_said(&written(&mut pair.east), &said("we", "peer"));
    assert_said(&written(&mut pair.west), &said("peer", "we"));
}

/// Who is refused is in the log of whom they claim to be, with what they offered.
#[test]
fn a_refused_start_is_in_both_logs() {
    let mut pair = Pair::with(|east, _| {
        east.authentication = Authentication::pre_shared_key(b"another secret".to_vec().into());
    });
    pair.run_for(Duration::from_millis(900));
    let (east, west) = (written(&mut pair.east), written(&mut pair.west));
    let refusal = "peer: IKE_AUTH response 1: AUTHENTICATION_FAILED".to_owned();
    assert!(east.contains(&refusal), "{east:#?}");
    let proof = |line: &String| line.starts_with("peer: IKE_AUTH request 1: IDi 192.0.2.1; ");
    let offer = "peer: IKE_SA_INIT request 0: SA AES_GCM_16_128/PRF_HMAC_SHA2_256/X25519; KE X25519";
    assert!(
        west.iter().any(proof) && west.iter().any(|line| line.starts_with(offer)),
        "{west:#?}"
    );
}

/// Whatever is sent in the name of the peer, a second has one line of it, and what nobody is configured for has none.
#[test]
fn forgeries_fill_no_log() {
    let mut pair = Pair::established();
    written(&mut pair.west);
    let genuine = pair.network.history.back().unwrap().bytes.clone();
    let local = "192.0.2.2:500".parse().unwrap();
    let hear = |pair: &mut Pair, remote: &str, bytes: &[u8]| {
        let (remote, bytes) = (remote.parse().unwrap(), bytes.to_vec());
        pair.tell_west(Input::Datagram { local, remote, bytes });
        pair.network.seize();
    };
    let mut forged = genuine;
    // A request of the side that began, with an id to come, and not sealed by it.
    (forged[19], forged[23]) = (0x08, 2);
    for _ in 0..500 {
        hear(&mut pair, "192.0.2.1:500", &forged);
    }
    let lines = written(&mut pair.west);
    assert_eq!(
        lines,
        ["peer: IKE_AUTH request 2:  dropped: integrity-failed"],
        "of {} dropped",
        pair.west.drops(DropCause::IntegrityFailed)
    );
    for spi in 1..=500 {
        let bytes = start(&pair, spi);
        hear(&mut pair, "198.51.100.7:500", &bytes);
    }
    assert_eq!(written(&mut pair.west), Vec::<String>::new());
    pair.run_for(Duration::from_secs(2));
    written(&mut pair.west);
    hear(&mut pair, "192.0.2.1:500", &forged);
    assert_eq!(written(&mut pair.west).len(), 1);
}

/// Neither the secret of both nor a run of digits that is longer than an SPI: keys, nonces, public values and proofs are.
#[test]
fn nothing_that_keys_are_made_of_is_in_a_line() {
    type Change = fn(&mut Connection, &mut Connection);
    let changes: [Change; 4] = [
        |_, _| (),
        |east, _| east.authentication = Authentication::pre_shared_key(b"another secret".to_vec().into()),
        |east, west| {
            *east = version1::version_1(east.clone());
            *west = version1::version_1(west.clone());
        },
        |east, west| {
            *east = version1::version_1(east.clone());
            *west = version1::version_1(west.clone());
            east.authentication = Authentication::pre_shared_key(b"another secret".to_vec().into());
        },
    ];
    for change in changes {
        let mut pair = Pair::with(change);
        pair.run_for(Duration::from_secs(40));
        pair.tell_east(Input::RekeyChild(name("to-west")));
        pair.run_for(Duration::from_secs(2));
        let lines = [written(&mut pair.east), written(&mut pair.west)].concat();
        assert!(lines.len() > 10, "{lines:#?}");
        for line in lines {
            let digits = line.split(|character: char| !character.is_ascii_hexdigit());
            let longest = digits.map(str::len).max().unwrap_or_default();
            assert!(
                longest <= 8 && !line.contains("secret") && !line.contains('['),
                "{line}"
            );
        }
    }
}
