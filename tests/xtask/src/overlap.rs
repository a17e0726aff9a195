//! Two networks with the same addresses and a tunnel between them, shown in plain words.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use system_tests::lab::alike::{Alike, HOST, NAMES, NETWORK, Network};
use system_tests::lab::capture::Capture;
use system_tests::lab::run::Run;
use system_tests::lab::traffic::Ping;
use system_tests::peer::causeway::{Causeway, Document, document};
use system_tests::peer::strongswan::StrongSwan;
use system_tests::peer::tunnel::{Datapath, Tunnel};

use crate::demo::{Peer, prove};

/// Shows that hosts of both reach each other by the names that rules of translation give them.
pub(crate) fn show(peer: Peer) -> Result<()> {
    let run = Run::new()?;
    let lab = Alike::new(&run, 2)?;
    let [hub, site] = &lab.networks[..] else {
        anyhow::bail!("two networks were asked for");
    };
    println!("\n--- Two networks with the same addresses");
    println!(
        "Both sites are {NETWORK}, and on both the host is {HOST}. Gateway a translates: its own network is"
    );
    println!(
        "{} for the other one, and that is {} for it.",
        hub.name, site.name
    );
    let capture = Capture::start(&hub.gateway, "wan")?;
    let far = Tunnel::joining([site.outer, hub.outer], [NETWORK, NAMES]).waiting();
    let _far = match peer {
        Peer::Causeway => (
            Some(Causeway::start(&run, &site.gateway, &far, Datapath::User)?),
            None,
        ),
        Peer::Strongswan => (
            None,
            Some(StrongSwan::start(&run, &site.gateway, &far, Datapath::User)?),
        ),
    };
    let gateway = Causeway::with_store(&run, &hub.gateway, &translating(hub, site)?, Datapath::User)?;
    gateway.wait_for("peer", "up")?;
    for (name, from, to) in [("host a to host b", hub, site), ("host b to host a", site, hub)] {
        let ping = Ping::start(&from.host, to.host_name, Duration::from_millis(50))?;
        ping.wait_for(10, Duration::from_secs(10))?;
        let answers = ping.finish();
        let answered = answers.sent - answers.lost;
        println!(
            "Ping, {name}, which it calls {}: {answered} of {} answered.",
            to.host_name, answers.sent
        );
        ensure!(answered > 0, "no ping came through");
    }
    println!("\n{}", gateway.causeway(&["nat"])?.trim_end());
    prove(&capture.finish())
}

/// The document of gateway a: each network has a name for the other.
fn translating(hub: &Network, site: &Network) -> Result<Document> {
    let near = Tunnel::joining([hub.outer, site.outer], [NETWORK; 2]).starting();
    let mut document = document(&[("peer", &near)]);
    let rule = |mode: &str, external: &str| json!({ "type": "Static", "mode": mode, "internal": { "prefix": NETWORK }, "external": { "prefix": external } });
    let rules = json!({ "ours": rule("EgressSnat", &hub.name), "theirs": rule("IngressSnat", &site.name) });
    let parts = document.json.as_object_mut().context("a document is an object")?;
    parts.insert("nat_rules".to_owned(), rules);
    let connection = document.json.pointer_mut("/connections/peer");
    let connection = connection.and_then(|value| value.as_object_mut());
    let used = json!({ "ingress": ["theirs"], "egress": ["ours"] });
    connection
        .context("no connection")?
        .insert("nat".to_owned(), used);
    Ok(document)
}
