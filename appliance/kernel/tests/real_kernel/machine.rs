//! Devices of the machine, their VLANs, addresses and default routes.

use appliance_kernel::{Address, Kernel, Link, LinkKind, Object, Removal, Request, Route, Scope, Target};

use super::{ip, isolated, name, run, settle, skip_unless, want};

fn device(link: &str, mtu: u32) -> Object {
    link_of(link, LinkKind::Device, mtu)
}

fn vlan(link: &str, parent: &str, id: u16) -> Object {
    let parent = name(parent);
    link_of(link, LinkKind::Vlan { parent, id }, 1400)
}

fn link_of(link: &str, kind: LinkKind, mtu: u32) -> Object {
    Link {
        name: name(link),
        kind,
        mtu,
        up: true,
        purpose: link.to_owned(),
    }
    .into()
}

fn address(link: &str, network: &str) -> Object {
    Address {
        link: name(link),
        network: network.parse().unwrap(),
    }
    .into()
}

fn default_route(link: &str, gateway: &str, on_link: bool) -> Object {
    let target = Target::Gateway {
        link: name(link),
        gateway: gateway.parse().unwrap(),
        on_link,
    };
    Route {
        prefix: "0.0.0.0/0".parse().unwrap(),
        metric: 400,
        target,
    }
    .into()
}

/// Whether the kernel has VLANs; says so if not, and fails where it must have.
fn has_vlan(test: &str) -> bool {
    ip("link add tried type veth peer name other");
    let (granted, said) = run("link add link tried name tried.1 type vlan id 1");
    ip("link delete tried");
    skip_unless(granted, test, &said)
}

fn cable() {
    ip("link add wan0 type veth peer name other");
    ip("link set other up");
}

/// A device gets its MTU, address and default route, is found again by the next daemon, and keeps all of it when that
/// one stops; released, it has none of it, and is still there.
#[test]
fn a_device_is_set_and_let_go() {
    isolated(|| async {
        cable();
        let objects = [
            default_route("wan0", "192.0.2.254", false),
            address("wan0", "192.0.2.1/24"),
            device("wan0", 1400),
        ];
        let (mut kernel, _) = Kernel::open().await.unwrap();
        kernel.apply(want(objects.clone())).await.unwrap();
        assert!(ip("route show default").contains("via 192.0.2.254 dev wan0 proto 67 metric 400"));
        assert!(ip("link show wan0").contains("mtu 1400"));
        let (mut kernel, _) = Kernel::open().await.unwrap();
        for object in &objects {
            assert!(kernel.present().any(|found| found == object), "{object:?}");
        }
        for removal in [Removal::ExceptLastResort, Removal::Everything] {
            kernel.apply([Request::Remove(removal)]).await.unwrap();
            assert!(ip("route show default").contains("192.0.2.254"), "{removal:?}");
        }
        let (mut kernel, _) = Kernel::open().await.unwrap();
        kernel.apply([Request::Release(Scope::Configured)]).await.unwrap();
        assert_eq!(kernel.present().count(), 0);
        assert_eq!(ip("-4 address show wan0"), "");
        assert!(!ip("link show wan0").contains("causeway"));
    });
}

/// Somebody's address that is wanted becomes ours where it stands; one that is not wanted goes once it is claimed.
#[test]
fn addresses_of_others_are_claimed() {
    isolated(|| async {
        cable();
        ip("address add 192.0.2.1/24 dev wan0");
        ip("address add 198.51.100.1/24 dev wan0");
        let (mut kernel, _) = Kernel::open().await.unwrap();
        let wanted = [device("wan0", 1500), address("wan0", "192.0.2.1/24")];
        kernel.apply(want(wanted)).await.unwrap();
        let strange: Vec<_> = kernel
            .foreign_addresses()
            .filter(|address| address.link == name("wan0") && address.network.addr().is_ipv4())
            .collect();
        assert_eq!(strange.len(), 1, "{strange:?}");
        kernel
            .apply(strange.into_iter().map(|one| Request::Claim(one.into())))
            .await
            .unwrap();
        let shown = ip("-4 address show wan0");
        assert!(
            shown.contains("192.0.2.1/24") && !shown.contains("198.51"),
            "{shown}"
        );
        assert_eq!(shown.matches("inet ").count(), 1, "{shown}");
    });
}

