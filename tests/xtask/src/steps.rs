//! What each tier runs.

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use system_tests::lab::vm;

use crate::packages;
use crate::step::{self, cargo};

/// How many random sets of rules of NAT the kernel we ship is tried with: they take less than a minute in the machine.
const RULE_SETS: u8 = 10;

/// Scenarios about who somebody is, about what IKE and BGP say and about the API, which take long in the machine and for which it
/// is the same who carries packets: natively they are always run, in the machine in full only. Beginnings of their names.
const NATIVE_UNLESS_FULL: &[&str] = &[
    "anywhere::",
    "azure::",
    "bgp_bfd::a_silent_peer",
    "bgp_capabilities::",
    "bgp_hostile::",
    "bgp_limit::",
    "bgp_mrt::",
    "bgp_prepend::prepending_on_import",
    "bgp_restart::we_start_again_before_a_causeway",
    "bgp_session::causeway_speaks",
    "bgp_session::the_wrong_autonomous_system",
    "bgp_session::what_the_peer_announces",
    "bgp_tcp_ao::another_key",
    "bgp_tcp_ao::tcp_ao_signs",
    "bgp_tcp_ao::without_tcp_ao",
    "capture::",
    "certificate_peer::",
    "certificates::",
    "childless::",
    "claim::",
    "cut_off::",
    "disk_full::",
    "establish::causeway_answers_causeway",
    "flood::",
    "fragmentation::",
    "hostile::",
    "ikev1::ikev1_carries_by_aggressive_mode",
    "ikev1::ikev1_peers_are_asked",
    "ikev1::ikev1_refuses",
    "ikev1::ikev1_signs_",
    "ikev1_matrix::",
    "key_providers::",
    "lab::",
    "names::",
    "nat::rules_that_nft_refuses",
    "outer::a_port_that",
    "ppk::",
    "redirect::",
    "refusal::",
    "reload::",
    "restart::another_daemon",
    "rotation::",
    "suites::suites_carry_when_strongswan",
    "suites::weak_suites",
    "ten::",
];

/// What it shows, and the command.
pub(crate) type Step = (String, Command);

pub(crate) fn step(title: &str, command: Command) -> Step {
    (title.to_owned(), command)
}

/// Format, lints, house rules; in full, the dependencies too.
pub(crate) fn check(full: bool) -> Result<Vec<Step>> {
    packages::toolchain()?;
    let lints = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    let of_scenarios = [
        "clippy",
        "-p",
        "system-tests",
        "--test",
        "interop",
        "--test",
        "matrix",
        "--test",
        "upgrade",
        "--test",
        "power",
        "--test",
        "console",
        "--",
        "-D",
        "warnings",
    ];
    let mut steps = vec![
        step("format", cargo(&["fmt", "--all", "--check"])),
        step("lints", cargo(&lints)),
        step("lints of the scenarios", cargo(&of_scenarios)),
        step(
            "house rules",
            cargo(&["test", "-p", "system-tests", "--test", "tidy"]),
        ),
    ];
    if full {
        let deny = ["deny", "check", "bans", "licenses", "sources"];
        steps.push(step(
            "the checker of dependencies",
            cargo(&["install", "cargo-deny", "--locked"]),
        ));
        steps.push(step("bans, licences and sources of dependencies", cargo(&deny)));
    }
    Ok(steps)
}

/// What stands beside the code.
pub(crate) fn unit() -> Result<Vec<Step>> {
    packages::install(packages::LAB)?;
    packages::install(packages::TOKENS)?;
    let mut others = cargo(&["test", "--workspace"]);
    // A test that finds no token fails, instead of saying that it was skipped.
    others.env("CAUSEWAY_TOKENS", "required");
    others.args([
        "--exclude",
        "ike",
        "--exclude",
        "bgp",
        "--exclude",
        "system-tests",
        "--exclude",
        "fuzz-targets",
    ]);
    Ok(vec![
        step("tests of every package", others),
        step(
            "tests beside the IKE core",
            cargo(&["test", "-p", "ike", "--lib"]),
        ),
        step(
            "tests beside the BGP core",
            cargo(&["test", "-p", "bgp", "--lib"]),
        ),
        step(
            "tests beside the lab",
            cargo(&["test", "-p", "system-tests", "--lib"]),
        ),
    ])
}

