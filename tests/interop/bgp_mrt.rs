//! Files of routes and messages (MRT, RFC 6396), against what the peer says of itself and what other programs read in them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::Command;

use anyhow::ensure;
use serde_json::{Value, json};
use system_tests::lab::run::Run;
use system_tests::lab::sites::Sites;
use system_tests::lab::wait;
use system_tests::peer::bird::Bird;
use system_tests::peer::causeway::{Causeway, Document, SOON, document};
use system_tests::peer::router::Router;
use system_tests::peer::strongswan::StrongSwan;
use system_tests::peer::tunnel::Datapath;

use crate::bgp::{FAR_ASN, apipa, ends, established, learnt, stands, tunnels};

/// So many routes beside that to the site.
const ROUTES: u32 = 300;
/// So many of those bear [`UNWANTED`].
const BEARERS: u32 = 60;
const UNWANTED: &str = "65020:3";

/// What is known of a route.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Known {
    path: String,
    med: Option<u64>,
    communities: BTreeSet<String>,
}

type Table = BTreeMap<String, Known>;

/// Fields are dropped in this order.
struct Scene {
    near: Causeway,
    document: Document,
    bird: Bird,
    _ipsec: StrongSwan,
    sites: Sites,
    run: Run,
}

/// Routes of different paths, with communities of both kinds, in BIRD's words. It sends other systems no MULTI_EXIT_DISC but
/// what a filter sets.
fn coloured() -> String {
    let mut words = "protocol static own_coloured { ipv4;\n".to_owned();
    for number in 0..ROUTES {
        let (high, low) = (64 + number / 256, number % 256);
        let mut set = format!("bgp_community.add((65020, {})); ", number % 5);
        for system in 0..number % 4 {
            let _fits = write!(set, "bgp_path.prepend({}); ", 65_100 + system);
        }
        if number % 3 == 0 {
            let _fits = write!(set, "bgp_large_community.add((65020, {number}, 7)); ");
        }
        let _fits = writeln!(words, "  route 100.{high}.{low}.0/24 blackhole {{ {set}}};");
    }
    words + "}\n"
}

impl Scene {
    /// A tunnel with a session through which BIRD announces all that.
    fn up() -> Self {
        let run = Run::new().unwrap();
        let sites = Sites::new(&run).unwrap();
        let datapath = Datapath::of_this_run().unwrap();
        let (near, far) = tunnels(&sites, apipa(1));
        let IpAddr::V4(id) = far.local else {
            panic!("{} is no BGP identifier", far.local)
        };
        let mut router = Router::of(&far, id);
        router.words = coloured();
        let ipsec = StrongSwan::start(&run, &sites.b.gateway, &far, datapath).unwrap();
        let bird = Bird::start(&run, &sites.b.gateway, &router).unwrap();
        let document = document(&[("peer", &near)]);
        let near = Causeway::with_document(&run, &sites.a.gateway, &document, datapath).unwrap();
        let scene = Self {
            near,
            document,
            bird,
            _ipsec: ipsec,
            sites,
            run,
        };
        established(&scene.near, "peer");
        scene.has("received", ROUTES + 1);
        scene
    }

    /// Waits until so many prefixes of the peer stand like this.
    fn has(&self, standing: &str, count: u32) {
        wait::until(&format!("{count} prefixes {standing}"), SOON, || {
            let peer = self.near.neighbour("peer")?;
            ensure!(peer["prefixes"]["ipv4"][standing] == count, "{peer}");
            Ok(())
        })
        .unwrap();
    }

    fn file(&self, name: &str) -> PathBuf {
        self.run.folder().join(name)
    }

