use serde_json::{Value, json};

use super::sample::{check, machine, sample, with, without};
use crate::{Approach, CallerImpact, Impact, impact};

/// Who comes from where: remote, local, interface, user.
type Caller = (
    &'static str,
    &'static str,
    Option<&'static str>,
    Option<&'static str>,
);

const NEIGHBOUR: Caller = ("10.1.0.7", "10.1.0.1:8443", None, Some("alice"));
const ON_VLAN: Caller = ("10.1.20.7", "10.1.20.1:8443", None, None);
const FROM_FAR: Caller = ("203.0.113.7", "192.0.2.1:8443", Some("wan0"), None);
const FROM_SITE: Caller = ("10.2.0.7", "10.1.0.1:8443", Some("lan0"), None);

const CALLERS: &[(&str, Caller)] = &[
    ("neighbour", NEIGHBOUR),
    ("on-vlan", ON_VLAN),
    ("from-far", FROM_FAR),
    ("from-site", FROM_SITE),
];

fn between(old: &Value, new: &Value, caller: Option<Caller>) -> Impact {
    let approach = caller.map(|(remote, local, interface, user)| Approach {
        remote: remote.parse().unwrap(),
        local: local.parse().unwrap(),
        interface: interface.map(str::to_owned),
        user: user.map(str::to_owned),
    });
    impact(&check(old).unwrap(), &check(new).unwrap(), approach.as_ref())
}

/// The machine, managed from wherever the caller is.
fn open() -> Value {
    let anywhere = json!(["0.0.0.0/0", "::/0"]);
    let document = with(machine(), "/system/management/allow_from", anywhere);
    with(document, "/users/bob", json!({ "role": "admin" }))
}

fn told(old: &Value, new: &Value, caller: Caller) -> CallerImpact {
    let told = between(old, new, Some(caller)).caller.unwrap();
    assert!(!told.why.is_empty() && !told.why.contains('\n'), "{told:?}");
    told
}

#[test]
fn interfaces_are_told_by_what_becomes_of_their_addresses() {
    let readdressed = |pointer: &str, value: Value| {
        let impact = between(&machine(), &with(machine(), pointer, value), None);
        assert!(impact.interfaces.added.is_empty() && impact.interfaces.removed.is_empty());
        impact.interfaces.readdressed
    };
    let none = [""; 0];
    assert_eq!(
        readdressed("/interfaces/lan0/ipv4/addresses/0", json!("10.1.0.2/24")),
        ["lan0"]
    );
    assert_eq!(
        readdressed("/interfaces/lan0/ipv4/addresses/0", json!("10.1.0.1/25")),
        ["lan0"]
    );
    assert_eq!(
        readdressed("/interfaces/lan0/ipv6", json!({ "method": "auto" })),
        ["lan0"]
    );
    assert_eq!(
        readdressed("/interfaces/wan0/match/mac", json!("52:54:00:00:00:02")),
        ["wan0"]
    );
    assert_eq!(readdressed("/interfaces/lan0.20/vlan/id", json!(21)), ["lan0.20"]);
    assert_eq!(
        readdressed("/interfaces/lan0/match", json!({ "name": "eth1" })),
        ["lan0", "lan0.20"]
    );
    assert_eq!(readdressed("/interfaces/lan0/role", json!("management")), none);
    assert_eq!(readdressed("/interfaces/lan0/mtu", json!(9100)), none);
    assert_eq!(
        readdressed("/interfaces/wan0/ipv4/gateway", json!("192.0.2.61")),
        none
    );
    let two = with(
        machine(),
        "/interfaces/lan0/ipv4/addresses",
        json!(["10.1.0.1/24", "10.1.0.2/24"]),
    );
    let turned = with(
        machine(),
        "/interfaces/lan0/ipv4/addresses",
        json!(["10.1.0.2/24", "10.1.0.1/24"]),
    );
    assert_eq!(between(&two, &turned, None).interfaces.readdressed, none);

    let fewer = without(machine(), "/interfaces/bare");
    assert_eq!(between(&machine(), &fewer, None).interfaces.removed, ["bare"]);
    assert_eq!(between(&fewer, &machine(), None).interfaces.added, ["bare"]);
    assert_eq!(between(&machine(), &machine(), None), Impact::default());
}

