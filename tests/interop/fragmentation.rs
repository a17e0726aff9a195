//! IKE messages that are too long for one packet (RFC 7383).

use system_tests::lab::run::Run;
use system_tests::lab::sites::Sites;

use crate::pair::{First, Kind, Pair, tunnels};

/// The shortest packets that a document may ask for.
const SIZE: u16 = 576;

/// A distinguished name so long that no message with it fits into one packet. Its parts are alike, for strongSwan writes
/// them in the other order.
fn long_name(letter: &str) -> String {
    let part = format!("OU={}", letter.repeat(64));
    [part.as_str(); 6].join(", ")
}

/// IKE_AUTH of both sides comes in fragments, and no packet is longer than it should be.
#[test]
fn long_messages_come_in_fragments() {
    for (kind, first) in [
        (Kind::StrongSwan, First::Near),
        (Kind::StrongSwan, First::Far),
        (Kind::Causeway, First::Near),
    ] {
        let run = Run::new().unwrap();
        let sites = Sites::new(&run).unwrap();
        let (mut near, mut far) = tunnels(&sites);
        let (a, b) = (long_name("a"), long_name("b"));
        (near.local_id, near.remote_id) = (a.clone(), b.clone());
        (far.local_id, far.remote_id) = (b, a);
        for tunnel in [&mut near, &mut far] {
            tunnel.fragment_size = Some(SIZE);
        }
        let pair = Pair::start(run, sites, (near, far), (kind, first));
        let status = pair.wait();
        let extensions = status["ike"]["extensions"].as_array().expect("a list");
        assert!(extensions.iter().any(|word| word == "fragmentation"), "{status}");
        pair.carries();
        let seen = pair.only_esp();
        assert!(
            seen.ike_fragments >= 4 && seen.longest_ike <= usize::from(SIZE),
            "{seen:?}"
        );
    }
}
