//! A machine whose state has no room left: nothing is changed, and who knows the password comes in, before and after a start.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use system_tests::lab::run::Run;
use system_tests::lab::sites::Sites;
use system_tests::peer::api::Api;
use system_tests::peer::causeway::{Causeway, document};
use system_tests::peer::tunnel::{Datapath, Tunnel};

/// A file system of its own, which goes with this.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path) -> Self {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=3m,mode=700", "tmpfs"])
            .arg(at)
            .status();
        assert!(mounted.unwrap().success());
        Self(at.to_owned())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _already_gone = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn ask(gateway: &Causeway, path: &str, body: &Value) -> Value {
    let mut api = Api::connect(&gateway.socket()).unwrap();
    let method = if body.is_null() { "GET" } else { "POST" };
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    api.ask(method, path, &body).unwrap()
}

#[test]
fn an_admin_comes_into_a_machine_whose_disk_is_full_and_nothing_is_half_done() {
    let run = Run::new().unwrap();
    let sites = Sites::new(&run).unwrap();
    let mut disk = None;
    let tunnel = Tunnel::between(&sites.a, &sites.b);
    let (document, datapath) = (document(&[("peer", &tunnel)]), Datapath::of_this_run().unwrap());
    let mut gateway = Causeway::with_environment(&run, &sites.a.gateway, (&document, datapath), |state| {
        disk = Some(Disk::mount(state));
        Ok(Vec::new())
    })
    .unwrap();
    let account = json!({ "user": "alice", "password": "a box at a branch" });
    let mut claim = account.clone();
    claim["code"] = ask(&gateway, "/claim", &Value::Null)["code"].clone();
    assert_eq!(ask(&gateway, "/claim", &claim)["role"], "admin");

    let folder = disk.as_ref().unwrap().0.clone();
    fs::write(folder.join("filler"), vec![1; 4 << 20]).unwrap_err();
    let signed_in = ask(&gateway, "/session", &account);
    assert_eq!(signed_in["role"], "admin", "{signed_in}");
    let mut changed = document.json.clone();
    changed["system"]["hostname"] = json!("another");
    let refused = gateway.commit(&changed, &[]).unwrap_err().to_string();
    assert!(refused.contains("disk is full"), "{refused}");

    gateway.kill().unwrap();
    gateway.restart().unwrap();
    let signed_in = ask(&gateway, "/session", &account);
    assert_eq!(signed_in["role"], "admin", "{signed_in}");
    let status = ask(&gateway, "/status/system", &Value::Null);
    assert_eq!(status["configuration"]["damage"], Value::Null, "{status}");
    fs::remove_file(folder.join("filler")).unwrap();
    gateway.commit(&changed, &[]).unwrap();
    gateway.stop().unwrap();
}