#[test]
fn a_caller_that_nothing_touches_is_not_cut_off() {
    let changes = [
        ("/connections/to-c/dpd_timeout_s", json!(60)),
        (
            "/interfaces/bare/ipv4",
            json!({ "method": "static", "addresses": ["10.9.0.1/24"] }),
        ),
        ("/interfaces/wan0/mtu", json!(1400)),
        (
            "/interfaces/lan0/ipv4/addresses",
            json!(["10.1.0.1/24", "10.1.0.2/24"]),
        ),
        (
            "/interfaces/lan0.20/ipv4/addresses",
            json!(["10.1.20.1/24", "10.1.21.1/24"]),
        ),
        (
            "/system/management/listen",
            json!(["10.1.0.1:8443", "10.1.20.1:8443", "192.0.2.1:8443"]),
        ),
        ("/users/alice/role", json!("operator")),
        ("/users/noc", Value::Null),
        ("/system/hostname", json!("other")),
    ];
    for (pointer, value) in changes {
        for (caller, path) in [
            (NEIGHBOUR, "lan0"),
            (ON_VLAN, "lan0.20"),
            (FROM_FAR, "wan0"),
            (FROM_SITE, "to-b"),
        ] {
            let found = told(&open(), &with(open(), pointer, value.clone()), caller);
            assert_eq!(
                (found.path.as_str(), found.cut_off),
                (path, false),
                "{pointer}: {found:?}"
            );
        }
    }
}

#[test]
fn a_caller_is_told_what_cuts_it_off() {
    let lines = include_str!("cut_off.txt").lines();
    let mut seen = 0;
    for line in lines.filter(|line| line.contains(" | /")) {
        let columns: Vec<&str> = line.split(" | ").collect();
        let [name, pointer, value, says] = columns[..] else {
            panic!("{line}")
        };
        let (_, caller) = CALLERS.iter().find(|(known, _)| *known == name).expect(line);
        let value = serde_json::from_str(value).expect(line);
        let found = told(&open(), &with(open(), pointer, value), *caller);
        assert!(found.cut_off && found.why.contains(says), "{line}: {found:?}");
        seen += 1;
    }
    assert!(seen >= 25, "{seen}");
}

/// What the document says of the user, listeners and prefixes counts only where it did before.
#[test]
fn nobody_loses_what_the_document_never_gave() {
    let (remote, local, interface, _) = NEIGHBOUR;
    let stranger = (remote, local, interface, Some("carol"));
    let other_port = (remote, "10.1.0.1:9443", interface, None);
    let fewer = without(open(), "/users/noc");
    for caller in [stranger, other_port] {
        assert!(!told(&open(), &fewer, caller).cut_off);
    }
    let listen = with(open(), "/system/management/listen", json!(["10.1.0.1:443"]));
    assert!(!told(&open(), &listen, other_port).cut_off);
}

#[test]
fn the_machine_reaches_itself_whatever_becomes_of_its_interfaces() {
    let itself = ("127.0.0.1", "127.0.0.1:8443", None, None);
    let bare = with(open(), "/interfaces", json!({}));
    let found = told(&open(), &bare, itself);
    assert_eq!((found.path.as_str(), found.cut_off), ("127.0.0.1", false));
    let deaf = with(open(), "/system/management/listen", json!(["10.1.0.1:8443"]));
    assert!(told(&open(), &deaf, itself).cut_off);
}

/// The document that begins to describe what the host did so far cuts nobody off.
#[test]
fn a_caller_over_what_the_host_manages_keeps_its_way_if_the_document_describes_it() {
    let host = with(open(), "/interfaces", json!({}));
    let far = ("203.0.113.7", "192.0.2.1:8443", Some("wan0"), None);
    let near = ("10.1.0.7", "10.1.0.1:8443", Some("lan0"), None);
    for (caller, path) in [(near, "lan0"), (far, "wan0")] {
        let found = told(&host, &open(), caller);
        assert_eq!((found.path.as_str(), found.cut_off), (path, false), "{found:?}");
    }
    let other = with(open(), "/interfaces/lan0/ipv4/addresses/0", json!("10.1.0.2/24"));
    assert!(
        told(&host, &other, near)
            .why
            .contains("lan0 no longer gets the address 10.1.0.1")
    );
    let unknown = ("10.1.0.7", "10.1.0.1:8443", None, None);
    assert_eq!(told(&host, &open(), unknown).path, "10.1.0.1");
    let sample = sample();
    let wide = with(sample.clone(), "/sites/b/address_space", json!(["203.0.0.0/8"]));
    let wide = without(wide, "/gateway/address_space");
    let wide = with(wide, "/gateway/address_space", json!([]));
    assert!(
        told(&sample, &wide, far)
            .why
            .contains("the site b, which has 203.0.0.0/8")
    );
}

