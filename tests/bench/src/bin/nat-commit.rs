//! A commit that changes one of 500 rules of translation, all in use: from the request to the answer, which comes once the kernel has
//! them; and how long `nft` alone takes for the same rules, by our program and by a list that somebody writes by hand.
//!
//! Then the same for a commit that brings all 500 where there was none.
//!
//! Every peer is silent. Commits go by the API, over one connection.
//!
//! Arguments: how many rules (500), how many connections have them (100), how many turns (9).

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use system_bench::translation::{by_hand, program};
use system_bench::{median, print};
use system_tests::lab::namespace::Namespace;
use system_tests::lab::run::Run;
use system_tests::lab::sites::Sites;
use system_tests::peer::api::Api;
use system_tests::peer::causeway::{Causeway, Document};
use system_tests::peer::tunnel::Datapath;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |otherwise: u16| arguments.next().map_or(Ok(otherwise), |text| text.parse());
    let (rules, connections, turns) = (number(500)?, number(100)?, number(9)?);
    let run = Run::new()?;
    let sites = Sites::new(&run)?;
    let document = document(rules, connections);
    let gateway = Causeway::with_store(&run, &sites.a.gateway, &document, Datapath::User)?;
    let mut changed = document.json;
    let mut api = Api::connect(&gateway.socket())?;
    let mut commits = Vec::new();
    for turn in 0..turns {
        let last = rules.saturating_sub(1);
        let external = changed
            .pointer_mut(&format!("/nat_rules/rule-{last}/external/prefix"))
            .context("no such rule")?;
        *external = json!(format!("100.127.{turn}.0/24"));
        let body = changed.to_string();
        commits.push(time(|| api.ask("PUT", "/config", &body))?);
    }
    let commit = median(commits).context("no turns")?.as_millis();
    print(&format!("nat-commit/{rules}-rules ours={commit}ms"));
    let (with, without) = (changed.to_string(), without_rules(changed).to_string());
    let mut commits = Vec::new();
    for _ in 0..turns {
        api.ask("PUT", "/config", &without)?;
        commits.push(time(|| api.ask("PUT", "/config", &with))?);
    }
    let commit = median(commits).context("no turns")?.as_millis();
    print(&format!("nat-commit/{rules}-rules-from-none ours={commit}ms"));
    let namespace = Namespace::new(&run, "nft")?;
    let [ours, theirs] = [program(rules)?.script, by_hand(rules).script].map(|script| {
        let mut times = Vec::new();
        for _ in 0..turns {
            let removed = format!("flush ruleset\n{script}");
            times.push(time(|| namespace.nft(&removed))?);
        }
        median(times).context("no turns")
    });
    let (ours, theirs) = (ours?.as_millis(), theirs?.as_millis());
    let hundredths = ours * 100 / theirs.max(1);
    print(&format!(
        "nat-commit/nft-alone ours={ours}ms peer={theirs}ms ratio={}.{:02}",
        hundredths / 100,
        hundredths % 100
    ));
    Ok(())
}

fn time<T>(work: impl FnOnce() -> Result<T>) -> Result<Duration> {
    let begun = Instant::now();
    work()?;
    Ok(begun.elapsed())
}

/// So many rules for what comes from so many sites, shared out among the connections.
fn document(rules: u16, connections: u16) -> Document {
    let (mut sites, mut items, mut secrets, mut all) = (Map::new(), Map::new(), Vec::new(), Map::new());
    for number in 0..connections {
        let (name, secret) = (format!("site-{number}"), format!("psk-{number}"));
        let own: Vec<u16> = (0..rules).filter(|rule| rule % connections == number).collect();
        let prefixes: Vec<String> = own.iter().map(|rule| internal(*rule)).collect();
        let names: Vec<String> = own.iter().map(|rule| format!("rule-{rule}")).collect();
        for rule in own {
            all.insert(format!("rule-{rule}"), translation(rule));
        }
        let [high, low] = number.to_be_bytes();
        sites.insert(
            name.clone(),
            json!({ "endpoint": format!("198.18.{high}.{low}"), "address_space": prefixes }),
        );
        items.insert(
            format!("to-{number}"),
            json!({ "site": name, "mode": "ResponderOnly", "nat": { "ingress": names },
                    "authentication": { "method": "psk", "secret": secret } }),
        );
        secrets.push((secret, format!("rig.only.{number}")));
    }
    let json: Value = json!({
        "gateway": { "ip_configurations": { "default": { "address": "192.0.2.1" } },
                     "address_space": ["10.1.0.0/24"], "limits": { "nat_rules": rules } },
        "sites": sites, "connections": items, "nat_rules": all
    });
    Document { json, secrets }
}

/// The same document without any.
fn without_rules(mut json: Value) -> Value {
    let connections = json.get_mut("connections").and_then(Value::as_object_mut);
    for (_, connection) in connections.into_iter().flatten() {
        remove(connection, "nat");
    }
    remove(&mut json, "nat_rules");
    json
}

fn remove(object: &mut Value, key: &str) {
    if let Some(object) = object.as_object_mut() {
        object.remove(key);
    }
}

fn internal(rule: u16) -> String {
    let [high, low] = rule.to_be_bytes();
    format!("172.{}.{low}.0/24", 16 + u16::from(high))
}

fn translation(rule: u16) -> Value {
    let [high, low] = rule.to_be_bytes();
    json!({ "type": "Static", "mode": "IngressSnat", "internal": { "prefix": internal(rule) },
            "external": { "prefix": format!("100.{}.{low}.0/24", 64 + u16::from(high)) } })
}
