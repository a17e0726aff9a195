//! Bytes from the outer link that are no message, or a forged one.

use std::net::UdpSocket;
use std::time::Duration;

use system_tests::lab::traffic::Ping;
use system_tests::lab::wait;
use system_tests::peer::causeway::SOON;

use crate::pair::{First, Kind, Pair};

/// An IKE header with a body of zeros.
fn message(version: u8, exchange: u8, claimed: u32, body: usize) -> Vec<u8> {
    let mut bytes = vec![0xee; 16];
    bytes.extend([46, version, exchange, 0x08, 0, 0, 0, 1]);
    bytes.extend(claimed.to_be_bytes());
    bytes.extend(vec![0; body]);
    bytes
}

/// A header without responder SPI, whose first payload claims more than there is.
fn overlong_payload() -> Vec<u8> {
    let mut bytes = vec![0xee; 8];
    bytes.extend([0; 8]);
    bytes.extend([33, 0x20, 34, 0x08, 0, 0, 0, 0, 0, 0, 0, 36]);
    bytes.extend([0, 0, 0xff, 0xff, 0, 0, 0, 0]);
    bytes
}

#[test]
fn garbage_is_counted_by_cause_and_disturbs_nothing() {
    let pair = Pair::up(Kind::Causeway, First::Near);
    let before = pair.near.connection("peer").unwrap();
    let ping = Ping::start(
        &pair.sites.a.host,
        pair.sites.b.host_address,
        Duration::from_millis(20),
    )
    .unwrap();
    let socket = {
        let _inside = pair.sites.b.gateway.enter().unwrap();
        UdpSocket::bind(("192.0.2.2", 0)).unwrap()
    };
    let garbage = [
        vec![0x2a; 10],
        message(0x20, 37, 4000, 20),
        message(0x30, 37, 48, 20),
        message(0x20, 37, 80, 52),
        overlong_payload(),
        vec![0; 28],
    ];
    for datagram in &garbage {
        for _ in 0..10 {
            socket.send_to(datagram, ("192.0.2.1", 500)).unwrap();
            let marked: Vec<u8> = [0; 4].into_iter().chain(datagram.iter().copied()).collect();
            socket.send_to(&marked, ("192.0.2.1", 4500)).unwrap();
            socket.send_to(&[0xff; 3], ("192.0.2.1", 4500)).unwrap();
            socket.send_to(&[0x77; 60], ("192.0.2.1", 4500)).unwrap();
        }
    }
    wait::until("the garbage to be counted", SOON, || {
        let drops = pair.near.status()?["drops"].clone();
        for (cause, least) in [
            ("malformed", 20),
            ("unsupported-version", 20),
            ("unknown-spi", 20),
        ] {
            anyhow::ensure!(drops[cause].as_u64() >= Some(least), "{cause}: {drops}");
        }
        Ok(())
    })
    .unwrap();
    ping.wait_for(20, SOON).unwrap();
    let answers = ping.finish();
    assert_eq!(answers.lost, 0, "{answers:?}");
    let after = pair.near.connection("peer").unwrap();
    assert_eq!(
        after["children"][0]["inbound_spi"],
        before["children"][0]["inbound_spi"]
    );
    assert_eq!(pair.near.status().unwrap()["half_open"], 0);
    pair.carries();
}
