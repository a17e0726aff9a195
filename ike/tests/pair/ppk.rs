//! Post-quantum preshared keys (RFC 8784).

use std::time::Duration;

use ike::{Extension, Input, PostQuantumPresharedKey, Reason, Side};
use secrecy::ExposeSecret;

use crate::network::Network;
use crate::{Pair, name};

type Ppk = Option<PostQuantumPresharedKey>;

pub(crate) fn ppk(id: &str, secret: &str, required: bool) -> Ppk {
    Some(PostQuantumPresharedKey {
        id: id.into(),
        secret: secret.as_bytes().to_vec().into(),
        required,
    })
}

fn with(ours: &Ppk, theirs: &Ppk) -> Pair {
    let mut pair = Pair::with(|east, west| {
        east.ppk.clone_from(ours);
        west.ppk.clone_from(theirs);
    });
    pair.run_until_quiet();
    pair
}

fn uses(pair: &Pair) -> [bool; 2] {
    [&pair.east, &pair.west].map(|site| {
        let extensions = site.standing().ike.unwrap().extensions;
        extensions.contains(&Extension::PostQuantumPresharedKey)
    })
}

/// The tables of RFC 8784 §3: used if both have it, left out if neither insists.
#[test]
fn it_is_used_where_both_have_it_and_left_out_where_neither_insists() {
    let (optional, required) = (ppk("a", "one", false), ppk("a", "one", true));
    let other = ppk("b", "two", false);
    for (ours, theirs, used) in [
        (&None, &None, false),
        (&None, &optional, false),
        (&optional, &None, false),
        (&optional, &other, false),
        (&optional, &optional, true),
        (&optional, &required, true),
        (&required, &optional, true),
        (&required, &required, true),
    ] {
        let mut pair = with(ours, theirs);
        pair.assert_up();
        assert_eq!(uses(&pair), [used; 2], "{ours:?} {theirs:?}");
        for rekey in [
            Input::RekeyChild(name("to-west")),
            Input::RekeyIke(name("to-west")),
        ] {
            pair.tell_east(rekey);
            pair.run_until_quiet();
            pair.assert_kept();
        }
        assert_eq!(uses(&pair), [used; 2], "after both rekeys");
    }
}

#[test]
fn without_what_one_side_insists_on_there_is_no_tunnel() {
    let (optional, required) = (ppk("a", "one", false), ppk("a", "one", true));
    let (other, insisted) = (ppk("b", "two", false), ppk("b", "two", true));
    for (ours, theirs) in [
        (&required, &None),
        (&None, &required),
        (&required, &other),
        (&optional, &insisted),
        (&required, &insisted),
        (&optional, &ppk("a", "two", false)),
    ] {
        let mut pair = with(ours, theirs);
        pair.run_for(Duration::from_secs(20));
        assert!(!pair.east.is_up() && !pair.west.is_up(), "{ours:?} {theirs:?}");
        let outage = pair.east.outage();
        assert_eq!(outage.reason, Reason::AuthenticationFailed, "{ours:?} {theirs:?}");
        let (words, side) = (outage.expected, outage.side);
        assert_eq!(words == "PPK a", side == Side::We, "{ours:?} {theirs:?}: {words}");
        assert!(pair.east.datapath.is_empty() && pair.west.datapath.is_empty());
    }
}

/// The keys of the traffic depend on it, and nothing else does that is seen on the way.
#[test]
fn it_goes_into_the_keys_of_the_traffic() {
    let keys = |secret: &Ppk| {
        let pair = with(secret, secret);
        pair.assert_up();
        pair.east
            .child()
            .outbound
            .keys
            .encryption_key
            .expose_secret()
            .to_vec()
    };
    let (none, one, two) = (
        keys(&None),
        keys(&ppk("a", "one", true)),
        keys(&ppk("a", "two", true)),
    );
    assert!(none != one && one != two && none != two);
}

#[test]
fn a_bad_network_delays_but_does_not_confuse() {
    let key = ppk("a", "one", false);
    for seed in 0..30 {
        let mut pair = Pair::with(|east, west| {
            (east.ppk, west.ppk) = (key.clone(), key.clone());
        });
        pair.network = Network::bad(seed);
        pair.run_for(Duration::from_secs(60));
        pair.network = Network::new(seed);
        pair.run_for(Duration::from_secs(120));
        pair.assert_up();
        assert_eq!(uses(&pair), [true; 2]);
    }
}