/// The new address is there before the old one goes, so that what is bound to neither notices; of one network, both.
#[test]
fn an_address_moves_without_a_gap() {
    isolated(|| async {
        cable();
        let (mut kernel, _) = Kernel::open().await.unwrap();
        let before = [
            device("wan0", 1500),
            address("wan0", "192.0.2.1/24"),
            default_route("wan0", "192.0.2.254", false),
        ];
        kernel.apply(want(before)).await.unwrap();
        appliance_kernel::sysctl::LinkSetting::PromoteSecondaries
            .write(&name("wan0"), 1)
            .unwrap();
        let change = [
            Request::Unwant(address("wan0", "192.0.2.1/24").key()),
            Request::Want(address("wan0", "192.0.2.9/24")),
        ];
        kernel.apply(change).await.unwrap();
        let shown = ip("-4 address show wan0");
        assert!(
            shown.contains("192.0.2.9/24") && !shown.contains("192.0.2.1/24"),
            "{shown}"
        );
        assert!(ip("route show default").contains("via 192.0.2.254"));
    });
}

/// A VLAN waits for its parent, is made when that is plugged in, and is gone when nobody wants it; one that is there
/// already, of the same parent and number, is taken over.
#[test]
fn a_vlan_follows_its_parent() {
    isolated(|| async {
        if !has_vlan("a_vlan_follows_its_parent") {
            return;
        }
        let (mut kernel, mut notices) = Kernel::open().await.unwrap();
        let objects = [
            vlan("a.20", "wan0", 20),
            address("a.20", "10.1.20.1/24"),
            device("wan0", 1400),
        ];
        kernel.apply(want(objects)).await.unwrap();
        assert_eq!(kernel.waiting().len(), 3);
        cable();
        settle(&mut kernel, &mut notices).await;
        assert!(ip("-4 -o address show").contains("a.20"));
        assert!(ip("-d link show a.20").contains("vlan protocol 802.1Q id 20"));
        let (mut kernel, _) = Kernel::open().await.unwrap();
        let known = kernel.devices();
        assert!(known[&name("a.20")].is_vlan && known[&name("a.20")].mac == known[&name("wan0")].mac);
        kernel.apply([Request::Release(Scope::Configured)]).await.unwrap();
        assert!(!run("link show a.20").0);
        ip("link add link wan0 name a.20 type vlan id 20");
        kernel
            .apply(want([device("wan0", 1400), vlan("a.20", "wan0", 20)]))
            .await
            .unwrap();
        assert!(ip("link show a.20").contains("alias causeway-vlan a.20"));
        let other = kernel.apply(want([vlan("wan0", "a.20", 21)])).await;
        assert!(other.is_err(), "a device is not replaced by a VLAN");
    });
}

/// A router may be outside of every network of ours, as it is with many a provider.
#[test]
fn a_router_may_be_off_the_network() {
    isolated(|| async {
        cable();
        let (mut kernel, _) = Kernel::open().await.unwrap();
        let objects = [
            device("wan0", 1500),
            address("wan0", "192.0.2.1/32"),
            default_route("wan0", "10.255.255.1", true),
        ];
        kernel.apply(want(objects)).await.unwrap();
        assert!(ip("route show default").contains("via 10.255.255.1 dev wan0"));
        let refusal = kernel
            .apply(want([default_route("wan0", "10.255.255.1", false)]))
            .await
            .unwrap_err();
        assert!(refusal.detail.contains("gateway"), "{refusal}");
    });
}
