//! Going to another gateway where the peer says so (RFC 5685).

use std::net::IpAddr;
use std::time::Duration;

use ike::wire::registry::notify;
use ike::wire::{Header, Message, NotifyPayload, Payload};
use ike::{Connection, Input, Reason};

use crate::{Pair, connection};

const EAST: &str = "192.0.2.1";
const WEST: &str = "192.0.2.2";
const ELSEWHERE: &str = "198.51.100.2";

/// West is two gateways with one identity; east knows one of them, and goes to the other if it `may`.
fn pair(may: bool) -> Pair {
    let mut pair = Pair::new();
    let other: IpAddr = ELSEWHERE.parse().unwrap();
    pair.west.others = vec![other];
    let (mut east, west) = (connection(EAST, WEST), connection(WEST, EAST));
    east.allow_redirect = may;
    let elsewhere = Connection {
        local_identity: west.local_identity.clone(),
        mode: ike::Mode::ResponderOnly,
        ..connection(ELSEWHERE, EAST)
    };
    let west = Connection {
        mode: ike::Mode::ResponderOnly,
        ..west
    };
    pair.configure_west([("here", west), ("elsewhere", elsewhere)]);
    pair.configure_east([("to-west", east)]);
    pair
}

/// An IKE_SA_INIT request of east.
struct First {
    header: Header,
    payloads: Vec<Payload>,
    to: IpAddr,
}

/// What east sent last.
fn last(pair: &Pair) -> First {
    let sent = pair.network.history.back().unwrap();
    let message = Message::decode(&sent.bytes).unwrap();
    First {
        header: message.header,
        payloads: message.payloads,
        to: sent.destination.ip(),
    }
}

/// East's first message, which does not arrive.
fn lost(pair: &mut Pair) -> First {
    pair.network.seize();
    last(pair)
}

fn announced(payloads: &[Payload], kind: u16) -> Option<Vec<u8>> {
    payloads.iter().find_map(|payload| match payload {
        Payload::Notify(notify) if notify.kind == kind => Some(notify.data.clone()),
        _ => None,
    })
}

/// The gateway at `from` names another; `alter` alters the nonce that it repeats.
fn redirect(pair: &mut Pair, first: &First, alter: impl Fn(&mut Vec<u8>)) {
    let (there, to) = if first.to.to_string() == WEST {
        (WEST, [198, 51, 100, 2])
    } else {
        (ELSEWHERE, [192, 0, 2, 2])
    };
    let nonce = first.payloads.iter().find_map(|payload| match payload {
        Payload::Nonce(nonce) => Some(nonce.data.clone()),
        _ => None,
    });
    let mut nonce = nonce.unwrap();
    alter(&mut nonce);
    let data = [&[1, 4], to.as_slice(), &nonce].concat();
    let header = Header {
        flags: Header::RESPONSE,
        ..first.header
    };
    let payloads = vec![Payload::Notify(NotifyPayload::new(notify::REDIRECT, data))];
    let bytes = Message { header, payloads }.encode();
    let [local, remote] = [EAST, there].map(|address| format!("{address}:500").parse().unwrap());
    pair.tell_east(Input::Datagram { local, remote, bytes });
}

#[test]
fn a_peer_that_may_sends_us_to_another_gateway() {
    let mut pair = pair(true);
    let first = lost(&mut pair);
    assert!(announced(&first.payloads, notify::REDIRECT_SUPPORTED).is_some());
    redirect(&mut pair, &first, |_| ());
    assert_eq!(
        announced(&last(&pair).payloads, notify::REDIRECTED_FROM),
        Some(vec![1, 4, 192, 0, 2, 2])
    );
    pair.run_for(Duration::from_secs(5));
    assert!(pair.east.is_up(), "{:?}", pair.east.standing());
    assert_eq!(pair.east.child().remote.ip().to_string(), ELSEWHERE);
}

/// Without leave it is told, and the attempt goes on where it was.
#[test]
fn nobody_goes_elsewhere_unasked() {
    let mut pair = pair(false);
    let first = lost(&mut pair);
    assert!(announced(&first.payloads, notify::REDIRECT_SUPPORTED).is_none());
    redirect(&mut pair, &first, |_| ());
    assert_eq!(pair.east.outage().reason, Reason::Redirected);
    pair.run_for(Duration::from_secs(5));
    assert_eq!(pair.east.child().remote.ip().to_string(), WEST);
}

/// Who did not see our message cannot repeat its nonce.
#[test]
fn a_forged_redirect_is_not_followed() {
    let mut pair = pair(true);
    let first = lost(&mut pair);
    redirect(&mut pair, &first, |nonce| nonce[0] ^= 1);
    pair.run_for(Duration::from_secs(5));
    assert_eq!(pair.east.child().remote.ip().to_string(), WEST);
}

/// If nobody is there, the next attempt goes where the configuration says.
#[test]
fn a_redirect_into_nowhere_is_forgotten() {
    let mut pair = pair(true);
    pair.network.dead = [ELSEWHERE.parse().unwrap()].into();
    let first = lost(&mut pair);
    redirect(&mut pair, &first, |_| ());
    pair.run_for(Duration::from_secs(30));
    assert_eq!(pair.east.child().remote.ip().to_string(), WEST);
}

/// Two gateways that send us to each other end it after five times in five minutes.
#[test]
fn a_loop_ends() {
    let mut pair = pair(true);
    pair.network.cut = true;
    let mut followed = 0;

    for _ in 0..8 {
        let before = pair.network.history.len();
        let first = last(&pair);
        redirect(&mut pair, &first, |_| ());
        if pair.network.history.len() == before {
            break;
        }
        followed += 1;
    }
    assert_eq!(followed, 5);
}
