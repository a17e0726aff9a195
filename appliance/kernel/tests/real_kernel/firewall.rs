//! The machine closed by the real `nft`: on any kernel.

use std::collections::BTreeMap;
use std::net::UdpSocket;

use appliance_kernel::{DROPS, Firewall, Key, Openings, Removal, Request, Scope};

use crate::*;

/// Links `wan` with 192.0.2.1/24 and a default route, and `lan` with 10.1.0.1/24.
fn machine() {
    for (link, network) in [("wan", "192.0.2.1/24"), ("lan", "10.1.0.1/24")] {
        ip(&format!("link add {link} type veth peer name {link}-far"));
        ip(&format!("link set {link}-far up"));
        ip(&format!("link set {link} up"));
        ip(&format!("address add {network} dev {link}"));
    }
    ip("route add default via 192.0.2.254");
    ip("neigh add 192.0.2.254 lladdr 02:00:00:00:00:01 dev wan");
}

fn openings() -> Openings {
    Openings {
        outside: [name("wan")].into(),
        inside: [name("lan")].into(),
        api: [8443].into(),
        near: vec!["10.7.0.0/24".parse().unwrap()],
        own: vec!["10.1.0.0/24".parse().unwrap()],
        speakers: ["169.254.21.1", "fd00::1"].map(ip_of).into(),
        ..Openings::default()
    }
}

async fn dropped(kernel: &mut Kernel) -> BTreeMap<String, u64> {
    let dropped = kernel.dropped().await.unwrap().into_iter();
    dropped
        .map(|(reason, counted)| (reason, counted.packets))
        .collect()
}

/// Whether one datagram from this port may leave.
fn leaves(from: u16, to: &str) -> bool {
    let socket = UdpSocket::bind(("0.0.0.0", from)).unwrap();
    socket.send_to(b"?", to).is_ok()
}

/// Nothing of ours leaves to private addresses by the outside but what carries tunnels, unless they are near; what was dropped
/// is counted by reason, and goes on to be counted when other things are open.
#[test]
fn what_leaks_is_dropped_and_counted() {
    isolated(|| async {
        machine();
        let (mut kernel, _notices) = Kernel::open().await.unwrap();
        assert!(leaves(0, "10.9.9.9:9"), "the lab lets nothing out");
        let firewall = Firewall::with(openings());
        kernel.apply(want([firewall.into()])).await.unwrap();
        for (from, to, passes) in [
            (0, "10.9.9.9:9", false),
            (0, "192.168.1.1:9", false),
            (0, "10.7.0.1:9", true),
            (0, "198.51.100.1:9", true),
            (500, "10.9.9.9:500", true),
        ] {
            assert_eq!(leaves(from, to), passes, "{to}");
        }
        let counted = dropped(&mut kernel).await;
        assert_eq!(counted.len(), DROPS.len(), "{counted:?}");
        assert_eq!(counted["leak"], 2, "{counted:?}");
        let other = Firewall::with(Openings {
            api_sources: vec!["10.0.0.0/8".parse().unwrap(), "10.1.0.0/16".parse().unwrap()],
            ..openings()
        });
        kernel.apply(want([other.into()])).await.unwrap();
        assert_eq!(dropped(&mut kernel).await["leak"], 2);
    });
}

/// The next daemon knows the table again and writes nothing; whoever removes it finds it there again; it stays when the daemon
/// stops, and goes when all of ours goes.
#[test]
fn it_stays_until_all_of_ours_goes() {
    isolated(|| async {
        machine();
        let wanted = Firewall::with(openings());
        let (mut kernel, _) = Kernel::open().await.unwrap();
        kernel.apply(want([wanted.clone().into()])).await.unwrap();
        let (mut kernel, _) = Kernel::open().await.unwrap();
        assert_eq!(kernel.firewall(), Some(&wanted));
        kernel.apply(want([wanted.clone().into()])).await.unwrap();
        kernel.apply([Request::Release(Scope::Configured)]).await.unwrap();
        let done = Command::new("nft").args(["flush", "ruleset"]).status().unwrap();
        assert!(done.success());
        let events = kernel.audit().await.unwrap();
        assert!(events.contains(&Event::Missing(Key::Firewall)), "{events:?}");
        assert_eq!(dropped(&mut kernel).await.len(), DROPS.len());
        let remove = |removal| [Request::Remove(removal)];
        kernel.apply(remove(Removal::ExceptLastResort)).await.unwrap();
        assert_eq!(kernel.firewall(), Some(&wanted));
        kernel.apply(remove(Removal::Everything)).await.unwrap();
        assert_eq!(kernel.firewall(), None);
        assert!(leaves(0, "10.9.9.9:9"));
    });
}