/// Two cores and a network in memory, and messages of others; in full, ten million damaged ones.
pub(crate) fn pair(full: bool) -> Vec<Step> {
    let mut steps = vec![
        step(
            "exchanges between two engines",
            cargo(&["test", "-p", "ike", "--test", "*"]),
        ),
        step(
            "BGP sessions and messages",
            cargo(&["test", "-p", "bgp", "--test", "*"]),
        ),
    ];
    if full {
        let mut damaged = cargo(&["test", "--release", "-p", "bgp", "--test", "replay", "damaged"]);
        damaged.env("CAUSEWAY_DAMAGED_MESSAGES", "10000000");
        steps.push(step("ten million damaged BGP messages", damaged));
    }
    steps
}

/// Stored bytes; in full, a search for new ones.
pub(crate) fn fuzz(full: bool) -> Result<Vec<Step>> {
    let mut steps = vec![step("stored bytes", cargo(&["test", "-p", "fuzz-targets"]))];
    if full {
        packages::install(packages::FUZZ)?;
        steps.push(step(
            "the tool for the search",
            cargo(&["install", "cargo-fuzz", "--locked"]),
        ));
        for target in targets()? {
            steps.push(step(&format!("a minute of search: {target}"), search(&target)?));
        }
    }
    Ok(steps)
}

/// Names of the fuzz targets.
fn targets() -> Result<Vec<String>> {
    let entries = fs::read_dir(step::root().join("tests/fuzz/fuzz_targets"))?;
    let paths = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    let mut names: Vec<String> = paths
        .iter()
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    Ok(names)
}

/// A minute of search; what is found stays under the build folder.
fn search(target: &str) -> Result<Command> {
    let found = step::root().join("target/fuzz/corpus").join(target);
    fs::create_dir_all(&found)?;
    let mut command = cargo(&[
        "fuzz",
        "run",
        target,
        "--fuzz-dir",
        "tests/fuzz",
        "--sanitizer",
        "none",
    ]);
    command
        .arg(found)
        .arg(format!("tests/fuzz/corpus/{target}"))
        .arg("--");
    command.args([
        "-max_total_time=60",
        "-rss_limit_mb=1024",
        "-timeout=10",
        "-print_final_stats=1",
    ]);
    // The stable compiler takes the flags that cargo-fuzz passes.
    command.env("RUSTC_BOOTSTRAP", "1");
    // Each target would spend half its build on it.
    command.env("CARGO_PROFILE_RELEASE_LTO", "off");
    Ok(command)
}

/// The scenarios and the matrix, natively; in full, every combination of the matrix.
pub(crate) fn interop(full: bool) -> Result<Vec<Step>> {
    packages::install(packages::LAB)?;
    let mut scenarios = cargo(&[
        "test",
        "-p",
        "system-tests",
        "--test",
        "interop",
        "--",
        "--test-threads=3",
    ]);
    scenarios.env("CAUSEWAY_DATAPATH", "user");
    let mut matrix = cargo(&["test", "-p", "system-tests", "--test", "matrix", "--"]);
    matrix
        .args(["--rows", "--threads=4"])
        .args(full.then_some("--full"));
    matrix.env("CAUSEWAY_DATAPATH", "user");
    Ok(vec![
        step("the programs", programs()),
        step("scenarios over the user-space datapath", scenarios),
        step("the interop matrix over the user-space datapath", matrix),
        step("the API against what it says of itself", hammer()?),
    ])
}

/// The console: its types, what it computes, whether what is in the binary is made of its source, and its flows in a browser.
pub(crate) fn console() -> Result<Vec<Step>> {
    packages::install(packages::LAB)?;
    packages::install(packages::BROWSER)?;
    packages::npm()?;
    let folder = step::root().join("web-ui");
    let npm = |script: &str| {
        let mut command = Command::new("npm");
        command.args(["run", "--silent", script]).current_dir(&folder);
        command
    };
    let flows = cargo(&["test", "-p", "system-tests", "--test", "console"]);
    Ok(vec![
        step("types of the console", npm("check")),
        step("what the console computes", npm("unit")),
        step("the committed console is that of its source", npm("fresh")),
        step("the programs", programs()),
        step("the console in a browser", flows),
    ])
}

