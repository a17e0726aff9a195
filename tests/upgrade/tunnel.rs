//! The box as the gateway of a site: what its kernel carries, and how soon it does so again after the power was gone.

use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::{Value, json};
use system_tests::lab::capture::{Capture, Class};
use system_tests::lab::image::{Appliance, Running};
use system_tests::lab::namespace::Namespace;
use system_tests::lab::ntp::NtpServer;
use system_tests::lab::run::Run;
use system_tests::lab::sites::Sites;
use system_tests::lab::traffic::{Ping, stream};
use system_tests::lab::wait;
use system_tests::peer::causeway::{Document, document};
use system_tests::peer::strongswan::StrongSwan;
use system_tests::peer::tunnel::{Datapath, Tunnel};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::{START, image, read};

/// The document of the site, with the cards of the box.
fn of_the_box(sites: &Sites) -> Document {
    let mut document = document(&[("peer", &Tunnel::between(&sites.a, &sites.b))]);
    let card = |role: &str, octet: u8, address: &str| {
        json!({ "role": role, "match": { "mac": format!("52:54:00:00:00:0{octet}") },
                "ipv4": { "method": "static", "addresses": [address] } })
    };
    let mut wan = card("wan", 1, "192.0.2.1/24");
    wan["ipv4"]["gateway"] = json!("192.0.2.2");
    document.json["system"] = json!({ "time": { "ntp": ["192.0.2.2"] } });
    document.json["interfaces"] = json!({ "wan0": wan, "lan0": card("lan", 2, "10.1.0.1/24") });
    document
}

/// An admin of the box, at the site's host.
struct Admin<'l> {
    host: &'l Namespace,
    /// With the cookie of the session.
    jar: String,
}

impl<'l> Admin<'l> {
    /// Claims the box with the code on its screen.
    fn claim(host: &'l Namespace, code: &str) -> Self {
        let jar = format!("/run/{}.cookies", host.name());
        let admin = Self { host, jar };
        let user = json!({ "user": "alice", "password": "a box at a branch" });
        let mut claim = user.clone();
        claim["code"] = json!(code);
        admin.call("/claim", &["-d", &claim.to_string()]);
        admin.call("/session", &["-d", &user.to_string(), "-c", &admin.jar]);
        admin
    }

    fn status(&self) -> Value {
        read(&self.call("/status", &["-b", &self.jar]))
    }

    fn call(&self, path: &str, arguments: &[&str]) -> String {
        let url = format!("https://10.1.0.1:8443/api/v1{path}");
        let common = [
            "--insecure",
            "--silent",
            "--show-error",
            "--max-time",
            "60",
            "--fail",
            &url,
        ];
        self.host.run("curl", &[&common, arguments].concat()).unwrap()
    }
}

impl Drop for Admin<'_> {
    fn drop(&mut self) {
        let _never_made = std::fs::remove_file(&self.jar);
    }
}

/// Waits until pings pass, and tells how long that took since the box was switched on, beside what the box says of itself.
fn carries(sites: &Sites, running: &mut Running, switched_on: Instant, which: &str) {
    for stage in [
        "drivers after",
        "starting causewayd after",
        "causewayd answers after",
    ] {
        println!("{which}: {stage} {}", running.says(stage, START).unwrap());
    }
    let ping = Ping::start(&sites.a.host, sites.b.host_address, Duration::from_millis(100)).unwrap();
    ping.wait_for(1, START).unwrap();
    println!(
        "{which}: the tunnel carries {:.1?} after it was switched on",
        switched_on.elapsed()
    );
    ping.wait_for(20, START).unwrap();
}

/// The clock of the box was years behind when it was switched on: a server beyond its WAN sets it, while its tunnel carries.
fn keeps_the_clock(admin: &Admin, server: &NtpServer) {
    wait::until("the clock of the box", START, || {
        let status = admin.status();
        let clock = &status["clock"];
        ensure!(clock["state"] == "synchronised", "{clock}");
        ensure!(clock["outage"].is_null(), "{clock}");
        Ok(())
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{}", server.log()));
    let status = admin.status();
    let servers = json!({ "source": "document", "hosts": ["192.0.2.2"] });
    assert_eq!(status["clock"]["servers"], servers, "{status}");
    assert!(status["clock"]["error_ms"].as_u64() < Some(1000), "{status}");
    let timeline = read(&admin.call("/certificates:timeline", &["-b", &admin.jar]));
    let shown = OffsetDateTime::parse(timeline["now"].as_str().unwrap(), &Rfc3339).unwrap();
    let off = (shown - OffsetDateTime::now_utc()).abs();
    assert!(off < Duration::from_secs(5), "{shown} is off by {off}");
    let events = admin.call("/events", &["-b", &admin.jar]);
    assert!(events.contains("clock-synchronised"), "{events}");
}

/// A box that takes its configuration from a volume carries traffic by its own kernel over a tunnel to strongSwan, and does so again
/// by itself after its power was cut. Nothing of it is seen outside in clear text.
#[test]
fn a_box_carries_traffic_and_does_so_again_after_a_power_cut() {
    let run = Run::new().unwrap();
    let sites = Sites::new(&run).unwrap();
    let there = Tunnel::between(&sites.b, &sites.a);
    let strongswan = StrongSwan::start(&run, &sites.b.gateway, &there, Datapath::User).unwrap();
    let mut machine = Appliance::new(&image(), run.folder(), 1024).unwrap();
    machine.stand_in_for(&sites.a.gateway).unwrap();
    machine.seed(&of_the_box(&sites)).unwrap();
    machine.clock = Some("2020-01-01T00:00:00".to_owned());
    let clock = NtpServer::start(&run, &sites.b.gateway).unwrap();
    let capture = Capture::start(&sites.b.gateway, "wan").unwrap();

    let switched_on = Instant::now();
    let mut running = machine.start().unwrap();
    carries(&sites, &mut running, switched_on, "first start");
    let code = running.says("claim code", START).unwrap();
    let admin = Admin::claim(&sites.a.host, &code);
    keeps_the_clock(&admin, &clock);
    let status = admin.status();
    assert_eq!(status["datapath"]["kind"], "kernel", "{status}");
    assert_eq!(status["connections"]["peer"]["state"], "up", "{status}");
    let seconds = Duration::from_secs(5);
    let address = sites.b.host_address.into();
    let carried = stream(&sites.a.host, &sites.b.host, address, seconds).unwrap();
    println!(
        "one TCP stream through the emulated box: {} Mbit/s",
        carried.megabits()
    );
    running.cut_power().unwrap();

    machine.seed = None;
    let switched_on = Instant::now();
    let mut running = machine.start().unwrap();
    carries(&sites, &mut running, switched_on, "after the power cut");
    let seen = capture.finish();
    assert_eq!(seen.count(Class::Clear), 0, "{seen:?}");
    assert!(seen.esp() > 100, "{seen:?}");
    drop(strongswan);
}
