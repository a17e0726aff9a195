//! What two engines agree on, and why they do not.

use ike::{ConnectionState, Encapsulation, Event};

use crate::{Pair, name};

/// Two exchanges, and both datapaths carry the same child.
#[test]
fn a_connection_comes_up() {
    let pair = Pair::established();
    assert_eq!(pair.network.history.len(), 4);
    let standing = pair.west.standing();
    let ike = standing.ike.unwrap();
    assert_eq!((standing.state, standing.outage), (ConnectionState::Up, None));
    assert_eq!(ike.algorithms, "AES_GCM_16_128/PRF_HMAC_SHA2_256/X25519");
    assert_eq!(standing.children[0].algorithms, "AES_GCM_16_128/ESN");
    assert_eq!(pair.east.child().encapsulation, Encapsulation::None);
    assert_eq!(pair.west.events, [Event::Up(name("to-east"))]);
}
