use serde_json::json;

use super::sample::{check, translated, with};

fn words(nets: impl IntoIterator<Item = ipnet::IpNet>) -> Vec<String> {
    nets.into_iter().map(|net| net.to_string()).collect()
}

/// What the rules of another connection translate is no business of this one.
#[test]
fn a_connection_leads_to_what_its_own_rules_make_of_the_site() {
    let found = check(&translated()).unwrap();
    assert_eq!(words(found.connections["to-b"].reached()), ["100.64.2.0/24"]);
    assert_eq!(
        words(found.connections["to-c"].reached()),
        ["10.3.0.0/24", "fd03::/64"]
    );
    let half = [
        ("/sites/b/address_space", json!(["10.5.0.0/24"])),
        ("/nat_rules/b-in/internal/prefix", json!("10.5.0.0/25")),
        ("/nat_rules/b-in/external/prefix", json!("100.64.2.0/25")),
    ];
    let document = half.into_iter().fold(translated(), |document, (pointer, value)| {
        with(document, pointer, value)
    });
    let found = check(&document).unwrap();
    assert_eq!(
        words(found.connections["to-b"].reached()),
        ["10.5.0.128/25", "100.64.2.0/25"]
    );
}

/// Our own addresses are ours although a site has them, too.
#[test]
fn what_only_rules_know_is_hidden() {
    let found = check(&translated()).unwrap();
    assert_eq!(words(found.hidden()), ["100.64.1.0/24", "100.64.9.0/26"]);
    let document = with(translated(), "/gateway/address_space", json!(["10.1.0.0/25"]));
    let found = check(&document).unwrap();
    assert_eq!(
        words(found.hidden()),
        ["10.1.0.128/25", "100.64.1.0/24", "100.64.9.0/26"]
    );
}
