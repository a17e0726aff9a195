//! First messages by the hundred thousand, from addresses that are not their senders'.

use std::net::SocketAddr;
use std::time::Duration;

use ike::{DropCause, Input, Limits};

use crate::hostile::start;
use crate::{Pair, connection};

const STARTS: u64 = 100_000;

/// Half of them bear the address of the peer, half one that nobody knows. The tunnel stays; what they leave is bounded;
/// the peer starts anew in the middle of it and gets in by its cookie.
#[test]
fn a_hundred_thousand_starts_harm_nobody() {
    let mut pair = Pair::established();
    let template = start(&pair, 0x0123_4567_89ab_cdef);
    let marked = |window: &[u8]| *window == 0x0123_4567_89ab_cdef_u64.to_be_bytes();
    let places: Vec<_> = template
        .windows(8)
        .enumerate()
        .filter(|(_, window)| marked(window))
        .collect();
    let [(0, _), (nonce, _)] = places[..] else {
        panic!("an SPI and a nonce bear the mark")
    };
    let local: SocketAddr = "192.0.2.2:500".parse().unwrap();
    let first = pair.west.child().inbound.spi;
    for spi in 1..=STARTS {
        let mut bytes = template.clone();
        bytes[..8].copy_from_slice(&spi.to_be_bytes());
        bytes[nonce..nonce + 8].copy_from_slice(&spi.to_be_bytes());
        let port = 1024 + (spi % 60_000) as u16;
        let remote = if spi % 2 == 0 {
            SocketAddr::new(pair.east.address, port)
        } else {
            SocketAddr::from(([198, 18, (spi >> 8) as u8, spi as u8], port))
        };
        pair.west.events.clear();
        pair.tell_west(Input::Datagram { local, remote, bytes });
        if spi % 100 == 0 {
            // Cookies and refusals go to addresses where nobody is.
            let to_east = |packet: &crate::network::Packet| packet.destination.port() == 500;
            let kept: Vec<_> = pair.network.seize().into_iter().filter(to_east).collect();
            kept.into_iter()
                .for_each(|packet| pair.network.send(packet, pair.now));
            pair.network.history.truncate(8);
            pair.run_for(Duration::from_millis(60));
            assert!(pair.west.snapshot().half_open <= Limits::default().cookie_threshold);
            pair.assert_up();
        }
        if spi == STARTS / 2 {
            assert_eq!(pair.west.child().inbound.spi, first, "the tunnel was not touched");
            pair.east.restart();
            pair.configure_east([("to-west", connection("192.0.2.1", "192.0.2.2"))]);
            for _ in 0..3 {
                pair.run_for(Duration::from_millis(15));
            }
            pair.run_for(Duration::from_millis(100));
            assert_ne!(pair.west.child().inbound.spi, first, "the newcomer is in");
        }
    }
    assert_eq!(pair.west.drops(DropCause::NoConnection), STARTS / 2);
    assert!(pair.west.drops(DropCause::Cookie) > STARTS / 2 - 1000);
    pair.run_for(Duration::from_secs(31));
    assert_eq!(pair.west.snapshot().half_open, 0);
    pair.assert_up();
}
