//! The lines of README with which a machine is claimed do what README says, with curl alone.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use system_tests::lab::run::Run;
use system_tests::lab::sites::Sites;
use system_tests::peer::causeway::{Causeway, binary, document};
use system_tests::peer::tunnel::{Datapath, Tunnel};

const README: &str = include_str!("../../README.md");
const HEADING: &str = "## Claiming the box";

/// The commands of the first block under the heading.
fn commands() -> Vec<String> {
    let (_, section) = README.split_once(HEADING).unwrap();
    let (_, block) = section.split_once("```sh\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let lines = block.replace("\\\n", " ");
    let lines = lines.lines().filter(|line| !line.trim().is_empty());
    lines.map(str::to_owned).collect()
}

/// What `causeway` is on the machine.
fn function(gateway: &Causeway) -> String {
    let (program, socket) = (binary("causeway").unwrap(), gateway.socket());
    format!(
        "causeway() {{ {} --socket {} \"$@\"; }}",
        program.display(),
        socket.display()
    )
}

fn text(answer: &str, name: &str) -> String {
    let json: Value = serde_json::from_str(answer).unwrap_or_else(|_| panic!("no JSON: {answer}"));
    json[name]
        .as_str()
        .unwrap_or_else(|| panic!("no {name}: {answer}"))
        .to_owned()
}

/// Each command as it stands in README, with only what the one before has told put in.
#[test]
fn a_machine_is_claimed_as_readme_says() {
    let run = Run::new().unwrap();
    let sites = Sites::new(&run).unwrap();
    let datapath = Datapath::of_this_run().unwrap();
    let tunnel = Tunnel::between(&sites.a, &sites.b).starting();
    let document = document(&[("peer", &tunnel)]);
    let gateway = Causeway::with_store(&run, &sites.a.gateway, &document, datapath).unwrap();
    let folder: &Path = run.folder();
    let mut so_far = function(&gateway);
    let (mut code, mut csrf_token, mut token, mut last) = <(String, String, String, String)>::default();
    for command in commands() {
        if command.starts_with("API=") {
            so_far += &format!("\n{command}");
            continue;
        }
        let filled = command
            .replace("XXXX-XXXX-XXXX-XXXX", &code)
            .replace("X-Csrf-Token: …", &format!("X-Csrf-Token: {csrf_token}"))
            .replace("cw_…", &token);
        assert!(!filled.contains('…'), "{command}");
        let mut shell = Command::new("sh");
        shell
            .args(["-euc", &format!("{so_far}\n{filled}")])
            .current_dir(folder);
        let output = sites.a.host.output(&mut shell).unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{command}: {said}{complaint}");
        if command.contains("claim-code") {
            code = said.trim().to_owned();
        } else if command.contains("$API/session") {
            csrf_token = text(&said, "csrf_token");
        } else if command.contains("$API/tokens") {
            token = text(&said, "token");
        }
        last = said;
    }
    assert!(
        last.starts_with("HTTP/1.1 200 ") || last.starts_with("HTTP/2 200"),
        "{last}"
    );
    assert!(last.contains(r#""alice":{"role":"admin"}"#), "{last}");
    let again = gateway.causeway(&["claim-code"]).unwrap_err().to_string();
    assert!(again.contains("claimed"), "{again}");
}