    /// What our own command reads in a file, without asking the daemon.
    fn shown(&self, name: &str) -> Vec<Value> {
        let file = self.file(name);
        let said = self
            .near
            .causeway(&["bgp", "mrt", "show", file.to_str().unwrap(), "--json"]);
        let said = said.unwrap();
        said.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// What the rules for the peer would make of a file.
    fn tried(&self, name: &str) -> Value {
        let file = self.file(name);
        let arguments = [
            "bgp",
            "mrt",
            "try",
            file.to_str().unwrap(),
            "--neighbour",
            "peer",
            "--json",
        ];
        serde_json::from_str(&self.near.causeway(&arguments).unwrap()).unwrap()
    }

    /// Goes on with this said of the session with the peer.
    fn reload(&mut self, name: &str, value: Value) {
        self.document.json["connections"]["peer"]["bgp"][name] = value;
        self.near.reload(&self.document).unwrap();
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// What our command shows of received routes, which all are the peer's.
fn ours(shown: &[Value]) -> Table {
    let [peer, _] = ends(apipa(1));
    let mut table = Table::new();
    for route in shown {
        assert_eq!(route["from"], peer.to_string(), "{route}");
        assert_eq!(route["next_hop"], peer.to_string(), "{route}");
        let communities = route["communities"].as_array().unwrap().iter().map(text);
        let known = Known {
            path: text(&route["as_path"]),
            med: route["med"].as_u64(),
            communities: communities.collect(),
        };
        let twice = table.insert(text(&route["prefix"]), known);
        assert_eq!(twice, None, "{route}");
    }
    table
}

/// What BIRD sends us, in its own words: it tells of paths before it puts its own system before them.
fn birds(words: &str) -> Table {
    let mut table = Table::new();
    let mut prefix = String::new();
    for line in words.lines() {
        if let Some((begin, _)) = line
            .split_once(char::is_whitespace)
            .filter(|(begin, _)| begin.contains('/'))
        {
            begin.clone_into(&mut prefix);
            let path = FAR_ASN.to_string();
            table.insert(
                begin.to_owned(),
                Known {
                    path,
                    ..Known::default()
                },
            );
        }
        let Some(known) = table.get_mut(&prefix) else {
            continue;
        };
        let Some((name, value)) = line.trim().split_once(':') else {
            continue;
        };
        match name {
            "BGP.as_path" if !value.trim().is_empty() => known.path = format!("{FAR_ASN} {}", value.trim()),
            "BGP.med" => known.med = value.trim().parse().ok(),
            "BGP.community" | "BGP.large_community" => {
                let all = value.split(')').filter_map(|one| one.split_once('('));
                let all = all.map(|(_, one)| one.replace(' ', "").replace(',', ":"));
                known.communities.extend(all);
            }
            _ => {}
        }
    }
    table
}

/// What `bgpdump` reads in a table: in lines it leaves large communities (RFC 8092) out.
fn foreign(file: &str) -> Table {
    let output = Command::new("bgpdump").args(["-m", file]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let words = String::from_utf8(output.stdout).unwrap();
    let mut table = Table::new();
    for line in words.lines() {
        let fields: Vec<&str> = line.split('|').collect();
        assert_eq!((fields[0], fields[2]), ("TABLE_DUMP2", "B"), "{line}");
        let [peer, _] = ends(apipa(1)).map(|end| end.to_string());
        assert_eq!(
            [fields[3], fields[4], fields[8]],
            [&peer, "65020", &peer],
            "{line}"
        );
        let known = Known {
            path: fields[6].to_owned(),
            // It does not tell none from 0.
            med: fields[10].parse().ok().filter(|med| *med > 0),
            communities: fields[11].split_whitespace().map(str::to_owned).collect(),
        };
        table.insert(fields[5].to_owned(), known);
    }
    table
}

/// The table that we write is the one that BIRD says it sent, whether our command or `bgpdump` reads it.
fn a_table_is_what_the_peer_sent(scene: &Scene) {
    let file = scene.file("table.mrt");
    let file = file.to_str().unwrap();
    scene
        .near
        .causeway(&["bgp", "mrt", "table", "--out", file])
        .unwrap();
    let shown = scene.shown("table.mrt");
    let ours = ours(&shown);
    let sent = birds(&scene.bird.exported(apipa(1).local).unwrap());
    assert_eq!(sent.len(), usize::try_from(ROUTES + 1).unwrap());
    assert_eq!(ours, sent);
    let paths: BTreeSet<&String> = sent.values().map(|known| &known.path).collect();
    assert_eq!(paths.len(), 4, "{paths:?}");
    assert!(ours.values().any(|known| known.communities.len() == 2));
    let mut short = ours;
    for known in short.values_mut() {
        known.communities.retain(|one| one.matches(':').count() == 1);
    }
    assert_eq!(foreign(file), short);
}

/// An announcement and a withdrawal are in a recording, with the attributes, and nothing else that the peer said of routes.
fn a_recording_is_what_came_meanwhile(scene: &mut Scene) {
    let record = |scene: &Scene, words: &[&str]| {
        let words = [&["bgp", "mrt", "record"], words].concat();
        scene.near.causeway(&words).unwrap()
    };
    record(scene, &["start", "--neighbour", "peer"]);
    let site = "10.2.0.0/24".to_owned();
    let comes = "100.99.0.0/24".to_owned();
    scene.bird.announce(&[site.clone(), comes.clone()]).unwrap();
    learnt(&scene.sites.a.gateway, &comes, "dev cw-");
    scene.bird.announce(&[site]).unwrap();
    scene.has("received", ROUTES + 1);
    record(scene, &["stop"]);
    // What comes after that is in no file.
    scene
        .bird
        .announce(&["10.2.0.0/24".to_owned(), "100.98.0.0/24".to_owned()])
        .unwrap();
    learnt(&scene.sites.a.gateway, "100.98.0.0/24", "dev cw-");
    scene.bird.announce(&["10.2.0.0/24".to_owned()]).unwrap();
    scene.has("received", ROUTES + 1);
    let file = scene.file("recording.mrt");
    record(scene, &["save", "--out", file.to_str().unwrap()]);
    let shown = scene.shown("recording.mrt");
    let said: Vec<[String; 2]> = shown
        .iter()
        .map(|route| ["prefix", "standing"].map(|name| text(&route[name])))
        .collect();
    let expected = ["announced", "withdrawn"].map(|standing| [comes.clone(), standing.to_owned()]);
    assert_eq!(said, expected, "{shown:?}");
    assert_eq!(shown[0]["as_path"], "65020", "{shown:?}");
}

/// What a trial says of a policy and of a limit comes true when the document has them and the peer sends the routes.
fn a_trial_says_what_comes_true(scene: &mut Scene) {
    let refuse = json!({ "match": { "communities": [UNWANTED] }, "then": "reject" });
    scene.document.json["route_policies"] = json!({ "some": { "terms": [refuse], "default": "accept" } });
    scene.reload("import", json!("some"));
    scene.has("accepted", ROUTES + 1 - BEARERS);
    let tried = scene.tried("table.mrt");
    assert_eq!(tried["announced"], ROUTES + 1, "{tried}");
    assert_eq!(tried["accepted"], ROUTES + 1 - BEARERS, "{tried}");
    assert_eq!(tried["refused"], BEARERS, "{tried}");
    let refused = tried["decisions"].as_array().unwrap().iter();
    let refused: Vec<&Value> = refused.filter(|decision| decision["accepted"] == false).collect();
    assert_eq!(refused.len(), 1, "{tried}");
    assert_eq!(
        (&refused[0]["by"], &refused[0]["term"]),
        (&json!("policy"), &json!(0)),
        "{tried}"
    );
    let limit = |tried: &Value| tried["limits"][0].clone();
    assert_eq!(limit(&tried)["exceeded"], false, "{tried}");

    let shown = scene.shown("table.mrt");
    scene.reload("maximum_prefixes", json!(100));
    let tried = wait::until("the other limit", SOON, || {
        let tried = scene.tried("table.mrt");
        ensure!(tried["limits"][0]["limit"] == 100, "{tried}");
        Ok(tried)
    })
    .unwrap();
    let said = limit(&tried);
    assert_eq!(said["received"], ROUTES + 1, "{tried}");
    assert_eq!(said["exceeded_at"], shown[100]["prefix"], "{tried}");
    scene.near.causeway(&["bgp", "clear", "peer"]).unwrap();
    let peer = stands(&scene.near, "peer", "idle");
    assert_eq!(peer["last_error"]["reason"], "prefix-limit", "{peer}");
}

/// BIRD announces some hundred routes through the tunnel: the table that we write, the messages that we record and what we
/// say of a file beforehand are what it sent, and what then happens.
#[test]
fn files_of_routes_and_messages_say_what_was_sent() {
    let mut scene = Scene::up();
    a_table_is_what_the_peer_sent(&scene);
    a_recording_is_what_came_meanwhile(&mut scene);
    a_trial_says_what_comes_true(&mut scene);
}