/// Schemathesis against a causewayd in a network of its own.
fn hammer() -> Result<Command> {
    let python = packages::python()?;
    let mut command = Command::new("unshare");
    command.arg("--net").arg(python).arg("tests/openapi/hammer.py");
    command.arg("target/release/causewayd").current_dir(step::root());
    Ok(command)
}

/// The release build of what a gateway runs.
pub(crate) fn programs() -> Command {
    cargo(&["build", "--release", "-p", "causewayd", "-p", "causeway"])
}

/// What the firmware image is made of, too.
pub(crate) fn programs_of_the_image() -> Command {
    let mut build = programs();
    build.args(["-p", "image-installer", "-p", "image-verifier"]);
    build
}

/// The tests of the kernel package, random rules of NAT and the scenarios in one machine, the matrix in another beside it:
/// each has a single processor. After them, power cuts; in full, as many as the store is to stand.
pub(crate) fn machines(full: bool) -> Result<Vec<Step>> {
    packages::install(packages::LAB)?;
    packages::install(packages::MACHINE)?;
    let kernel = machine("appliance-kernel", &["--test", "real_kernel"], "--test-threads=1")?;
    let rules = machine("appliance-nat", &["--test", "kernel"], "--test-threads=1 agree")?;
    let scenarios = machine("system-tests", &["--test", "interop"], &of_the_machine(full))?;
    let matrix = machine("system-tests", &["--test", "matrix"], "--rows --threads=2")?;
    vm::fetch()?;
    let mut both = Command::new("sh");
    let script = "\"$0\" vm --limit 3600 -- \"$2\" & \"$0\" vm --limit 3600 -- \"$1\"; first=$?; wait $! && exit $first";
    both.args(["-c", script]).arg(std::env::current_exe()?);
    both.arg(format!(
        "status=0; {kernel} || status=1; modprobe nf_conntrack; CAUSEWAY_NAT_SETS={RULE_SETS} {rules} || status=1; \
         {scenarios} || status=1; exit $status"
    ));
    both.arg(matrix).current_dir(step::root());
    let mut cuts = cargo(&["test", "-p", "system-tests", "--test", "power", "--"]);
    cuts.arg(if full { "--cuts=200" } else { "--cuts=5" });
    Ok(vec![
        step("the programs", programs()),
        step(
            "scenarios and the interop matrix over the kernel's datapath",
            both,
        ),
        step("power cuts", cuts),
    ])
}

/// The arguments that choose the scenarios of the machine.
fn of_the_machine(full: bool) -> String {
    let left_out = NATIVE_UNLESS_FULL.iter().filter(|_| !full);
    let skips = left_out.map(|name| format!(" --skip {name}"));
    std::iter::once("--test-threads=1".to_owned())
        .chain(skips)
        .collect()
}

/// The shell command that runs a package's test inside the machine; the test is built here.
fn machine(package: &str, target: &[&str], arguments: &str) -> Result<String> {
    let mut build = cargo(&[
        "test",
        "--no-run",
        "--message-format=json-render-diagnostics",
        "-p",
        package,
    ]);
    let output = build.args(target).stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "building the tests of {package} failed");
    let text = String::from_utf8(output.stdout)?;
    let binary = text.lines().filter_map(executable).next_back();
    let binary = binary.with_context(|| format!("{package} has no test {}", target.join(" ")))?;
    let quoted = vm::quote(&binary);
    Ok(format!(
        "CAUSEWAY_DATAPATH=kernel CAUSEWAY_EXPECT_ESP=1 {quoted} {arguments}"
    ))
}

/// What cargo says about one thing it built: where the program is, if it is one.
fn executable(line: &str) -> Option<String> {
    let said: serde_json::Value = serde_json::from_str(line).ok()?;
    said.get("executable")?.as_str().map(str::to_owned)
}
