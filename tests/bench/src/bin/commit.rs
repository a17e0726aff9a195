//! The configuration of 1,000 connections and 100 NAT rules: how long a check, a commit that changes one of them, and a status take, each
//! by the command line with the start of that; how long a start takes until all is handed out; and what the daemon holds
//! then, and with one connection.
//!
//! Every peer is silent. There is no peer to compare with: figures only.
//!
//! Arguments: how many connections (1000), how many turns (5).

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use system_bench::{median, print};
use system_tests::lab::run::Run;
use system_tests::lab::sites::Sites;
use system_tests::peer::causeway::{Causeway, Document};
use system_tests::peer::tunnel::Datapath;

const RULES: u32 = 100;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |otherwise: u32| arguments.next().map_or(Ok(otherwise), |text| text.parse());
    let (connections, turns) = (number(1000)?, number(5)?);
    let run = Run::new()?;
    let sites = Sites::new(&run)?;
    let small = Causeway::with_store(&run, &sites.b.gateway, &document(1, "192.0.2.2"), Datapath::User)?;
    print(&format!("commit/memory-of-one ours={}KiB", memory(&small)?));
    drop(small);

    let document = document(connections, "192.0.2.1");
    let begun = Instant::now();
    let mut gateway = Causeway::with_store(&run, &sites.a.gateway, &document, Datapath::User)?;
    print(&format!("commit/import ours={}ms", begun.elapsed().as_millis()));
    let mut changed = document.json.clone();
    let [mut checks, mut commits, mut statuses, mut starts] = [const { Vec::new() }; 4];
    for turn in 0..turns {
        let timeout = changed.pointer_mut("/connections/to-0");
        let connection = timeout.and_then(Value::as_object_mut).context("no connection")?;
        connection.insert("dpd_timeout_s".to_owned(), json!(60 + turn));
        checks.push(time(|| gateway.check(&changed))?);
        commits.push(time(|| gateway.commit(&changed, &[]))?);
        statuses.push(time(|| gateway.status())?);
    }
    print(&format!("commit/memory ours={}KiB", memory(&gateway)?));
    for _ in 0..turns {
        gateway.stop()?;
        starts.push(time(|| gateway.restart())?);
    }
    for (what, times) in [
        ("check", checks),
        ("commit-of-one-change", commits),
        ("status", statuses),
        ("start-up", starts),
    ] {
        let time = median(times).context("no turns")?;
        print(&format!("commit/{what} ours={}ms", time.as_millis()));
    }
    Ok(())
}

fn time<T>(work: impl FnOnce() -> Result<T>) -> Result<Duration> {
    let begun = Instant::now();
    work()?;
    Ok(begun.elapsed())
}

/// What the daemon holds in memory, in KiB.
fn memory(gateway: &Causeway) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", gateway.id()))?;
    let mut lines = status.lines().filter_map(|line| line.strip_prefix("VmRSS:"));
    let line = lines.next().context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// So many rules that no connection has: one that has would not run.
fn rules(number: u32) -> Map<String, Value> {
    let rule = |number: u32| {
        let (internal, external) = (format!("172.16.{number}.0/24"), format!("100.64.{number}.0/24"));
        let rule = json!({ "type": "Static", "mode": "IngressSnat",
                           "internal": { "prefix": internal }, "external": { "prefix": external } });
        (format!("rule-{number}"), rule)
    };
    (0..number).map(rule).collect()
}

/// So many connections, each to a site and with a secret of its own; nobody begins.
fn document(connections: u32, local: &str) -> Document {
    let (mut sites, mut items, mut secrets) = (Map::new(), Map::new(), Vec::new());
    for number in 0..connections {
        let (high, low) = (number / 256, number % 256);
        let (name, secret) = (format!("site-{number}"), format!("psk-{number}"));
        let connection = json!({
            "site": name, "mode": "ResponderOnly", "authentication": { "method": "psk", "secret": secret }
        });
        items.insert(format!("to-{number}"), connection);
        let site = json!({
            "endpoint": format!("198.18.{high}.{low}"), "address_space": [format!("10.{}.{low}.0/24", 100 + high)]
        });
        sites.insert(name, site);
        secrets.push((secret, format!("rig.only.{number}")));
    }
    let json: Value = json!({
        "gateway": { "ip_configurations": { "default": { "address": local } }, "address_space": ["10.1.0.0/24"] },
        "sites": sites, "connections": items, "nat_rules": rules(connections.min(RULES))
    });
    Document { json, secrets }
}