#[test]
fn an_address_from_dhcp_is_kept_as_long_as_dhcp_is() {
    let dynamic = |ipv4: Value| {
        let document = with(
            open(),
            "/gateway/ip_configurations/default",
            json!({ "interface": "lan0" }),
        );
        with(document, "/interfaces/wan0/ipv4", ipv4)
    };
    let dhcp = dynamic(json!({ "method": "dhcp" }));
    let caller = ("203.0.113.7", "198.51.100.9:8443", Some("wan0"), None);
    assert!(
        !told(
            &dhcp,
            &with(dhcp.clone(), "/interfaces/wan0/mtu", json!(1400)),
            caller
        )
        .cut_off
    );
    let none = dynamic(json!({ "method": "none" }));
    assert!(
        told(&dhcp, &none, caller)
            .why
            .contains("wan0 no longer gets the address 198.51.100.9")
    );
    let kept = dynamic(json!({ "method": "static", "addresses": ["198.51.100.9/24"] }));
    assert!(!told(&dhcp, &kept, caller).cut_off);
}

/// The longest prefix decides whether a caller is a neighbour or comes from a site.
#[test]
fn a_neighbour_inside_the_prefix_of_a_site_is_a_neighbour() {
    let document = with(
        open(),
        "/interfaces/bare/ipv4",
        json!({ "method": "static", "addresses": ["10.2.0.1/28"] }),
    );
    let near = ("10.2.0.7", "10.2.0.1:8443", None, None);
    assert_eq!(told(&document, &document, near).path, "bare");
    let behind = ("10.2.0.77", "10.2.0.1:8443", None, None);
    assert_eq!(told(&document, &document, behind).path, "to-b");
    let disabled = with(document, "/connections/to-b/enabled", json!(false));
    assert_eq!(told(&disabled, &disabled, behind).path, "bare", "by our address");
}

/// Of several connections to the site of the caller, the one that is wanted most carries it.
#[test]
fn a_caller_from_a_site_comes_through_the_connection_that_is_wanted_most() {
    let second = json!({
        "site": "b", "ip_configuration": "default", "endpoint": "192.0.2.22", "priority": 7,
        "authentication": { "method": "psk", "secret": "psk-b" }
    });
    let two = with(open(), "/connections/b-first", second);
    assert_eq!(told(&two, &two, FROM_SITE).path, "b-first");
    let moved = with(two.clone(), "/connections/to-b/endpoint", json!("192.0.2.23"));
    assert!(!told(&two, &moved, FROM_SITE).cut_off);
    let moved = with(two.clone(), "/connections/b-first/endpoint", json!("192.0.2.23"));
    assert!(told(&two, &moved, FROM_SITE).cut_off);
}

#[test]
fn a_caller_to_an_address_of_a_tunnel_keeps_it() {
    let caller = ("10.2.0.7", "169.254.21.2:8443", None, None);
    assert!(!told(&open(), &open(), caller).cut_off);
    let gone = with(open(), "/connections/to-b/addresses", json!([]));
    let found = told(&open(), &gone, caller);
    assert!(
        found.why.contains("169.254.21.2 goes away from the tunnel to-b"),
        "{found:?}"
    );
}

#[test]
fn an_impact_reads_as_the_api_tells_it() {
    let moved = with(open(), "/interfaces/lan0/ipv4/addresses/0", json!("10.1.0.2/24"));
    let told = serde_json::to_value(between(&open(), &moved, Some(NEIGHBOUR))).unwrap();
    assert_eq!(
        told["interfaces"],
        json!({ "readdressed": ["lan0"], "added": [], "removed": [] })
    );
    assert_eq!(
        told["caller"],
        json!({ "path": "lan0", "cut_off": true, "why": "the address 10.1.0.1 goes away from lan0" })
    );
    let local = serde_json::to_value(between(&open(), &moved, None)).unwrap();
    assert_eq!(local.get("caller"), None, "over the Unix socket");
}
