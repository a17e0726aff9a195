//! More prefixes than a peer may send.

use system_tests::lab::wait;
use system_tests::peer::causeway::SOON;
use system_tests::peer::speaker::{connect, establish};

use crate::bgp::{FAR_ASN, Kind, Peers, apipa, ends, established, learnt, stands};

/// So many prefixes, none of which is the site's.
fn prefixes(count: u32) -> Vec<String> {
    (0..count)
        .map(|number| format!("100.{}.{}.0/24", 64 + number / 256, number % 256))
        .collect()
}

/// 4,000 prefixes pass. One more ends the session with Cease, Maximum Number of Prefixes Reached (RFC 4486); it stays
/// down, whoever tries, until it is cleared.
#[test]
fn one_prefix_too_many_ends_the_session_until_it_is_cleared() {
    for kind in [Kind::Bird, Kind::Frr] {
        let mut peers = Peers::up(kind, apipa(1));
        peers.far.speaker.announce(&prefixes(4000));
        wait::until("4,000 prefixes", SOON, || {
            let peer = peers.near.neighbour("peer")?;
            anyhow::ensure!(peer["prefixes"]["ipv4"]["accepted"] == 4000, "{peer}");
            Ok(())
        })
        .unwrap();
        learnt(&peers.sites.a.gateway, "100.79.159.0/24", "dev cw-");
        assert_eq!(peers.near.neighbour("peer").unwrap()["state"], "established");

        peers.far.speaker.announce(&prefixes(4001));
        let peer = stands(&peers.near, "peer", "idle");
        assert_eq!(peer["last_error"]["reason"], "prefix-limit", "{peer}");
        assert_eq!(peer["last_error"]["notification"], "6/1", "{peer}");
        assert_eq!(peer["held_down"], true, "{peer}");
        crate::bgp::forgotten(&peers.sites.a.gateway, "100.79.159.0/24");
        wait::until("the peer to have been told why", SOON, || {
            let session = peers.far.session()?;
            let told = match kind {
                Kind::Bird => session.words.contains("Maximum number of prefixes reached"),
                Kind::Frr => session.words.contains("Maximum Number of Prefixes Reached"),
            };
            anyhow::ensure!(told, "{session}");
            Ok(())
        })
        .unwrap();
        // Who tries again, as the peer does every two seconds, is refused.
        let [own, ours] = ends(apipa(1));
        for _ in 0..3 {
            let _inside = peers.sites.b.gateway.enter().unwrap();
            let refused =
                connect([own, ours], None).and_then(|mut stream| establish(&mut stream, own, FAR_ASN));
            assert!(refused.is_err(), "{kind:?}: a connection was taken");
        }
        assert_eq!(peers.near.neighbour("peer").unwrap()["state"], "idle");

        peers.far.speaker.announce(&["10.2.0.0/24".to_owned()]);
        peers.near.causeway(&["bgp", "clear", "peer"]).unwrap();
        established(&peers.near, "peer");
        learnt(&peers.sites.a.gateway, "10.2.0.0/24", "dev cw-");
        peers.carries();
    }
}
